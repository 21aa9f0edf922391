"""How Stripe is reached: one pool of connections for all threads, one deadline a question, and no repeats.

The library's own client on `requests` cannot tell a call that never left from one whose answer was lost,
and its time-out starts afresh with every packet. Both matter for money.
"""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import stripe
import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ProxyError, SSLError

CALLS_AT_ONCE = 32
"""Connections kept open; more calls at once work too, on connections that are closed afterwards."""


class Lost(stripe.APIConnectionError):
    """No answer, for a reason that says nothing about what Stripe did."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)  # type: ignore[no-untyped-call]


class NeverSent(Lost):
    """No connection: Stripe has certainly not seen this call."""


class Connection(stripe.HTTPClient):
    """The HTTP client handed to the library. Thread-safe."""

    name = "urllib3"

    def __init__(self, api_base: str, time_out_seconds: float) -> None:
        super().__init__()
        self._pool = _pool(api_base)
        self._time_out_seconds = time_out_seconds
        self._question = threading.local()

    @contextmanager
    def question(self) -> Iterator[None]:
        """All calls inside share one time-out, however many there are."""
        self._question.ends = time.monotonic() + self._time_out_seconds
        yield

    def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        post_data: str | None = None,
        *,
        _usage: list[str] | None = None,
    ) -> tuple[str, int, Mapping[str, str]]:
        left = self._question.ends - time.monotonic()
        if left <= 0:
            raise Lost("no time was left for another call")
        try:
            return self._exchange(method, url, headers, post_data, left)
        except (NewConnectionError, ConnectTimeoutError, ProxyError) as error:
            raise NeverSent(type(error).__name__) from error
        except SSLError as error:
            # Without a certificate that holds nothing is sent; other TLS failures may come in the middle of an answer.
            refused = isinstance(error.args[0], ssl.SSLCertVerificationError)
            raise (NeverSent if refused else Lost)(type(error).__name__) from error
        except (HTTPError, http.client.HTTPException, OSError, ValueError) as error:
            raise Lost(type(error).__name__) from error

    def _exchange(
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: str | None, seconds: float
    ) -> tuple[str, int, Mapping[str, str]]:
        response = self._pool.request(
            method.upper(),
            url,
            headers=headers,
            body=post_data,
            timeout=urllib3.Timeout(total=seconds),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        try:
            return b"".join(self._parts(response)).decode(), response.status, response.headers
        finally:
            response.release_conn()

    def _parts(self, response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
        while part := response.read1(65_536, decode_content=True):
            # The time-out of a socket is per packet: an answer that trickles in would never end.
            if time.monotonic() > self._question.ends:
                response.close()
                raise TimeoutError
            yield part

    def close(self) -> None:
        self._pool.clear()


def _pool(api_base: str) -> urllib3.PoolManager:
    """Through the proxy that the environment names, if any, as `requests` does."""
    address = urlsplit(api_base)
    proxy = getproxies().get(address.scheme)
    if proxy and not proxy_bypass(address.netloc):
        return urllib3.ProxyManager(proxy, maxsize=CALLS_AT_ONCE, ca_certs=stripe.ca_bundle_path)
    return urllib3.PoolManager(maxsize=CALLS_AT_ONCE, ca_certs=stripe.ca_bundle_path)
