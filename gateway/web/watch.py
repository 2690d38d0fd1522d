"""What one client of the stream watches, and the messages it gets: pure, without socket and clock.

Values are LATEST: a client that was busy gets the newest value of each tag once. Alarms and events are EVERY: they queue, and where the
queue is full it is emptied and the client is told to begin anew (`resync`). A message is encoded once for all who need the same one.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from gateway.contracts import TwinView
from gateway.model import quality
from gateway.model.alarm import Limit, Transition
from gateway.model.batch import TagIds
from gateway.model.event import Event
from gateway.model.forecast import Outlook
from gateway.model.forecast_record import drawn
from gateway.model.tag import TagTable
from gateway.outlook import ForecastView
from gateway.web.encode import dumps, numbers
from gateway.web.routes.alarms import condition_row, transition_row
from gateway.web.routes.events import event_row
from gateway.web.updates import Updates

QUEUE: Final = 1000
_NAMES: Final = 100_000


class Wish(BaseModel):
    """What a client subscribes to; a later one replaces it. hz 0 = no values for now, alarms and events go on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tags: tuple[str, ...] | str = Field(default=(), max_length=_NAMES, description='names, or "*" for all')
    alarms: bool = False
    events: bool = False
    forecasts: tuple[str, ...] | str = Field(default=(), max_length=_NAMES, description='names, or "*" for all that are forecast')
    hz: float = Field(default=10.0, ge=0.0, le=10.0, allow_inf_nan=False)


class Asked(BaseModel):
    """A message of a client."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subscribe: Wish


@dataclass(slots=True)
class Watch:
    """One client's state. since: the sequence number up to which it has seen the values; None until the snapshot."""

    wish: Wish = field(default_factory=Wish)
    table: TagTable | None = None
    key: object = None  # equal for clients that watch the same tags
    tag_id: TagIds = field(default_factory=lambda: np.zeros(0, np.int32))
    since: int | None = None
    queue: deque[Transition | Event] = field(default_factory=deque)
    overflowed: bool = False
    foreseen: Outlook | None = None  # the outlook that it has seen

    def ask(self, wish: Wish) -> None:
        """Begin anew with that wish."""
        self.wish, self.table, self.since, self.overflowed, self.foreseen = wish, None, None, False, None
        self.queue.clear()

    def offer(self, record: Transition | Event) -> None:
        """One more alarm or event; a full queue is emptied and the client begins anew."""
        if len(self.queue) >= QUEUE:
            self.queue.clear()
            self.overflowed = True
        if not self.overflowed:
            self.queue.append(record)


