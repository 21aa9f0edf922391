"""Webhooks as Standard Webhooks has them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from shop.webhooks import as_secret, sign, wrong_url


@given(st.binary(min_size=24, max_size=64), st.integers(0, 4_000_000_000), st.text(max_size=200))
def test_we_sign_as_the_library_of_the_standard_does(random: bytes, at: int, text: str) -> None:
    secret, body = as_secret(random), text.encode("utf-8", "replace")

    signed = sign([secret], "msg_1", at, body)

    assert signed == Webhook(secret).sign("msg_1", datetime.fromtimestamp(at, UTC), body.decode())


def test_two_secrets_are_two_signatures() -> None:
    one, two = as_secret(b"1" * 32), as_secret(b"2" * 32)

    assert sign([one, two], "m", 1, b"{}") == f"{sign([one], 'm', 1, b'{}')} {sign([two], 'm', 1, b'{}')}"


@pytest.mark.parametrize(
    "url",
    [
        "https://erp.example/hooks?shop=1",
        "https://erp.example:8443/",
        "https://10.0.0.7/",
        "http://localhost:8080/",
        "http://erp:8080/hooks",
        "http://shop.localhost/",
        "http://192.168.1.20/",
        "http://[::1]:80/",
    ],
)
def test_these_addresses_may_be_told(url: str) -> None:
    assert wrong_url(url) is None


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://erp.example/", "use https"),
        ("http://8.8.8.8/", "use https"),
        ("http://2852039166/", "use https"),
        ("https://169.254.169.254/latest/meta-data", "no server of yours"),
        ("http://169.254.169.254/", "no server of yours"),
        ("https://[fe80::1]/", "no server of yours"),
        ("https://0.0.0.0/", "no server of yours"),
        ("https://me:secret@erp.example/", "user and password"),
        ("https://erp.example/#part", "behind the #"),
        ("ftp://erp.example/", "begins with https://"),
        ("https:///path", "begins with https://"),
        ("erp.example", "begins with https://"),
        ("https://erp.example:99999/", "no URL"),
        ("https://[::1/", "no URL"),
        ("https://erp.example/a b", "printable ASCII"),
        ("https://erp.example/\r\nX: 1", "printable ASCII"),
        ("https://büro.example/", "printable ASCII"),
        (f"https://erp.example/{'a' * 2000}", "at most 2000"),
        ("", "at most 2000"),
    ],
)
def test_these_are_a_mistake(url: str, why: str) -> None:
    assert why in (wrong_url(url) or "")
