"""What the rooms of the house may expect of each other: all that plugins (drivers, sinks) and `web` know of the daemon."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Flag, auto
from typing import Annotated, Any, Protocol, runtime_checkable

from pydantic import BeforeValidator

from gateway.model.alarm import AlarmRule, Condition
from gateway.model.batch import Floats, SampleBatch, Times
from gateway.model.command import Caller, Command, Outcome
from gateway.model.duration import seconds
from gateway.model.event import Category, Event, Severity
from gateway.model.outbox import OutboxFill, OutboxRow
from gateway.model.quality import Statuses
from gateway.model.series import Buckets as Buckets
from gateway.model.series import Series as Series
from gateway.model.tag import Tag, TagTable
from gateway.model.unit import Unit
from gateway.model.update import TwinUpdate
from gateway.outlook import ForecastView, KpiView, RunView

Duration = Annotated[float, BeforeValidator(seconds)]
"""A field of a configuration model, in seconds: 500ms, 10s, 5min, 24h or a bare number."""


class NotConnected(Exception):
    """The other side is not there, or went away: keep what you have, back off, try again for ever. Says what, where and why."""


class Rejected(Exception):
    """The other side will never take these rows: quarantine them. why is the reason in its words."""

    def __init__(self, rows: Sequence[OutboxRow], why: str) -> None:
        super().__init__(f"{len(rows)} rows rejected: {why}")
        self.rows = tuple(rows)
        self.why = why


class ConfigError(Exception):
    """A value of the configuration cannot work. key is its path below the unit's own section; hint says what to do."""

    def __init__(self, key: str, why: str, hint: str = "") -> None:
        super().__init__(f"{key}: {why}" + (f" ({hint})" if hint else ""))
        self.key, self.why, self.hint = key, why, hint


# --- what the daemon hands to a plugin -------------------------------------------------------------------------------------------------


class Reporter(Protocol):
    """A unit's line to health: counters, and problems that a person should see by name in `status`."""

    def count(self, name: str, n: int = 1) -> None:
        """Add to a counter of this unit; name in snake_case without `_total`."""

    def problem(self, subject: str, why: str | None) -> None:
        """Something is wrong with a tag, node or topic (why), or is well again (None). Bounded: the first 1000 subjects are kept."""


class Memory(Protocol):
    """A unit's few words that survive a restart; durable with the next commit."""

    def get(self, key: str) -> str | None: ...
    def put(self, key: str, value: str) -> None: ...


@dataclass(frozen=True, slots=True)
class DriverContext:
    """name of the source, its tags, and the ways out. now_ns is the gateway's clock, UTC ns, which never goes back."""

    name: str
    tags: Sequence[Tag]
    memory: Memory
    report: Reporter
    now_ns: Callable[[], int]
    gateway: "Identity"


@dataclass(frozen=True, slots=True)
class Identity:
    """Which gateway this is. path = `gateway.path`, the MQTT prefix; boot = the epoch of the store's sequences."""

    name: str
    path: str
    boot: str
    version: str
    data_dir: str


class SignInRefused(Exception):
    """Nobody comes in with these credentials, now; why is never for the one who asked. wait_s: seconds after too many failures, else 0."""

    def __init__(self, why: str, wait_s: float = 0.0) -> None:
        super().__init__(why)
        self.why, self.wait_s = why, wait_s


