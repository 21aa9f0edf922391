"""Webhooks as Standard Webhooks has them: the signature, the secret, and the addresses they may go to.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

PREFIX: Final = "whsec_"
LONGEST_URL: Final = 2000
_PRINTABLE = re.compile(r"[!-~]+")
_NAME = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")


def as_secret(random: bytes) -> str:
    """A secret as the receiver is given it, made of at least 24 random bytes."""
    return PREFIX + b64encode(random).decode()


def secret_bytes(secret: str) -> bytes:
    """The key in `whsec_<base64>`. Raises ValueError when it is none."""
    try:
        key = b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("a webhook secret is whsec_ and base64") from error
    if len(key) < 16:
        raise ValueError("a webhook secret has at least 16 bytes")
    return key


def signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    """One signature. `timestamp` is in seconds, as it stands in the header."""
    digest = hmac.digest(key, b".".join((message_id.encode(), timestamp.encode(), body)), hashlib.sha256)
    return "v1," + b64encode(digest).decode()


def sign(secrets: Sequence[str], message_id: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`: one signature for each secret."""
    return " ".join(signature(secret_bytes(secret), message_id, str(timestamp), body) for secret in secrets)


def wrong_url(url: str) -> str | None:
    """Why webhooks may not go to an address; None when they may.

    What they say of orders is not for everybody on the way: without https only to this machine, to a private address
    or to a name without a dot, as containers have. A link-local one is never a shop's: that is where clouds keep keys.
    """
    if len(url) > LONGEST_URL or not _PRINTABLE.fullmatch(url):
        return f"write at most {LONGEST_URL} printable ASCII characters, without blanks"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "this is no URL"
    if parts.scheme not in ("https", "http") or not host:
        return "write a URL that begins with https://"
    if "@" in parts.netloc:
        return "leave user and password out: the signature says who it is from"
    if parts.fragment:
        return "leave out what stands behind the #: nobody is sent that"
    return _wrong_host(host, parts.scheme == "https")


def _wrong_host(host: str, is_secret: bool) -> str | None:
    try:
        address = ip_address(host)
    except ValueError:
        is_near = host == "localhost" or host.endswith(".localhost") or _NAME.fullmatch(host) is not None
    else:
        if address.is_link_local or address.is_multicast or address.is_unspecified:
            return "this address is no server of yours"
        is_near = address.is_private
    return None if is_secret or is_near else "use https: http is for this machine and private addresses only"
