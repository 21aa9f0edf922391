"""Sending a webhook: one POST, signed, short of patience, and never to anywhere else than its endpoint."""

from __future__ import annotations

import email.utils
import http.client
import ssl
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from shop.notices import Reply, printable
from shop.webhooks import sign

if TYPE_CHECKING:
    import urllib3

CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 10.0
KEPT_BYTES: Final = 800
"""What is read of an answer: enough for a sentence in the log."""
CONNECTIONS: Final = 4
"""Kept open to each host."""


class Hooks:
    """Thread-safe. Its library is imported with the first webhook: most shops send none."""

    def __init__(self, seconds: float = ANSWER_SECONDS, trusted: ssl.SSLContext | None = None) -> None:
        """`trusted`: whose certificates are believed; None: those that the machine believes."""
        self._seconds = seconds
        self._trusted = trusted
        self._pool: urllib3.PoolManager | None = None

    def send(self, url: str, secrets: Sequence[str], message_id: str, body: bytes, now: int) -> Reply:
        """POST a message to an endpoint and answer what it said. `now` is in ms: a signature is good for minutes."""
        timestamp = now // 1000
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Oncecart-Webhooks",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(secrets, message_id, timestamp, body),
        }
        from urllib3.exceptions import HTTPError

        try:
            return self._post(url, headers, body, now)
        except (HTTPError, http.client.HTTPException, OSError, ValueError) as error:
            return Reply(False, None, _reason(error))

    def _post(self, url: str, headers: Mapping[str, str], body: bytes, now: int) -> Reply:
        import urllib3

        if self._pool is None:
            self._pool = urllib3.PoolManager(maxsize=CONNECTIONS, ssl_context=self._trusted)
        until = time.monotonic() + self._seconds
        response = self._pool.request(
            "POST",
            url,
            headers=headers,
            body=body,
            timeout=urllib3.Timeout(connect=min(CONNECT_SECONDS, self._seconds), total=self._seconds),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        said, over = b"", False
        try:
            while not over and len(said) < KEPT_BYTES and time.monotonic() < until:
                part = response.read1(KEPT_BYTES)
                said, over = said + part, not part
        except (urllib3.exceptions.HTTPError, OSError):
            pass  # The status has come, and that is the answer.
        finally:
            if over:
                response.release_conn()
            else:  # What was not read must not be taken for the next answer.
                response.close()
        status, good = response.status, 200 <= response.status < 300
        text = f"{status} {printable(said.decode(errors='replace'))}".strip()
        after = None if good else retry_after_ms(response.headers.get("Retry-After"), now)
        return Reply(good, status, text, final=status == 410, gone=status == 410, retry_after_ms=after)


def retry_after_ms(header: str | None, now: int) -> int | None:
    """How long a Retry-After header asks us to wait, in seconds or until a date; None when it does not."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return int(text[:9]) * 1000
    try:
        return max(0, int(email.utils.parsedate_to_datetime(text).timestamp() * 1000) - now)
    except (ValueError, TypeError, OverflowError):
        return None


def _reason(error: Exception) -> str:
    """What went wrong, without the addresses of objects that the library puts into it."""
    inner = getattr(error, "reason", None)
    cause = inner if isinstance(inner, Exception) else error.args[0] if error.args else error
    named = type(cause if isinstance(cause, Exception) else error).__name__
    return f"no answer: {named}: {printable(str(cause).rpartition(': ')[2])}"
