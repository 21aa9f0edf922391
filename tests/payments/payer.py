"""A process that pays at the sandbox, to be started and killed: `python -m tests.payments.payer FILE TOKEN ORDERS`.

It imports little, so that it starts quickly.
"""

from __future__ import annotations

import sys
from pathlib import Path

from payments.sandbox import Sandbox
from shop.payments import Approved, PaymentRequest


def request_for(order_id: str, token: str, amount_minor: int = 4_200) -> PaymentRequest:
    return PaymentRequest(
        order_id, f"{order_id}:authorize", amount_minor, "EUR", token, "ada@example.com", "https://shop.example/o"
    )


def pay_all(sandbox: Sandbox, token: str, orders: int) -> None:
    """Pay o0, o1 and so on, one after another, with the same keys whoever does it."""
    for n in range(orders):
        answer = sandbox.authorize(request_for(f"o{n}", token))
        assert isinstance(answer, Approved), answer


if __name__ == "__main__":
    pay_all(Sandbox(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3]))
