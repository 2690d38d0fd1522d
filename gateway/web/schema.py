"""Shapes of the answers, for the OpenAPI document and the clients made from it. Answers are not built from these: they are columns."""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

Value = float | int | bool | str | None


class Shape(BaseModel):
    """Nothing but what is named."""

    model_config = ConfigDict(extra="forbid")


class TagRow(Shape):
    name: str
    tag_id: int = Field(description="row of the table, for this boot only")
    value: Value = Field(description="null where the quality is bad")
    unit: str = Field(description="UCUM")
    symbol: str = Field(description="the unit as people write it: °C for Cel")
    quality: str = Field(description="good, uncertain or bad")
    status: str = Field(description="OPC UA StatusCode by name")
    timestamp: str | None = Field(description="source time, ISO 8601")
    received: str | None
    age_s: float | None = Field(description="since it was last heard of; null = never")
    type: str = Field(description="float, int, bool, text or enum")
    label: str | None
    range: tuple[float, float] | None
    labels: dict[str, str] | None
    description: str
    source: str
    writable: bool
    enabled: bool


class TagPage(Shape):
    total: int
    offset: int
    tags: list[TagRow]


class Alarm(Shape):
    condition: str = Field(description="<tag>/Alarms/<limit>")
    tag: str
    limit: str
    threshold: float | None
    severity: str = Field(description="info, warning, error or critical")
    level: int = Field(description="1-1000")
    message: str
    active: bool
    acknowledged: bool
    retained: bool = Field(description="active or not acknowledged")
    value: float | None
    since: str | None
    user: str
    comment: str
    cause: str
    consequence: str
    action: str


class Alarms(Shape):
    alarms: list[Alarm]


class EventRow(Shape):
    event_id: str
    timestamp: str | None
    category: str
    severity: str
    level: int
    source: str
    message: str
    details: dict[str, Any]
    acknowledged: bool


class Events(Shape):
    events: list[EventRow]


class SeriesColumns(Shape):
    """Samples of one tag as columns, or buckets of them."""

    tag: str
    unit: str
    type: str
    t_ms: list[float] = Field(description="source times, or beginnings of buckets: ms since 1970")
    value: list[float | str | None] | None = None
    status: list[str] | None = Field(default=None, description="by name; absent where all are Good")
    next: str | None = Field(default=None, description="`from` of the next request, where there are more rows")
    min: list[float | None] | None = None
    max: list[float | None] | None = None
    mean: list[float | None] | None = None
    count: list[int] | None = None
    worst: list[str] | None = None


class History(Shape):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    start: str | None = Field(alias="from")
    to: str | None
    bucket_s: float | None = None
    series: list[SeriesColumns]


class Outcome(Shape):
    command: str
    status: str = Field(description="OPC UA StatusCode by name")
    code: int
    message: str
    result: dict[str, Any]


class Session(Shape):
    user: str
    role: str
    permissions: list[str]


class Link(Shape):
    path: str = Field(description="to be opened in a browser, once")
    user: str
    role: str
    expires_s: float


class Probe(Shape):
    status: str
    reasons: list[str]


class Component(Shape):
    status: str = Field(description="ok or error")
    details: dict[str, Any]


class Diagnostics(Shape):
    status: str
    time: str | None
    components: dict[str, Component]


class FieldFault(Shape):
    field: str
    detail: str


class ProblemDocument(BaseModel):
    """RFC 9457. A refused command adds status_code (by name), code, command and result."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[FieldFault] | None = None


_PROBLEM: Final = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    422: {"description": "A field of the request is wrong: a problem document", "content": _PROBLEM},
    "default": {"description": "A problem document (RFC 9457)", "model": ProblemDocument, "content": _PROBLEM},
}


def of(shape: type[BaseModel], status: int = 200) -> dict[int | str, dict[str, Any]]:
    """`responses` of a route that answers with that shape."""
    return {status: {"model": shape}}
