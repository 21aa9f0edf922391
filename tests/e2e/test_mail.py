"""A shop of real processes tells its shopper by mail, and the link in it opens the order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.processes import RunningShop, running
from tests.servers import until
from tests.tasks.receivers import mailbox

pytestmark = pytest.mark.e2e


def test_a_shopper_is_told_by_mail_and_follows_its_link(tmp_path: Path) -> None:
    settings = {"MAIL_FROM": "Our shop <orders@shop.example>"}
    with mailbox() as box, running(RunningShop(tmp_path / "var", settings={**settings, "SMTP_URL": box.url})) as shop:
        shopper = shop.shopper()
        shopper.add("enamel-mug")
        order_id = shopper.check_out().body["id"]
        assert shopper.outcome(order_id)["status"] == "confirmed"

        until(lambda: box.got, 20, "the mail")

        (message,) = box.got
        text = message.get_body(("plain",))
        assert text is not None
        (link,) = re.findall(rf"{re.escape(shop.address)}(/orders/\S+)", text.get_content())
        seen = shop.shopper().ask("GET", f"/api{link}")
        assert (seen.status, seen.body["id"], seen.body["email"]) == (200, order_id, "ada@example.com")
        assert shop.shopper().ask("GET", f"/api/orders/{order_id}").status == 404
