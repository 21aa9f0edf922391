"""No key, no answer: every address under /api/admin, whether there is one or not, is closed the same way."""

from __future__ import annotations

import json
import re
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from app import create_app
from db import api_keys
from db.models import ApiKeyRow
from tests.harness import Client, Shop
from tests.tasks.helpers import sql_away
from tests.web.admin.conftest import key_for
from web.admin import keys
from web.admin.auth import PREFIX, SCOPE_OF
from web.admin.keys import SCOPES
from web.services import assemble

ORIGIN = "https://shop.example"
ADMIN_KEY = "the-first-key-of-all"


@pytest.fixture
def guarded(lasting_shop: Shop) -> Shop:
    return lasting_shop


def routes(shop: Shop) -> Iterator[tuple[str, str, Rule]]:
    """Each method and address under /api/admin, with something in the place of its variables."""
    for rule in shop.app.url_map.iter_rules():
        if rule.rule.startswith(PREFIX):
            path = re.sub(r"<(?:int:)?[^>]+>", "1", rule.rule)
            for method in sorted((rule.methods or set()) - {"OPTIONS"}):
                yield method, path, rule


def ask(shop: Shop, method: str, path: str, authorization: str | None = None, **given: Any) -> TestResponse:
    headers = {} if authorization is None else {"Authorization": authorization}
    # Not the client that knows the document: what comes from nowhere is documented nowhere.
    return shop.app.test_client().open(path, method=method, headers=headers, **given)


def wrong_keys(shop: Shop) -> dict[str, str | None]:
    good, revoked = key_for(shop, name=None), key_for(shop, name="gone")
    with shop.database.writing() as session:
        assert api_keys.revoke(session, "gone", shop.clock())
    secret = good.rpartition("_")[2]
    other = "0" if secret[-1] != "0" else "1"
    return {
        "none": None,
        "empty": "",
        "nonsense": "open sesame",
        "another scheme": f"Basic {good}",
        "no scheme": good,
        "a scheme alone": "Bearer",
        "a scheme and blanks": "Bearer   ",
        "not of our form": "Bearer swordfish",
        "too long": f"Bearer {good}0",
        "in capitals": f"Bearer {good.upper()}",
        "two keys": f"Bearer {good} {good}",
        "not ASCII": "Bearer ключ",
        "very long": f"Bearer {'x' * 8000}",
        "an unknown id": f"Bearer oc_zzzzzzzz_{secret}",
        "a wrong secret": f"Bearer {good[:-1]}{other}",
        "revoked": f"Bearer {revoked}",
        "the name of the first key": f"Bearer {keys.FROM_SETTINGS}",
    }


@pytest.fixture(scope="module")
def wrong(lasting_shop: Shop) -> dict[str, str | None]:
    return wrong_keys(lasting_shop)


def refusal(response: TestResponse) -> dict[str, Any]:
    """What a refusal says, but for the id of the request; fails where it tells more than that."""
    assert response.status_code == 401, response.text
    assert response.headers["WWW-Authenticate"].startswith("Bearer ")
    assert response.headers["Cache-Control"] == "no-store"
    assert response.mimetype == "application/problem+json"
    for name in ("ETag", "Set-Cookie", "Allow", "Location", "X-Session-Token", "Last-Modified"):
        assert name not in response.headers
    body: dict[str, Any] = {} if response.request.method == "HEAD" else response.get_json()
    body.pop("request_id", None)
    return body


def test_every_address_is_closed_to_everybody_without_a_good_key(guarded: Shop, wrong: dict[str, str | None]) -> None:
    said = set()
    for method, path, _ in routes(guarded):
        for authorization in wrong.values():
            body = refusal(ask(guarded, method, path, authorization))
            said.add(json.dumps(body, sort_keys=True))

    said.discard("{}")  # HEAD
    assert len(said) <= 1
    for text in said:
        assert json.loads(text)["code"] == "unauthenticated"


