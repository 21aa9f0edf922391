"""The token of a mail: it opens one order, to be read, for a while."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tasks.order_tokens import OrderTokens
from tests.harness import SECRETS, Shop

ORDER, OTHER = "01a207b4-f553-7336-a13e-57083c89ab92", "01a207b4-f553-7336-a13e-57083c89ab93"


def test_a_token_opens_its_order_and_no_other() -> None:
    tokens = OrderTokens(SECRETS)

    token = tokens.make(ORDER)

    assert tokens.opens(token, ORDER)
    assert not tokens.opens(token, OTHER)
    assert ORDER not in token


@pytest.mark.parametrize("token", ["", ".", "a.b", "é", "x" * 200, "\ud800", f"{OTHER}.a.b"])
def test_what_is_no_token_opens_nothing(token: str) -> None:
    assert not OrderTokens(SECRETS).opens(token, ORDER)


def test_a_token_of_an_earlier_secret_opens_its_order_still() -> None:
    token = OrderTokens(["an-earlier-secret-key"]).make(ORDER)

    assert OrderTokens(["an-earlier-secret-key", "the-secret-key-of-now"]).opens(token, ORDER)
    assert not OrderTokens(["the-secret-key-of-now"]).opens(token, ORDER)


def test_a_token_that_is_too_old_opens_nothing() -> None:
    token = OrderTokens(SECRETS).make(ORDER)

    assert not OrderTokens(SECRETS, timedelta(seconds=-1)).opens(token, ORDER)


def test_a_session_needs_no_token_and_loses_nothing_by_a_wrong_one(any_shop: Shop) -> None:
    any_shop.stocked(MUG=3)
    shopper, stranger = any_shop.shopper(), any_shop.shopper()
    order_id = any_shop.checkout(shopper, MUG=1)
    any_shop.work_until_idle()
    token = any_shop.services.order_tokens.make(order_id)
    path = f"/api/orders/{order_id}"

    assert shopper.get(path).status_code == 200
    assert shopper.get(f"{path}?token=wrong").status_code == 200
    assert stranger.get(f"{path}?token={token}").status_code == 200
    assert stranger.get(f"{path}?token=wrong").status_code == 404
    assert stranger.get(f"{path}?token={token[:-1]}").status_code == 404
    assert stranger.get(f"{path}?token=%00").status_code == 400
    assert stranger.get(f"{path}?other=1").status_code == 400
    assert stranger.get(path).headers["Cache-Control"] == "private, no-cache"


def test_a_token_of_a_session_opens_no_order(shop: Shop) -> None:
    shop.stocked(MUG=3)
    order_id = shop.checkout(MUG=1)
    shop.work_until_idle()
    token = shop.services.sessions.sign("0" * 32)

    assert shop.shopper().get(f"/api/orders/{order_id}?token={token}").status_code == 404


def test_the_page_of_an_order_keeps_its_token_to_itself(shop: Shop) -> None:
    with_token = shop.shopper().get(f"/orders/{ORDER}?token=a.b")
    without = shop.shopper().get(f"/orders/{ORDER}")

    assert (with_token.headers["Referrer-Policy"], with_token.headers["Cache-Control"]) == ("no-referrer", "no-store")
    assert (without.headers["Referrer-Policy"], without.headers["Cache-Control"]) == ("same-origin", "no-cache")
    assert "a.b" not in with_token.text