class Access(Protocol):
    """Who may come in (`access`). origin is as in Caller. Each attempt is audited, and slowed down where there are too many."""

    async def sign_in(self, user: str, password: str, origin: str) -> Caller:
        """By name and password, verified off the loop. Raises SignInRefused."""

    async def recognise(self, certificate: bytes, origin: str) -> Caller:
        """By a user's X.509 certificate (DER), whose key the caller has proved to hold. Raises SignInRefused."""

    async def bearer(self, secret: str, origin: str) -> Caller | None:
        """Who holds this token; None where it opens nothing (any more), which is recorded. A program's is of `token:<its name>`."""

    async def told(self, caller: Caller, by: str, why: str = "") -> None:
        """Records a sign-in that was decided elsewhere (why: empty where the caller was let in); `left` the end of a session."""

    async def left(self, caller: Caller, why: str) -> None: ...

    def on_revoked(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """callback(user) when that one is to be signed out at once; returns what ends it."""

    def anyone(self) -> bool:
        """Whether there is somebody who could sign in."""


class EventStream(Protocol):
    """One subscriber's queue of events: iterate until close()."""

    def __aiter__(self) -> AsyncIterator[Event]: ...
    def close(self) -> None: ...


Figure = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Dated:
    """A figure with a status and an instant of its own; others are Good, and of now."""

    value: Figure
    status: int
    at_ns: int


async def unrecorded(_command: Command, _outcome: Outcome) -> None:
    """For those who keep no records."""


@dataclass(frozen=True, slots=True)
class SinkContext:
    """figures(): the gateway's own, cheap to ask: {"Twin": {"SyncMode": ...}, "Gateway": {"Ready": ...}}; names and types never change,
    but those of `Kpi` and below it, which a reload may change.
    A key with a slash, as "Gateway/AlarmPerformance", is an Object below the one before it.
    """

    name: str
    gateway: Identity
    view: "TwinView"
    history: "HistoryView"
    events: "EventView"
    commands: "Commands"
    units: Mapping[str, Unit]  # by UCUM code
    memory: Memory
    report: Reporter
    now_ns: Callable[[], int]
    access: Access
    figures: Callable[[], Mapping[str, Mapping[str, Figure | Dated]]] = dict
    subscribe_events: Callable[[], EventStream] | None = None  # all live events, conditions' transitions included
    unavailable: tuple[type[Exception], ...] = ()  # what history and events raise while the disk is away
    record: Callable[[Command, Outcome], Awaitable[None]] = unrecorded  # of what was no command through the door: audit and event
    forecasts: ForecastView | None = None
    kpis: KpiView | None = None
    runs: RunView | None = None


# --- southbound ------------------------------------------------------------------------------------------------------------------------


class Driver(Protocol):
    """One instance, one connection, one source. Built as `Driver(config, DriverContext)`: no I/O, raises ConfigError."""

    async def connect(self) -> None:
        """Raises NotConnected. May be called again after close()."""

    async def read(self) -> SampleBatch:
        """Waits for one sample or more. Raises NotConnected when the link is gone; cancelling it loses nothing."""

    def accept(self, receipt: object) -> None:
        """Everything up to this receipt is committed: acknowledge it to the source, in order. Never blocks, never raises."""

    async def close(self) -> None:
        """Idempotent, safe after a failed connect, prompt (a few seconds at most), raises nothing."""


@runtime_checkable
class Writable(Protocol):
    """Optional ability of a driver: writing setpoints to the plant."""

    async def write_setpoints(self, rows: Sequence[tuple[int, float | str]]) -> list[int]:
        """One StatusCode for each (tag_id, value). Never raises for a refused row; BadNotConnected for all without a link."""


@runtime_checkable
class Windowed(Protocol):
    """Optional ability of a driver: its source stops sending when that many receipts wait for accept()."""

    window: int


@runtime_checkable
class Relaxing(Protocol):
    """Optional ability of a driver whose source waits for accept(): reading on while the disk is away."""

    def relax(self, on: bool) -> None:
        """On: read beyond the window, acknowledging nothing. Off: as ever, from the next accept() on. Idempotent, raises nothing."""


# --- northbound ------------------------------------------------------------------------------------------------------------------------


class Delivery(Flag):
    LATEST = auto()  # the newest value per tag, conflated when the sink is slow, no disk
    EVERY = auto()  # through the outbox: at least once, in order per stream


class Sink(Protocol):
    """Built as `Sink(config, SinkContext)`: no I/O, raises ConfigError. The runner supplies queue, order and retry."""

    delivery: Delivery

    async def connect(self) -> None:
        """Raises NotConnected. May be called again after close()."""

    async def close(self) -> None:
        """As Driver.close."""


@runtime_checkable
class LatestSink(Protocol):
    async def write(self, update: TwinUpdate) -> None:
        """Hand on one update (several may have been conflated into it). Raises NotConnected."""


@runtime_checkable
class EverySink(Protocol):
    streams: tuple[str, ...]  # most urgent first
    window: int  # how many rows deliver() takes at most

    def rows(self, update: TwinUpdate, events: Sequence[Event]) -> list[OutboxRow]:
        """What of this step must reach the other side. Pure: called before the commit, whether connected or not."""

    async def deliver(self, rows: Sequence[OutboxRow]) -> None:
        """Rows of one stream in order, pipelined. Return = each was acknowledged. Raises NotConnected, Rejected."""


@runtime_checkable
class Watched(Protocol):
    """Optional ability of a sink: it notices by itself that its link is gone, also while nothing is sent."""

    async def gone(self) -> None:
        """Never returns; raises NotConnected."""


@runtime_checkable
class Reachable(Protocol):
    """Optional ability of a sink: others connect to it."""

    @property
    def url(self) -> str: ...


# --- what sinks, web and drivers may see of twin, history and events --------------------------------------------------------------------


class Snapshot(Protocol):
    """The twin at one moment; never changes. Columns by tag_id."""

    @property
    def version(self) -> int: ...
    @property
    def at_ns(self) -> int: ...
    @property
    def value(self) -> Floats: ...
    @property
    def status(self) -> Statuses: ...
    @property
    def source_ns(self) -> Times: ...
    @property
    def text(self) -> Mapping[int, str]: ...
    def tree(self, tags: TagTable) -> dict[str, Any]:
        """The hierarchical dictionary: dots become levels; None where the status is Bad; `timestamp` at the top (ISO 8601, Z)."""


class TwinView(Protocol):
    """The live twin, read only. The arrays are the engine's own, without a copy: use them before the next await, keep none of them."""

    @property
    def tags(self) -> TagTable: ...
    @property
    def version(self) -> int: ...
    @property
    def value(self) -> Floats: ...
    @property
    def status(self) -> Statuses: ...
    @property
    def source_ns(self) -> Times: ...
    @property
    def received_ns(self) -> Times: ...
    @property
    def text(self) -> Mapping[int, str]: ...
    def snapshot(self) -> Snapshot: ...
    def at(self, at_ns: int) -> Snapshot | None:
        """The last commit at or before that time, from the ring; None where the ring does not reach back so far."""

    def history(self, limit: int | None = None) -> list[Snapshot]:
        """The latest commits, oldest first."""

    def conditions(self) -> list[Condition]:
        """Each rule's condition."""

    def condition(self, name: str) -> Condition:
        """One condition. Raises KeyError where there is none of that name."""

    def rules_of(self, tag_id: int) -> Sequence[AlarmRule]:
        """The rules on a tag, those of predicted limits last; SYSTEM_TAG: those on the gateway itself."""

    def ruled(self) -> list[int]:
        """The tags that have rules, each once, ascending."""

    def each_retained(self) -> Iterator[Condition]:
        """The conditions of interest (Part 9, 5.5.2), as they stand when they are taken; it ends where a reload changes the rules."""

    def each_silenced(self) -> Iterator[Condition]:
        """Likewise those that are kept from people: shelved, suppressed, out of service or disabled."""

    def standing(self) -> tuple[int, int]:
        """How many alarms are active, and how many are not acknowledged; predicted limits are none. Cheap to ask."""


class HistoryView(Protocol):
    """History on disk, by tag_id. Only committed samples are seen."""

    async def read(self, tag_id: int, start_ns: int, end_ns: int, limit: int | None = None) -> Series:
        """start <= source time < end, oldest first; the first `limit` of them."""

    async def read_before(self, tag_id: int, start_ns: int, end_ns: int, limit: int) -> Series:
        """The last `limit` samples with start <= source time < end, oldest first."""

    async def read_at(self, tag_id: int, at_ns: int) -> Series:
        """The last sample at or before that time: one row or none."""

    async def downsample(self, tag_id: int, start_ns: int, end_ns: int, bucket_ns: int) -> Buckets: ...


class EventView(Protocol):
    """The journal on disk."""

    async def query(
        self,
        *,
        categories: Sequence[Category] = (),
        severities: Sequence[Severity] = (),
        source: str | None = None,
        start_ns: int | None = None,
        end_ns: int | None = None,
        acknowledged: bool | None = None,
        limit: int = 100,
        oldest_first: bool = False,
    ) -> list[Event]:
        """The newest that match, newest first; or the oldest, oldest first. Empty sequences match all."""

    async def acknowledge(self, event_id: str) -> bool:
        """False where there is no such event."""

    async def clear(self, older_than_ns: int | None = None) -> int:
        """Removes events (all, or those before that time); how many."""


class OutboxView(Protocol):
    """The outbox as the runner uses it."""

    async def peek(self, stream: str, limit: int) -> list[OutboxRow]:
        """The oldest rows of a stream that are not acknowledged, in order of seq."""

    def acked(self, stream: str, through_seq: int) -> None:
        """Everything up to that seq was delivered; removed with the next commit or flush."""

    async def quarantine(self, rows: Sequence[OutboxRow], why: str) -> None: ...
    def fill(self) -> list[OutboxFill]: ...


class Commands(Protocol):
    """The one door for changes (`operations`)."""

    async def execute(self, command: Command) -> Outcome:
        """Permission, guard, execution, audit. Never raises for a refused command: its status says why."""

    def permission(self, kind: str) -> str:
        """What a caller needs for that kind of command. Raises KeyError where there is no such kind."""