@pytest.mark.parametrize(
    "path",
    [
        PREFIX,
        f"{PREFIX}/",
        f"{PREFIX}/nothing",
        f"{PREFIX}/products/1/2/3/4",
        f"{PREFIX}/%2e%2e/products",
        f"{PREFIX}//products",
        f"{PREFIX}/products/",
        f"{PREFIX}/./orders",
        f"//{PREFIX}/orders".replace("///", "/"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"])
def test_what_is_not_there_is_closed_too(guarded: Shop, method: str, path: str, wrong: dict[str, str | None]) -> None:
    for name in ("none", "nonsense", "an unknown id", "a wrong secret", "revoked"):
        refusal(ask(guarded, method, path, wrong[name]))


def test_no_method_of_an_address_is_told_to_strangers(guarded: Shop) -> None:
    for path in {path for _, path, _ in routes(guarded)}:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "TRACE"):
            refusal(ask(guarded, method, path))


def test_with_a_key_what_is_not_there_is_not_found(guarded: Shop) -> None:
    key = f"Bearer {key_for(guarded)}"

    assert ask(guarded, "GET", f"{PREFIX}/nothing", key).status_code == 404


def test_a_key_of_another_scope_is_refused_by_the_name_of_the_one_it_lacks(guarded: Shop) -> None:
    alone = {scope: f"Bearer {key_for(guarded, scope)}" for scope in SCOPES}
    needs = {blueprint.name: scope for blueprint, scope in SCOPE_OF.items()}
    for method, path, rule in routes(guarded):
        needed = needs[rule.endpoint.partition(".")[0]]
        for scope, authorization in alone.items():
            if scope == needed:
                continue
            response = ask(guarded, method, path, authorization)
            assert response.status_code == 403, (method, path, scope)
            if method != "HEAD":
                assert response.get_json()["code"] == "missing_scope"
                assert needed in response.get_json()["detail"]


def test_every_route_belongs_to_a_scope(guarded: Shop) -> None:
    owners = {blueprint.name for blueprint in SCOPE_OF}

    assert set(SCOPE_OF.values()) == set(SCOPES)
    assert [rule.rule for _, _, rule in routes(guarded) if rule.endpoint.partition(".")[0] not in owners] == []


def test_a_route_without_a_scope_is_closed_to_every_key(shop: Shop) -> None:
    app = create_app(shop.services, shop.settings)
    app.add_url_rule(f"{PREFIX}/forgotten", view_func=lambda: "secret")
    key = key_for(shop)

    response = app.test_client().get(f"{PREFIX}/forgotten", headers={"Authorization": f"Bearer {key}"})

    assert response.status_code == 403
    assert response.get_json()["detail"] == "This route is closed."
    assert app.test_client().get(f"{PREFIX}/forgotten").status_code == 401


def test_what_only_looks_like_the_admin_api_is_not_guarded(guarded: Shop) -> None:
    assert ask(guarded, "GET", "/api/administration").status_code == 404
    assert ask(guarded, "GET", "/api/products").status_code == 200


@pytest.mark.parametrize("case", ["bearer", "BEARER", "Bearer"])
def test_the_scheme_may_be_written_in_any_case(guarded: Shop, case: str) -> None:
    assert ask(guarded, "GET", f"{PREFIX}/nothing", f"{case} {key_for(guarded)}").status_code == 404


def test_a_key_that_is_revoked_is_refused_by_the_next_request(any_shop: Shop) -> None:
    key = f"Bearer {key_for(any_shop, name='short-lived')}"
    before = ask(any_shop, "GET", f"{PREFIX}/nothing", key)
    with any_shop.database.writing() as session:
        api_keys.revoke(session, "short-lived", any_shop.clock())

    after = ask(any_shop, "GET", f"{PREFIX}/nothing", key)

    assert (before.status_code, after.status_code) == (404, 401)


# ---------------------------------------------------------------- browsers


def with_origin(shop: Shop, admin_api_key: str = "") -> Client:
    settings = shop.settings.model_copy(update={"cors_origins": (ORIGIN,), "admin_api_key": admin_api_key})
    services = assemble(
        settings, shop.rules, shop.redis, shop.queue_redis, shop.database, ["a-secret-of-the-tests"], shop.clock
    )
    app = create_app(services, settings)
    app.test_client_class = Client
    client = app.test_client()
    assert isinstance(client, Client)
    return client


@pytest.mark.parametrize("path", ["products", "orders", "nothing"])
def test_a_browser_may_ask_without_a_key_whether_it_may_send_one(shop: Shop, path: str) -> None:
    headers = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, content-type, if-match",
    }

    allowed = with_origin(shop).options(f"{PREFIX}/{path}", headers=headers)
    elsewhere = with_origin(shop).options(f"{PREFIX}/{path}", headers={**headers, "Origin": "https://evil.example"})

    assert (allowed.status_code, elsewhere.status_code) == (204, 204)
    assert allowed.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "authorization" in allowed.headers["Access-Control-Allow-Headers"].lower()
    assert "POST" in allowed.headers["Access-Control-Allow-Methods"]
    assert "Access-Control-Allow-Origin" not in elsewhere.headers
    assert "Allow" not in allowed.headers  # It would tell which methods there are, and whether there is anything.


def test_a_refusal_can_be_read_by_an_allowed_page(shop: Shop) -> None:
    response = with_origin(shop).get(f"{PREFIX}/products", headers={"Origin": ORIGIN})

    assert response.status_code == 401
    assert response.headers["Access-Control-Allow-Origin"] == ORIGIN


# ---------------------------------------------------------------- the first key


def test_the_key_of_the_settings_opens_everything(shop: Shop) -> None:
    client = with_origin(shop, ADMIN_KEY)
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}

    answers = [client.get(f"{PREFIX}/{path}", headers=headers).status_code for path in ("nothing", *_lists(shop))]

    assert answers[0] == 404
    assert set(answers[1:]) <= {200}
    assert client.get(f"{PREFIX}/nothing", headers={"Authorization": f"Bearer {ADMIN_KEY}x"}).status_code == 401