class Encoder:
    """Messages, encoded once per kind, set of tags and step."""

    def __init__(self, view: TwinView, updates: Updates, forecasts: ForecastView | None = None) -> None:
        self._view, self._updates, self._forecasts = view, updates, forecasts
        self._foreseen: tuple[Outlook | None, dict[int, bytes]] = (None, {})  # messages of the newest outlook, by row
        self._frames: dict[tuple[object, int | None], bytes] = {}
        self._frames_seq = -1
        self._records: dict[int, tuple[Transition | Event, bytes]] = {}  # by id, which holds while the record stands here

    def take(self, watch: Watch) -> list[bytes]:
        """All that this client is due now, in order: snapshots first. Afterwards it is up to date."""
        due: list[bytes] = []
        anew = watch.since is None
        if watch.table is not self._view.tags:
            self._resolve(watch)
            watch.since, anew = None, True  # the rules may be others too
        if watch.overflowed:
            due.append(b'{"type":"resync"}')
            watch.overflowed, anew = False, True
        if anew and watch.wish.alarms:
            watch.queue = deque(record for record in watch.queue if isinstance(record, Event))  # the list holds the transitions
            due.append(self._alarms())
        due.extend(map(self._record, watch.queue))
        watch.queue.clear()
        if watch.wish.hz > 0 or watch.since is None:
            due.extend(self._values(watch))
        if watch.wish.forecasts and self._forecasts is not None:
            due.extend(self._ahead(watch, self._forecasts.newest()))
        return due

    def _ahead(self, watch: Watch, outlook: Outlook | None) -> list[bytes]:
        """The newest outlook, once: of each tag that is wanted."""
        if outlook is None or outlook is watch.foreseen:
            return []
        watch.foreseen, tags = outlook, self._view.tags
        wanted = None if isinstance(watch.wish.forecasts, str) else frozenset(watch.wish.forecasts)
        if self._foreseen[0] is not outlook:
            self._foreseen = (outlook, {})
        made, found = self._foreseen[1], []
        for row, tag_id in enumerate(outlook.tag_id.tolist()):
            if wanted is None or tags[tag_id].name in wanted:
                if row not in made:
                    made[row] = dumps({"type": "fc", **drawn(outlook, row, tags[tag_id])})
                found.append(made[row])
        return found

    def _record(self, record: Transition | Event) -> bytes:
        """The message of one record; clients ask for the same one after another."""
        found = self._records.get(id(record))
        if found is None:
            if len(self._records) >= QUEUE:
                self._records.clear()
            row = {"type": "ev", **event_row(record)} if isinstance(record, Event) else _transition(record)
            found = self._records[id(record)] = (record, dumps(row))
        return found[1]

    def _resolve(self, watch: Watch) -> None:
        watch.table, wish = self._view.tags, watch.wish
        if isinstance(wish.tags, str):
            watch.tag_id, watch.key = np.flatnonzero(watch.table.enabled).astype(np.int32), "*"
            return
        found = {watch.table.index[name]: None for name in wish.tags if name in watch.table.index}
        watch.tag_id = np.fromiter(found, np.int32, len(found))
        watch.key = watch.tag_id.tobytes()

    def _alarms(self) -> bytes:
        """Those of interest, and those that were silenced: what is kept from people is said to them."""
        shown = {one.rule.condition: one for one in (*self._view.each_retained(), *self._view.each_silenced())}
        rows = [condition_row(condition) for condition in shown.values() if condition.rule.limit is not Limit.PREDICTED]
        alerts = [condition_row(condition) for condition in shown.values() if condition.rule.limit is Limit.PREDICTED]
        return dumps({"type": "alarms", "seq": self._updates.seq, "conditions": rows} | ({"alerts": alerts} if alerts else {}))

    def _values(self, watch: Watch) -> list[bytes]:
        since, seq = watch.since, self._updates.seq
        watch.since = seq
        if since is None:
            names = watch.wish.tags if isinstance(watch.wish.tags, tuple) else ()
            assert watch.table is not None
            unknown = [name for name in names if name not in watch.table.index]
            if unknown:
                return [self._frame("snap", watch.tag_id, {"unknown": unknown[:100]})]
        elif since == seq:
            return []
        if self._frames_seq != seq or since is None:  # a snapshot shows the columns as they are now: never an older encoding
            self._frames.clear()
            self._frames_seq = seq
        key = (watch.key, since)
        if key not in self._frames:
            tag_id = watch.tag_id if since is None else self._updates.changed(watch.tag_id, since)
            empty = since is not None and not tag_id.size
            self._frames[key] = b"" if empty else self._frame("snap" if since is None else "d", tag_id, {})
        return [self._frames[key]] if self._frames[key] else []

    def _frame(self, kind: str, tag_id: TagIds, more: dict[str, Any]) -> bytes:
        view = self._view
        status, t_ms = view.status[tag_id], self._updates.now_ns // 1_000_000
        frame: dict[str, Any] = {"type": kind, "seq": self._updates.seq, "t": t_ms, "i": tag_id}
        frame["v"] = numbers(view.value[tag_id], status)
        if status.any():
            frame["s"] = status
            frame["c"] = {code: quality.name(code) for code in np.unique(status[status != quality.GOOD]).tolist()}
        frame["d"] = view.source_ns[tag_id] // 1_000_000 - t_ms
        text = {one: view.text[one] for one in tag_id.tolist() if one in view.text} if view.text else {}
        if text:
            frame["x"] = text
        if kind == "snap":
            frame["n"] = [view.tags[one].name for one in tag_id.tolist()]
        return dumps(frame | more)


def _transition(record: Transition) -> dict[str, Any]:
    """A predicted limit is an alert: it stands among no alarms."""
    return {"type": "alert" if record.rule.limit is Limit.PREDICTED else "al", **transition_row(record)}
