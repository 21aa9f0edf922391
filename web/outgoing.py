"""Endpoints and notices, for the admin API and the command line alike."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

from db import endpoints, notice_list, notices
from db.models import EndpointRow, NoticeRow
from shop.errors import TooManyEndpoints
from shop.notices import MAIL, OLD_SECRET_MS, TEST
from shop.orders import ImpossibleTransition
from shop.webhooks import as_secret
from web.admin.versions import check_match
from web.services import Services

MOST_ENDPOINTS: Final = 20
"""Each is looked after by itself, twice a second."""
SECRET_BYTES: Final = 32
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz234567"


def add(services: Services, url: str, description: str, events: Sequence[str] | None) -> EndpointRow:
    """A new endpoint, with its secret. Raises TooManyEndpoints."""
    now = services.now()
    with services.database.writing() as session:
        if endpoints.count(session) >= MOST_ENDPOINTS:
            raise TooManyEndpoints(f"There are {MOST_ENDPOINTS} endpoints already.")
        row = endpoints.add(
            session,
            id=f"ep_{''.join(secrets.choice(_LETTERS) for _ in range(12))}",
            url=url,
            description=description,
            events=None if events is None else sorted(set(events)),
            secret=_new_secret(),
            created_at=now,
            updated_at=now,
        )
    services.database.audience.forget()
    return row


def change(services: Services, endpoint_id: str, given: Mapping[str, Any]) -> EndpointRow:
    """Raises EndpointNotFound, or ChangedMeanwhile when If-Match names another version."""
    with services.database.writing() as session:
        row = endpoints.lock(session, endpoint_id)
        check_match(row.updated_at)
        endpoints.change(session, row, given, services.now())
    services.database.audience.forget()
    return row


def rotate(services: Services, endpoint_id: str) -> EndpointRow:
    """An endpoint with a new secret; for a day the old one signs too. Raises EndpointNotFound."""
    now = services.now()
    with services.database.writing() as session:
        row = endpoints.lock(session, endpoint_id)
        endpoints.rotate(session, row, _new_secret(), now + OLD_SECRET_MS, now)
    return row


def remove(services: Services, endpoint_id: str) -> None:
    """Raises EndpointNotFound."""
    with services.database.writing() as session:
        endpoints.remove(session, endpoints.lock(session, endpoint_id), services.now())
    services.database.audience.forget()


def test(services: Services, endpoint_id: str) -> NoticeRow:
    """Let the worker send a test event. Raises EndpointNotFound or ImpossibleTransition."""
    with services.database.writing() as session:
        row = endpoints.lock(session, endpoint_id)
        if not row.is_active:
            raise ImpossibleTransition("This endpoint is switched off: set is_active first.")
        notice_id = f"test-{secrets.token_hex(8)}_{row.id}"
        return notices.add(session, notice_id, TEST, row.id, services.now())


def redeliver(services: Services, notice_id: str) -> NoticeRow:
    """Let a notice be sent once more, under the same id. Raises NoticeNotFound or ImpossibleTransition."""
    with services.database.writing() as session:
        row = notice_list.lock(session, notice_id)
        if row.target not in _targets(endpoints.every(session)):
            raise ImpossibleTransition("Its endpoint was removed or is switched off.")
        notice_list.begin_again(session, row, services.now())
    return row


def redeliver_failed(services: Services, since: int, endpoint_id: str | None) -> int:
    """Let everything be sent again that was written since an instant and given up; how many that are.

    Raises EndpointNotFound or ImpossibleTransition.
    """
    with services.database.writing() as session:
        targets = _targets(endpoints.every(session))
        if endpoint_id is not None:
            if not endpoints.get(session, endpoint_id).is_active:
                raise ImpossibleTransition("This endpoint is switched off: set is_active first.")
            targets = [endpoint_id]
        return notice_list.begin_failed_again(session, since, targets, services.now())


def _targets(rows: Sequence[EndpointRow]) -> list[str]:
    return [MAIL, *(row.id for row in rows if row.is_active)]


def _new_secret() -> str:
    return as_secret(secrets.token_bytes(SECRET_BYTES))