def _lists(shop: Shop) -> list[str]:
    """The addresses without a variable that can be read."""
    rules = [rule for method, _, rule in routes(shop) if method == "GET" and "<" not in rule.rule]
    return [rule.rule.removeprefix(f"{PREFIX}/") for rule in rules]


def test_without_a_first_key_none_opens_anything(shop: Shop) -> None:
    for text in ("", " ", "None", keys.FROM_SETTINGS):
        assert ask(shop, "GET", f"{PREFIX}/nothing", f"Bearer {text}").status_code == 401


# ---------------------------------------------------------------- stores that are away


def test_with_sql_away_a_key_is_answered_with_503_and_what_cannot_be_one_with_401(shop: Shop) -> None:
    key = f"Bearer {key_for(shop)}"
    with sql_away(shop):
        response = ask(shop, "GET", f"{PREFIX}/nothing", key)
        unknown = ask(shop, "GET", f"{PREFIX}/nothing", f"Bearer oc_zzzzzzzz_{'0' * 48}")
        nonsense = ask(shop, "GET", f"{PREFIX}/nothing", "Bearer nonsense")

    assert (response.status_code, unknown.status_code, nonsense.status_code) == (503, 503, 401)
    assert response.headers["Retry-After"] == "2"


def test_with_sql_away_the_first_key_still_gets_past_the_guard(shop: Shop) -> None:
    client = with_origin(shop, ADMIN_KEY)
    with sql_away(shop):
        response = client.get(f"{PREFIX}/nothing", headers={"Authorization": f"Bearer {ADMIN_KEY}"})

    assert response.status_code == 404


# ---------------------------------------------------------------- large bodies


class Endless:
    """A body that never ends, and counts what was taken of it."""

    def __init__(self) -> None:
        self.taken = 0

    def read(self, size: int = -1) -> bytes:
        size = 65536 if size < 0 else size
        self.taken += size
        assert self.taken < 64 * 1024 * 1024, "it is read to the end"
        return b"x" * size

    readline = read


@pytest.mark.parametrize("length", ["1099511627776", None], ids=["announced", "chunked"])
def test_a_huge_body_without_a_key_is_refused_unread(guarded: Shop, length: str | None) -> None:
    body = Endless()
    environ = {"wsgi.input": body, "wsgi.input_terminated": True, "CONTENT_TYPE": "application/json"}
    environ |= {"CONTENT_LENGTH": length} if length else {"HTTP_TRANSFER_ENCODING": "chunked"}
    tracemalloc.start()

    response = guarded.app.test_client().post(f"{PREFIX}/products", environ_overrides=environ)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert response.status_code == 401
    assert body.taken == 0
    assert peak < 4 * 1024 * 1024


# ---------------------------------------------------------------- secrets stay secret


def test_no_secret_is_logged_and_none_is_in_the_database(any_shop: Shop) -> None:
    key = key_for(any_shop, name="Ada's key")
    secret = key.rpartition("_")[2]
    with capture_logs() as entries:
        ask(any_shop, "GET", f"{PREFIX}/nothing", f"Bearer {key}")
        ask(any_shop, "GET", f"{PREFIX}/nothing", f"Bearer {key}0")

    assert [entry.get("api_key") for entry in entries if entry["event"] == "request"] == ["Ada's key", None]
    assert secret not in repr(entries)
    with any_shop.database.reading() as session:
        row = session.scalars(select(ApiKeyRow)).one()
        assert row.hash == keys.hash_of(secret)
        assert secret not in repr(vars(row))


def test_keys_are_random_and_of_one_form() -> None:
    made = [keys.make() for _ in range(200)]

    assert len({new.id for new in made}) == len({new.text for new in made}) == 200
    assert all(keys.take_apart(new.text) == (new.id, new.text.rpartition("_")[2]) for new in made)
    assert all(keys.hash_of(new.text.rpartition("_")[2]) == new.hash for new in made)


def test_texts_that_are_not_ascii_are_compared_and_not_refused() -> None:
    assert keys.same("ключ", "ключ")
    assert not keys.same("ключ", "key")
