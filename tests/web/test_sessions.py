"""Sessions: a signed token in a cookie or a header; a bad one starts a new session and is never an error."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from itsdangerous import TimestampSigner
from werkzeug.test import TestResponse

from app import create_app
from tests.harness import SECRETS, Client, Shop
from tests.web.answers import add, ok
from web.cursors import Cursors
from web.sessions import COOKIE, HEADER, Sessions
from web.settings import Settings

DAY = 24 * 3600


@pytest.fixture
def stocked(shop: Shop) -> Shop:
    shop.stocked(MUG=9)
    return shop


@pytest.fixture
def signed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """A token for a session, signed so many seconds ago."""

    def sign(session_id: str, age: float = 0, secret: str = SECRETS[0], salt: str = "oncecart.session") -> str:
        with monkeypatch.context() as patch:
            patch.setattr(TimestampSigner, "get_timestamp", lambda _: int(time.time() - age))
            return TimestampSigner(secret, salt=salt, sep=".").sign(session_id).decode()

    return sign


def with_token(shop: Shop, token: str) -> TestResponse:
    return shop.app.test_client().get("/api/cart", environ_overrides={"HTTP_X_SESSION_TOKEN": token})


def test_a_first_visit_gets_a_cookie_that_scripts_and_other_sites_cannot_use(stocked: Shop, shopper: Client) -> None:
    response = shopper.get("/api/cart")

    cookie = response.headers["Set-Cookie"]
    assert cookie.startswith(f"{COOKIE}={response.headers[HEADER]};")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/" in cookie
    assert f"Max-Age={90 * DAY}" in cookie
    assert "Secure" not in cookie
    assert "Domain" not in cookie


def test_a_known_session_gets_no_new_cookie(stocked: Shop, shopper: Client) -> None:
    add(shopper)

    response = shopper.get("/api/cart")

    assert "Set-Cookie" not in response.headers
    assert HEADER not in response.headers
    assert ok(response)["total_quantity"] == 1


@pytest.mark.parametrize("path", ["/api/products", "/api/categories", "/healthz", "/api/docs"])
def test_looking_around_starts_no_session(stocked: Shop, shopper: Client, path: str) -> None:
    response = shopper.get(path)

    assert "Set-Cookie" not in response.headers
    assert HEADER not in response.headers


def test_the_token_works_in_a_header_without_cookies(stocked: Shop, shopper: Client) -> None:
    token = add(shopper, quantity=2).headers[HEADER]

    response = stocked.app.test_client(use_cookies=False).get("/api/cart", headers={HEADER: token})

    assert ok(response)["total_quantity"] == 2


def test_the_header_wins_over_the_cookie(stocked: Shop, shopper: Client) -> None:
    add(shopper, quantity=1)
    token = add(stocked.shopper(), quantity=2).headers[HEADER]

    assert ok(shopper.get("/api/cart", headers={HEADER: token}))["total_quantity"] == 2
    assert ok(shopper.get("/api/cart"))["total_quantity"] == 1


def test_a_bad_header_leaves_the_cookie_its_say(stocked: Shop, shopper: Client) -> None:
    add(shopper, quantity=1)

    assert ok(shopper.get("/api/cart", headers={HEADER: "forged"}))["total_quantity"] == 1


@pytest.mark.parametrize(
    "token",
    [
        "garbage",
        "a.b.c",
        "..",
        ".",
        "0" * 32,
        "0" * 32 + ".aaaaaa.bbbb",
        "\x00",
        "é",
        "\xff\xfe",
        "a" * 100_000,
        '"; DROP TABLE orders; --',
        "*",
        "-1.-1.-1",
    ],
)
def test_a_token_that_is_none_starts_a_new_session(stocked: Shop, token: str) -> None:
    by_header = with_token(stocked, token)
    by_cookie = stocked.app.test_client(use_cookies=False).get(
        "/api/cart", environ_overrides={"HTTP_COOKIE": f"{COOKIE}={token}"}
    )

    for response in (by_header, by_cookie):
        assert ok(response)["items"] == []
        assert stocked.services.sessions.read(response.headers[HEADER])


@pytest.mark.parametrize(
    ("session_id", "options"),
    [
        ("a" * 32, {"secret": "another-secret-entirely"}),
        ("a" * 32, {"salt": "oncecart.cursor"}),
        ("a" * 32, {"age": 90 * DAY + 10}),
        ("a" * 32, {"age": 4000 * DAY}),
        ("A" * 32, {}),
        ("a" * 31, {}),
        ("a" * 33, {}),
        ("a" * 32 + "\n", {}),
        ("*", {}),
        ("a:b", {}),
    ],
)
def test_a_forged_expired_or_odd_token_starts_a_new_session(
    stocked: Shop, signed: Callable[..., str], session_id: str, options: dict[str, object]
) -> None:
    response = with_token(stocked, signed(session_id, **options))

    fresh = stocked.services.sessions.read(response.headers[HEADER])
    assert fresh is not None
    assert fresh[0] != session_id


def test_a_changed_token_starts_a_new_session(stocked: Shop, shopper: Client) -> None:
    token = add(shopper).headers[HEADER]

    for i in range(len(token)):
        forged = token[:i] + ("0" if token[i] != "0" else "1") + token[i + 1 :]
        # The last character of base64 has bits that do not count.
        if i < len(token) - 1:
            assert stocked.services.sessions.read(forged) is None


@pytest.mark.parametrize(("age", "renewed"), [(60, False), (DAY - 60, False), (DAY + 60, True), (90 * DAY - 60, True)])
def test_a_session_is_renewed_after_a_day(stocked: Shop, signed: Callable[..., str], age: float, renewed: bool) -> None:
    old = signed("a" * 32, age=age)

    response = with_token(stocked, old)

    assert (HEADER in response.headers) is renewed
    if renewed:
        found = stocked.services.sessions.read(response.headers[HEADER])
        assert found is not None
        assert found[0] == "a" * 32
        assert found[1] < 60


def test_a_token_from_a_host_whose_clock_is_ahead_is_good(stocked: Shop, signed: Callable[..., str]) -> None:
    response = with_token(stocked, signed("a" * 32, age=-3))

    assert HEADER not in response.headers


def test_the_tokens_of_earlier_secrets_stay_good_until_they_are_dropped(stocked: Shop, shopper: Client) -> None:
    token = add(shopper, quantity=2).headers[HEADER]
    new = "the-new-secret-key"

    def shop_with(secrets: list[str]) -> TestResponse:
        services = replace(stocked.services, sessions=Sessions(secrets, 90), cursors=Cursors(secrets))
        return create_app(services, stocked.settings).test_client().get("/api/cart", headers={HEADER: token})

    assert ok(shop_with([SECRETS[0], new]))["total_quantity"] == 2
    assert ok(shop_with([new]))["total_quantity"] == 0


def test_the_newest_secret_signs() -> None:
    token = Sessions(["the-old-secret-key", "the-new-secret-key"], 90).sign("a" * 32)

    assert Sessions(["the-new-secret-key"], 90).read(token)
    assert Sessions(["the-old-secret-key"], 90).read(token) is None


@pytest.mark.parametrize(("proxies", "secure"), [(0, False), (1, True)])
def test_the_cookie_is_secure_behind_a_trusted_proxy_with_https(
    stocked: Shop, settings: Settings, proxies: int, secure: bool
) -> None:
    app = create_app(stocked.services, settings.model_copy(update={"trusted_proxies": proxies}))

    response = app.test_client().get("/api/cart", headers={"X-Forwarded-Proto": "https"})

    assert ("Secure" in response.headers["Set-Cookie"]) is secure
    assert ("Strict-Transport-Security" in response.headers) is secure
