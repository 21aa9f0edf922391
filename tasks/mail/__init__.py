"""Mail to shoppers. Its libraries are large: only a worker whose shop sends mail imports this package."""

from __future__ import annotations

from db.notices import Work
from shop.notices import Reply
from tasks.letters import Told
from tasks.mail.smtp import Smtp
from tasks.mail.writer import Unaddressable, Writer


class Mail:
    """Writes and sends. Thread-safe."""

    def __init__(self, writer: Writer, smtp: Smtp) -> None:
        self._writer = writer
        self._smtp = smtp

    def send(self, work: Work, told: Told) -> Reply:
        try:
            message = self._writer.write(work, told)
        except Unaddressable as error:
            return Reply(False, None, f"it cannot be addressed: {error}", final=True)
        return self._smtp.send(message)


__all__ = ["Mail", "Smtp", "Writer"]
