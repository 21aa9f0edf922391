"""The provider that docs/payments/adding-a-provider.md shows, taken from the page and run."""

from __future__ import annotations

import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
from redis import Redis

from db.session import Database
from shop.payments import Absent, Approved, Declined, Done, Provider, Refused, Unknown, Unreachable
from shop.rules import parse
from tests.harness import Clock, Shop
from tests.payments.acme import Acme, Payment, acme_pay
from tests.payments.contract import Case, ProviderContract
from tests.payments.localstripe import Fault, Reply, answering, lost_answer, unreachable
from tests.payments.payer import request_for
from tests.servers import free_port
from web.settings import ROOT, Settings

PAGE = ROOT / "docs" / "payments" / "adding-a-provider.md"
SECRET_KEY = "sk_of_the_tests"


@pytest.fixture(scope="module")
def example() -> Iterator[ModuleType]:
    """The page's code as the module it says it is."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    module = ModuleType("payments.acme")
    sys.modules[module.__name__] = module
    exec(compile(code, PAGE, "exec"), module.__dict__)
    yield module
    del sys.modules[module.__name__]


@pytest.fixture
def acme() -> Iterator[Acme]:
    with acme_pay(SECRET_KEY) as found:
        yield found


@pytest.fixture
def provider(example: ModuleType, acme: Acme) -> Provider:
    found: Provider = example.AcmePay(SECRET_KEY, acme.address)
    return found


@pytest.fixture
def trickling() -> Iterator[str]:
    """The address of a server whose answer takes ten seconds to come in."""
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65_536)
            with suppress(OSError):  # The client hangs up, as it should.
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
                for _ in range(1_000):
                    connection.sendall(b" ")
                    if ended.wait(0.01):
                        break

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    ended.set()
    thread.join()
    listener.close()


def every_answer(provider: Provider) -> list[object]:
    """What each method of the port is told."""
    return [
        provider.authorize(request_for("o1", "tok_visa")),
        provider.look_up("o1", "pay_1"),
        provider.capture("pay_1", 4_200, "EUR", "c"),
        provider.void("pay_1", "v"),
        provider.refund("pay_1", 4_200, "EUR", "r"),
    ]


class TestTheExampleKeepsTheContract(ProviderContract):
    @pytest.fixture
    def case(self, provider: Provider, acme: Acme) -> Case:
        return Case(
            provider,
            approve="tok_visa",
            decline="tok_no_funds",
            action="tok_action",
            slow="tok_slow",
            act=acme.act,
            charges=acme.charges,
        )


# ---------------------------------------------------------------- networks


def test_a_refused_connection_is_unreachable_whatever_is_asked(example: ModuleType) -> None:
    provider = example.AcmePay(SECRET_KEY, f"http://127.0.0.1:{free_port()}")

    assert every_answer(provider) == [Unreachable("NewConnectionError")] * 5


def test_a_name_that_nobody_knows_is_unreachable(example: ModuleType) -> None:
    provider = example.AcmePay(SECRET_KEY, "http://acmepay.invalid")

    assert provider.authorize(request_for("o1", "tok_visa")) == Unreachable("NameResolutionError")


def test_a_call_that_is_lost_on_its_way_is_unknown_and_may_be_repeated(provider: Provider, acme: Acme) -> None:
    acme.faults.append(unreachable)

    lost = provider.authorize(request_for("o1", "tok_visa"))
    absent = provider.look_up("o1", None)
    repeated = provider.authorize(request_for("o1", "tok_visa"))

    assert lost == Unknown("ProtocolError")
    assert absent == Absent()
    assert repeated == Approved("pay_1", 4_200, "EUR", captured=False)


def test_a_lost_answer_is_unknown_and_found_by_repeating_or_looking_it_up(provider: Provider, acme: Acme) -> None:
    acme.faults.append(lost_answer)

    lost = provider.authorize(request_for("o1", "tok_visa"))
    found = provider.look_up("o1", None)
    repeated = provider.authorize(request_for("o1", "tok_visa"))

    assert lost == Unknown("ProtocolError")
    assert found == repeated == Approved("pay_1", 4_200, "EUR", captured=False)
    assert acme.charges("o1") == 1


@pytest.mark.parametrize("step", ["capture", "void", "refund"])
def test_a_lost_answer_to_a_later_step_is_found_by_repeating_it(provider: Provider, acme: Acme, step: str) -> None:
    provider.authorize(replace(request_for("o1", "tok_visa"), capture=step == "refund"))
    arguments: Any = ("pay_1", "k") if step == "void" else ("pay_1", 4_200, "EUR", "k")
    acme.faults.append(lost_answer)

    answers = [getattr(provider, step)(*arguments) for _ in range(2)]

    assert answers == [Unknown("ProtocolError"), Done("ref_2" if step == "refund" else "pay_1")]


def test_an_answer_that_comes_too_late_is_unknown(example: ModuleType, acme: Acme) -> None:
    provider, over = example.AcmePay(SECRET_KEY, acme.address, time_out_seconds=0.3), threading.Event()

    def late(forward: Callable[[], Reply]) -> None:
        over.wait(30)

    acme.faults.append(late)
    answer = provider.authorize(request_for("o1", "tok_visa"))
    over.set()

    assert answer == Unknown("ReadTimeoutError")


def test_an_answer_that_trickles_in_ends_at_the_time_out(example: ModuleType, trickling: str) -> None:
    provider = example.AcmePay(SECRET_KEY, trickling, time_out_seconds=0.2)
    started = time.monotonic()

    answer = provider.authorize(request_for("o1", "tok_visa"))

    assert answer == Unknown("TimeoutError")
    assert time.monotonic() - started < 5


# ---------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        (answering(401, {"error": "unauthorized"}), Unreachable("HTTP 401")),
        (answering(403, {"error": "forbidden"}), Unreachable("HTTP 403")),
        (answering(429, "slow down"), Unreachable("HTTP 429")),
        (answering(500, {"error": "internal"}), Unknown("HTTP 500")),
        (answering(409, {"error": "in_progress"}), Unknown("HTTP 409")),
        (answering(302, "", Location="http://127.0.0.1:1/"), Unknown("HTTP 302")),
        (answering(200, "<html>Bad gateway</html>"), Unknown("JSONDecodeError")),
    ],
)
def test_what_does_not_say_what_happened_is_no_answer(
    provider: Provider, acme: Acme, fault: Fault, answer: object
) -> None:
    acme.faults.extend([fault] * 5)

    assert every_answer(provider) == [answer] * 5


@pytest.mark.parametrize("body", [None, [], 7, "text", {}, {"payments": [{}]}, {"payments": 1}, {"status": "new"}])
def test_json_that_is_no_payment_is_unknown(provider: Provider, acme: Acme, body: object) -> None:
    acme.faults.extend([answering(200, body)] * 5)

    assert {type(answer) for answer in every_answer(provider)} == {Unknown}


def test_a_wrong_key_is_unreachable(example: ModuleType, acme: Acme) -> None:
    provider = example.AcmePay("sk_of_somebody_else", acme.address)

    assert every_answer(provider) == [Unreachable("HTTP 401")] * 5


def test_a_token_that_is_none_is_declined_as_not_supported(provider: Provider) -> None:
    assert provider.authorize(request_for("o1", "no_token")) == Declined("not_supported")


def test_a_reason_that_nobody_knows_is_a_declined_card(provider: Provider) -> None:
    assert provider.authorize(request_for("o1", "tok_stolen")) == Declined("card_declined", "pay_1")


def test_a_step_of_a_payment_that_is_not_there_is_unknown(provider: Provider) -> None:
    assert provider.void("pay_1", "k") == Unknown("HTTP 404")


def test_a_refusal_says_why(provider: Provider) -> None:
    provider.authorize(request_for("o1", "tok_visa"))

    assert provider.refund("pay_1", 4_200, "EUR", "k") == Refused("Not so much was taken.")


def test_a_payment_that_is_another_one_or_several_is_unknown(provider: Provider, acme: Acme) -> None:
    provider.authorize(request_for("o1", "tok_visa"))

    another = provider.look_up("o1", "pay_2")
    acme.payments["pay_2"] = Payment("pay_2", "o1", 4_200, "EUR", "authorized")
    several = provider.look_up("o1", None)

    assert another == several == Unknown("several payments of one order, or another one")


# ---------------------------------------------------------------- a shop with it


@pytest.mark.parametrize("capture", ["manual", "automatic"])
def test_a_shop_with_the_example_takes_exactly_the_total_once(
    provider: Provider,
    acme: Acme,
    fake_pair: tuple[Redis, Redis],
    sqlite: Database,
    clock: Clock,
    settings: Settings,
    capture: str,
) -> None:
    text = (ROOT / "shop.toml").read_text().replace('provider = "sandbox"', 'provider = "acme"')
    shop = Shop(
        parse(text.replace('capture = "manual"', f'capture = "{capture}"')), *fake_pair, sqlite, clock, settings
    )
    shop.runtime = replace(shop.runtime, providers={"acme": provider})
    shop.pay_runtime = replace(shop.pay_runtime, providers={"acme": provider})
    shop.stocked(MUG=3)
    acme.faults.append(lost_answer)

    bought, refused = (
        shop.checkout(body={"payment_method": "card", "payment_token": token}, MUG=1)
        for token in ("tok_visa", "tok_no_funds")
    )
    shop.work_until_idle()
    clock.forward(60)
    shop.pay()

    (payment,) = acme.of_order(bought)
    assert (payment.status, payment.amount) == ("captured", shop.order(bought).total_minor)
    assert (shop.order(bought).status, shop.order(bought).payment_status) == ("confirmed", "captured")
    assert (shop.order(refused).status, shop.order(refused).payment_status) == ("failed", "failed")
    assert acme.charges(refused) == 0
    assert shop.stock("MUG") == 2
