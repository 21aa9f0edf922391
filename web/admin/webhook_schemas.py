"""What goes over the wire of the admin API's webhooks and notices."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema

from shop.notices import EVENTS, TEST
from shop.webhooks import LONGEST_URL, wrong_url
from web.admin.order_schemas import From
from web.schemas import Cursor, In, Instant, LinksOut, OneLine, OrdersPage, Out, Query


def _url(value: str) -> str:
    if wrong := wrong_url(value):
        raise ValueError(wrong)
    return value


def _event(value: str) -> str:
    if value not in EVENTS:
        raise ValueError(f"there are {', '.join(EVENTS)}")
    return value


def _any_event(value: str) -> str:
    return value if value == TEST else _event(value)


EndpointUrl = Annotated[str, Field(max_length=LONGEST_URL), AfterValidator(_url)]
Event = Annotated[str, AfterValidator(_event), WithJsonSchema({"type": "string", "enum": [*EVENTS]})]
AnyEvent = Annotated[str, AfterValidator(_any_event), WithJsonSchema({"type": "string", "enum": [*EVENTS, TEST]})]
Events = Annotated[list[Event], Field(min_length=1, max_length=len(EVENTS))]
Description = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200), OneLine]
EndpointId = Annotated[str, Field(pattern=r"^ep_[a-z2-7]{12}$")]
NoticeStatus = Literal["waiting", "sent", "failed", "dropped"]


class EndpointPath(BaseModel):
    endpoint_id: EndpointId


class NoticePath(BaseModel):
    notice_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,120}$")]


class EndpointIn(In):
    url: EndpointUrl = Field(examples=["https://erp.example/webhooks"])
    description: Description = ""
    events: Events | None = Field(None, description="Left out or null: everything, and what may be added.")


def _without_defaults(schema: dict[str, Any]) -> None:
    """What is left out is left as it is: there is no default."""
    for described in schema["properties"].values():
        described.pop("default", None)


class EndpointPatch(In):
    """Changes of an endpoint; what is left out stays."""

    model_config = ConfigDict(json_schema_extra=_without_defaults)

    url: EndpointUrl = ""
    description: Description = ""
    events: Events | None = Field(None, description="null: everything.")
    is_active: bool = Field(default=True, description="false: it is sent nothing, and hears nothing of what happens.")


class EndpointOut(Out):
    id: str
    url: str
    description: str
    events: list[Event] | None = Field(description="null: everything.")
    is_active: bool
    switched_off: str | None = Field(description="Why the shop switched it off by itself.")
    failing_since: Instant | None = Field(description="Since when it has taken nothing.")
    old_secret_until: Instant | None = Field(description="Until when messages are signed with the secret before too.")
    created_at: Instant
    updated_at: Instant
    links: LinksOut


class SecretOut(EndpointOut):
    secret: str = Field(description="What messages are signed with. It is shown this once.", examples=["whsec_…"])


class EndpointsOut(Out):
    items: list[EndpointOut]


class NoticesQuery(Query):
    status: NoticeStatus | None = None
    endpoint: Annotated[str, Field(pattern=r"^(ep_[a-z2-7]{12}|mail)$")] | None = Field(
        None, description="An endpoint's id, or `mail`."
    )
    order: Annotated[str, Field(pattern=r"^[0-9a-f-]{36}$")] | None = Field(None, description="An order's id.")
    event: AnyEvent | None = None
    per_page: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Cursor | None = Field(None, description="`page.next_cursor` of the page before.")


class NoticeOut(Out):
    id: str = Field(description="Of a webhook: its `webhook-id`, whenever it is sent.")
    event: AnyEvent
    order_id: str | None
    channel: Literal["mail", "webhook"]
    endpoint_id: str | None
    status: NoticeStatus = Field(
        description="`failed`: given up, and may be sent again. `dropped`: there is nobody any more to send it to."
    )
    attempts: int
    detail: str | None = Field(description="What came of the last attempt.")
    next_at: Instant | None = Field(description="When it is sent next; null: it is over.")
    created_at: Instant
    updated_at: Instant
    links: LinksOut


class AttemptOut(Out):
    attempt: int
    at: Instant
    outcome: Literal["sent", "failed"]
    code: int | None = Field(description="The status of HTTP, or of SMTP; null: nobody answered.")
    answer: str = Field(description="The beginning of the answer, or why there was none.")
    ms: int


class WholeNoticeOut(NoticeOut):
    log: list[AttemptOut] = Field(description="Every attempt, the first first.")


class NoticesOut(Out):
    items: list[NoticeOut] = Field(description="The newest first.")
    page: OrdersPage


class RedeliverIn(In):
    since: From = Field(description="Written from this instant on, or from this date's beginning in UTC.")
    endpoint_id: EndpointId | None = Field(None, description="Left out: to all, and by mail.")


class RedeliveredOut(Out):
    redelivered: int
