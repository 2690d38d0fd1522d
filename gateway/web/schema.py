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
    confirmed: bool
    latched: bool = Field(description="back to normal, and waits for its reset")
    enabled: bool
    shelving: str = Field(description="unshelved, timed or one_shot")
    unshelve_at: str | None = Field(description="when a timed shelving ends")
    shelve_max_s: float
    suppressed: bool
    out_of_service: bool
    retained: bool = Field(description="active, not acknowledged or not confirmed")
    holds: str | None = Field(description="which limit holds, of a condition with several")
    value: float | None = Field(description="at the last change of active or of the limit that holds")
    status: str
    since: str | None = Field(description="of the last transition")
    change: str | None = Field(description="the last transition, for example acknowledged; null before the first")
    raised: str | None = Field(description="when it became active last")
    active_since: str | None = Field(description="the same, while it is active")
    serial: int = Field(description="counts the transitions")
    user: str = Field(description="who acted last; empty where time or the process did")
    comment: str = Field(description="what was said last")
    comment_user: str
    comment_time: str | None
    cause: str
    consequence: str
    action: str


class Alarms(Shape):
    total: int
    offset: int
    alarms: list[Alarm]


class Frequent(Shape):
    condition: str
    count: int
    share: float


class Chattering(Shape):
    condition: str
    on_delay_s: float | None = Field(description="the least delay that would have ended the chatter")
    off_delay_s: float | None
    hysteresis: float | None = Field(description="in engineering units; null where history does not tell")


class AlarmPerformance(Shape):
    """Of the alarms that were annunciated in the last 24 hours: not of shelved, suppressed and disabled ones."""

    observed_h: float
    last_10_min: int
    last_day: int
    per_10_min: float
    per_hour: float
    per_day: float
    peak_10_min: int
    flood_now: bool
    flood_share: float = Field(
        description="of the regular intervals of 10 minutes, those in a flood: from more than 10 alarms to fewer than 5"
    )
    standing: int
    stale: int = Field(description="active for more than 24 hours")
    chattering: list[Chattering] = Field(description="three times within a minute")
    fleeting: int = Field(description="back to normal within 10 seconds")
    top: list[Frequent]
    top_share: float
    severity: dict[str, int]
    acknowledge_s: float | None
    shelved: int
    suppressed: int
    out_of_service: int
    disabled: int


class LimitVerdicts(Shape):
    """What became of the alerts of one limit; null where there is nothing to say yet."""

    condition: str
    tag: str
    limit: str
    alerts: int = Field(description="that were judged")
    hits: int = Field(description="whose limit became active within the horizon")
    false: int
    foreseen: int = Field(description="times that the limit became active with an alert before it")
    missed: int = Field(description="and without one")
    precision: float | None = Field(description="hits / alerts")
    recall: float | None = Field(description="foreseen / (foreseen + missed)")
    false_per_day: float
    lead_s: float | None = Field(description="from the alert to the limit: median")
    brier: float | None
    brier_climatology: float | None
    brier_skill: float | None = Field(description="1 - brier / brier_climatology")
    reliability_slope: float | None = Field(description="of outcomes on probabilities: 1 where these mean what they say")
    scored: int
    muted: bool


class Verification(Shape):
    """The same of all limits; muted: how many."""

    observed_h: float
    standing: int
    limits_watched: int
    alerts: int
    hits: int
    false: int
    foreseen: int
    missed: int
    precision: float | None
    recall: float | None
    false_per_day: float
    lead_s: float | None
    brier: float | None
    brier_climatology: float | None
    brier_skill: float | None
    reliability_slope: float | None
    scored: int
    muted: int
    limits: list[LimitVerdicts]


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
