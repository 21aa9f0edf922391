"""Handing a mail to the server that the settings name."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from typing import Final
from urllib.parse import unquote, urlsplit

from shop.notices import Reply, printable

SECONDS: Final = 10.0
_PORTS: Final = {"smtp": 25, "smtps": 465}
_HERE: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Unencrypted(smtplib.SMTPException):
    """The server offers no encryption, and there is a password to send."""


class Smtp:
    """`smtp://user:password@host:587`, encrypted by STARTTLS where that is offered; `smtps://` from the first byte."""

    def __init__(self, url: str, seconds: float = SECONDS, trusted: ssl.SSLContext | None = None) -> None:
        """`trusted`: whose certificates are believed; None: those that the machine believes."""
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or _PORTS[parts.scheme]
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")
        self._from_the_first_byte = parts.scheme == "smtps"
        self._seconds = seconds
        self._trusted = trusted

    def send(self, message: EmailMessage) -> Reply:
        """One message on a connection of its own. A refusal of this very message is final; all else may pass."""
        try:
            with self._connection() as server:
                server.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            code, text = next(iter(error.recipients.values()))
            return _refused(code, text, final=500 <= code < 600)
        except smtplib.SMTPDataError as error:
            return _refused(error.smtp_code, error.smtp_error, final=500 <= error.smtp_code < 600)
        except smtplib.SMTPNotSupportedError as error:  # An address that this server cannot write.
            return _refused(None, str(error), final=True)
        except smtplib.SMTPResponseException as error:
            return _refused(error.smtp_code, error.smtp_error)
        except (OSError, ValueError) as error:
            return _refused(None, f"no answer: {type(error).__name__}: {error}")
        return Reply(True, 250, "the mail server took it")

    def check(self) -> None:
        """Say hello and go, to see whether mail could be sent. Raises OSError or SMTPException."""
        with self._connection() as server:
            server.noop()

    @contextmanager
    def _connection(self) -> Iterator[smtplib.SMTP]:
        context = self._trusted or ssl.create_default_context()
        if self._from_the_first_byte:
            server: smtplib.SMTP = smtplib.SMTP_SSL(self._host, self._port, timeout=self._seconds, context=context)
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=self._seconds)
        try:
            server.ehlo_or_helo_if_needed()
            if not self._from_the_first_byte:
                self._encrypt(server, context)
            if self._user:
                server.login(self._user, self._password)
            yield server
            with suppress(smtplib.SMTPException, OSError):  # What was taken is taken.
                server.quit()
        finally:
            server.close()

    def _encrypt(self, server: smtplib.SMTP, context: ssl.SSLContext) -> None:
        if server.has_extn("starttls"):
            server.starttls(context=context)
            server.ehlo()
        elif self._user and self._host not in _HERE:
            raise Unencrypted("the server offers no encryption, and the password is not sent without")


def _refused(code: int | None, text: bytes | str, *, final: bool = False) -> Reply:
    said = text.decode(errors="replace") if isinstance(text, bytes) else text
    return Reply(False, code, f"{code or ''} {printable(said)}".strip(), final=final)
