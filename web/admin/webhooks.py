"""The merchant's webhook endpoints, and the notices that are sent to them and to shoppers."""

from __future__ import annotations

from typing import Any

from db import endpoints, notice_list
from db.models import AttemptRow, EndpointRow, NoticeRow
from db.notice_list import Filter
from shop.notices import MAIL
from web import outgoing
from web.admin import webhook_schemas as schemas
from web.admin.auth import PREFIX
from web.admin.auth import webhooks as api
from web.admin.versions import etag
from web.schemas import LinksOut, OrdersPage, instant
from web.services import services

Headers = dict[str, str]
KIND = "admin-notices"

# ---------------------------------------------------------------- endpoints


@api.get("/webhooks", responses={200: schemas.EndpointsOut})
def list_webhooks() -> schemas.EndpointsOut:
    """List the endpoints, the oldest first."""
    with services().database.reading() as session:
        rows = endpoints.every(session)
    return schemas.EndpointsOut(items=[schemas.EndpointOut(**_endpoint(row)) for row in rows])


@api.post("/webhooks", responses={201: schemas.SecretOut})
def create_webhook(body: schemas.EndpointIn) -> tuple[schemas.SecretOut, int, Headers]:
    """Create an endpoint. The answer has its secret, this once."""
    row = outgoing.add(services(), body.url, body.description, body.events)
    return _with_secret(row), 201, {"Location": f"{PREFIX}/webhooks/{row.id}", **etag(row.updated_at)}


@api.get("/webhooks/<endpoint_id>", responses={200: schemas.EndpointOut})
def show_webhook(path: schemas.EndpointPath) -> tuple[schemas.EndpointOut, int, Headers]:
    """Show an endpoint, without its secret."""
    with services().database.reading() as session:
        row = endpoints.get(session, path.endpoint_id)
    return schemas.EndpointOut(**_endpoint(row)), 200, etag(row.updated_at)


@api.patch("/webhooks/<endpoint_id>", responses={200: schemas.EndpointOut})
def change_webhook(path: schemas.EndpointPath, body: schemas.EndpointPatch) -> tuple[schemas.EndpointOut, int, Headers]:
    """Change an endpoint; one that the shop switched off is switched on again with `is_active`."""
    row = outgoing.change(services(), path.endpoint_id, body.model_dump(exclude_unset=True))
    return schemas.EndpointOut(**_endpoint(row)), 200, etag(row.updated_at)


@api.delete("/webhooks/<endpoint_id>", responses={204: None})
def delete_webhook(path: schemas.EndpointPath) -> tuple[str, int]:
    """Remove an endpoint for good. What waits for it is dropped; the log of what it was sent stays."""
    outgoing.remove(services(), path.endpoint_id)
    return "", 204


@api.post("/webhooks/<endpoint_id>/rotate", responses={200: schemas.SecretOut})
def rotate_secret(path: schemas.EndpointPath) -> tuple[schemas.SecretOut, int, Headers]:
    """Give an endpoint a new secret, in the answer this once; for 24 hours the old one signs too."""
    row = outgoing.rotate(services(), path.endpoint_id)
    return _with_secret(row), 200, etag(row.updated_at)


@api.post("/webhooks/<endpoint_id>/test", responses={202: schemas.NoticeOut})
def test_webhook(path: schemas.EndpointPath) -> tuple[schemas.NoticeOut, int, Headers]:
    """Send a `webhook.test`; what came of it is at `Location` in a moment."""
    row = outgoing.test(services(), path.endpoint_id)
    return schemas.NoticeOut(**_notice(row)), 202, {"Location": f"{PREFIX}/notices/{row.id}"}


def _endpoint(row: EndpointRow) -> dict[str, Any]:
    now = services().now()
    old_until = row.old_secret_until if (row.old_secret_until or 0) > now else None
    return {
        "id": row.id,
        "url": row.url,
        "description": row.description,
        "events": row.events,
        "is_active": row.is_active,
        "switched_off": row.switched_off,
        "failing_since": _instant(row.failing_since),
        "old_secret_until": _instant(old_until),
        "created_at": instant(row.created_at),
        "updated_at": instant(row.updated_at),
        "links": LinksOut(self=f"{PREFIX}/webhooks/{row.id}"),
    }


def _with_secret(row: EndpointRow) -> schemas.SecretOut:
    return schemas.SecretOut(**_endpoint(row), secret=row.secret)


# ---------------------------------------------------------------- notices


@api.get("/notices", responses={200: schemas.NoticesOut})
def list_notices(query: schemas.NoticesQuery) -> schemas.NoticesOut:
    """List what was told, or is to be, to endpoints and by mail; kept for 30 days."""
    at = services()
    place = at.cursors.read(query.cursor, KIND) if query.cursor else None
    wanted = Filter(query.status, query.endpoint, query.order, query.event)
    with at.database.reading() as session:
        rows = notice_list.page(session, wanted, query.per_page + 1, (place[0], place[1]) if place else None)
    more, rows = len(rows) > query.per_page, rows[: query.per_page]
    next_cursor = at.cursors.write(KIND, rows[-1].created_at, rows[-1].id) if more else None
    return schemas.NoticesOut(
        items=[schemas.NoticeOut(**_notice(row)) for row in rows],
        page=OrdersPage(per_page=query.per_page, next_cursor=next_cursor),
    )


@api.get("/notices/<notice_id>", responses={200: schemas.WholeNoticeOut})
def show_notice(path: schemas.NoticePath) -> schemas.WholeNoticeOut:
    """Show a notice with every attempt to send it."""
    with services().database.reading() as session:
        row, log = notice_list.get(session, path.notice_id), notice_list.attempts(session, path.notice_id)
    return schemas.WholeNoticeOut(**_notice(row), log=[_attempt(each) for each in log])


@api.post("/notices/<notice_id>/redeliver", responses={202: schemas.NoticeOut})
def redeliver_notice(path: schemas.NoticePath) -> tuple[schemas.NoticeOut, int]:
    """Send a notice once more, at once and under the same id; if it fails again, it is tried as often as at first."""
    return schemas.NoticeOut(**_notice(outgoing.redeliver(services(), path.notice_id))), 202


@api.post("/notices/redeliver", responses={202: schemas.RedeliveredOut})
def redeliver_failed(body: schemas.RedeliverIn) -> tuple[schemas.RedeliveredOut, int]:
    """Send everything again that was given up: after an outage of yours, from its beginning."""
    return schemas.RedeliveredOut(redelivered=outgoing.redeliver_failed(services(), body.since, body.endpoint_id)), 202


def _notice(row: NoticeRow) -> dict[str, Any]:
    mailed = row.target == MAIL
    return {
        "id": row.id,
        "event": row.event,
        "order_id": row.order_id,
        "channel": "mail" if mailed else "webhook",
        "endpoint_id": None if mailed else row.target,
        "status": row.status,
        "attempts": row.attempts,
        "detail": row.detail,
        "next_at": _instant(row.next_at),
        "created_at": instant(row.created_at),
        "updated_at": instant(row.updated_at),
        "links": LinksOut(self=f"{PREFIX}/notices/{row.id}"),
    }


def _attempt(row: AttemptRow) -> schemas.AttemptOut:
    return schemas.AttemptOut(
        attempt=row.attempt,
        at=instant(row.at),
        outcome=row.outcome,  # type: ignore[arg-type]
        code=row.code,
        answer=row.answer,
        ms=row.ms,
    )


def _instant(ms: int | None) -> str | None:
    return None if ms is None else instant(ms)
