"""The engine's state by name: what survives a restart (snapshot), and is compared (state hash)."""

import hashlib
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from gateway.engine import snapshot as blob_format
from gateway.engine.alarms import Alarms
from gateway.engine.conditions import COLUMNS, Note
from gateway.engine.deadband import Deadband
from gateway.engine.derived import Derived
from gateway.engine.hold import Held
from gateway.engine.reload import Owed, conditions, over
from gateway.engine.stray import Strays
from gateway.engine.twin import shut
from gateway.engine.where import ALWAYS, NEVER
from gateway.model import quality
from gateway.model.alarm import FORECAST, SYSTEM_TAG, AlarmRule, Limit
from gateway.model.batch import Origin, Rows, SampleBatch
from gateway.model.expression import Memory
from gateway.model.forecast import Prediction
from gateway.model.tag import TagTable

if TYPE_CHECKING:
    from gateway.engine.engine import Engine

_TWIN: Final = ("value", "status", "source_ns", "received_ns", "gate_ns", "made")
_STRAYS: Final = ("since_ns", "last_ns", "gate_ns")
_MEMORY: Final = (("output", np.float64), ("last", np.float64), ("at_ns", np.int64), ("known", np.bool_), ("ready", np.bool_))
_HELD: Final = (("value", np.float64), ("status", np.uint32), ("source_ns", np.int64), ("gate_ns", np.int64), ("made", np.bool_))

_LIMITS: Final = frozenset(limit.value for limit in Limit)
MINUTE_NS: Final = 60_000_000_000
Column = NDArray[Any]


@dataclass(frozen=True)
class Names:
    """The order in which the state is written: by name. It changes with a reload alone.

    tags: rows of the table; rules: rows of the alarms; text: both as JSON
    """

    table: TagTable
    alarms: Alarms
    tags: Rows
    rules: Rows
    text: bytes

    @classmethod
    def of(cls, table: TagTable, alarms: Alarms) -> "Names":
        tags = sorted(table.index.items())
        rules = sorted((rule.condition, row) for row, rule in enumerate(alarms.rules))
        text = blob_format.as_json({"tags": [name for name, _ in tags], "conditions": [name for name, _ in rules]})
        return cls(table, alarms, np.array([row for _, row in tags], np.intp), np.array([row for _, row in rules], np.intp), text)


def snapshot(engine: "Engine") -> bytes:
    """The state as one blob."""
    return blob_format.encode(*_state(engine))


def state_hash(engine: "Engine") -> str:
    """SHA-256 over the state, which stands in order of names."""
    return hashlib.sha256(blob_format.payload(*_state(engine))[0]).hexdigest()


def restore(engine: "Engine", blob: bytes) -> None:
    """Put a snapshot's state into a fresh engine; names that it does not know are left out."""
    head, columns = blob_format.decode(blob)
    try:
        _restore(engine, head, columns)
    except (KeyError, IndexError, TypeError) as broken:
        raise ValueError(f"snapshot: {broken!r} is missing or wrong in it") from broken


def replay(engine: "Engine", batch: SampleBatch, now_ns: int) -> None:
    """One step from disk at the time when it was taken: what was applied then is applied, also where it restarted the order of its tag.

    The time before it passes deadline by deadline, as it did. A gap of more than a minute passes at once: it holds no sample, and the
    commits of a scheduled twin alone could be millions. (A clock that was set lies in no tail: the snapshot is of after it.)
    """
    owed, engine.owed = engine.owed, None
    if now_ns - engine.now_ns <= MINUTE_NS:
        while (deadline := engine.next_deadline()) is not None and deadline < now_ns:
            engine.tick(deadline)
    if batch.origin is Origin.SOURCE:
        batch = _replayed(engine, batch, now_ns)
    engine.step(batch, now_ns)
    engine.owed = owed


def _replayed(engine: "Engine", batch: SampleBatch, now_ns: int) -> SampleBatch:
    """The samples among the rows of a message: tags that were found silent in its step stand there too, and are marked."""
    twin, rows = engine.twin, batch.tag_id.astype(np.intp)
    silent = (batch.status == quality.UNCERTAIN_LAST_USABLE) & (batch.source_ns == twin.source_ns[rows])
    if silent.any():
        engine.step(batch.pick(np.flatnonzero(silent), Origin.GATEWAY), now_ns)
        batch = batch.pick(np.flatnonzero(~silent), Origin.SOURCE)
        rows = batch.tag_id.astype(np.intp)
    gate_ns = twin.gate_ns[rows]
    back = rows[(batch.source_ns < gate_ns) & (gate_ns != NEVER)]
    twin.gate_ns[back] = ALWAYS
    engine.strays.forget(back)
    engine.derived.pause(back)
    return batch


# --- out --------------------------------------------------------------------------------------------------------------------------------


def _state(engine: "Engine") -> tuple[bytes, dict[str, Any], dict[str, Column]]:
    twin, alarms, names = engine.twin, engine.alarms, engine.names()
    dirty = np.zeros(len(twin.tags), bool)
    dirty[twin.touched()] = True
    columns: dict[str, Column] = {f"tag.{name}": getattr(twin, name)[names.tags] for name in _TWIN}
    columns |= {"tag.type": twin.tags.type[names.tags].astype(np.int32), "tag.dirty": dirty[names.tags]}
    columns |= {"tag.reported": engine.deadband.value[names.tags], "tag.reported_status": engine.deadband.status[names.tags]}
    strays = np.flatnonzero(engine.strays.running(twin.gate_ns)[names.tags])
    columns |= {"stray.place": strays.astype(np.int32)}
    columns |= {f"stray.{name}": getattr(engine.strays, name)[names.tags[strays]] for name in _STRAYS}
    touched = np.flatnonzero(alarms.touched()[names.rules])  # most conditions never had anything happen to them
    columns |= {"alarm.place": touched.astype(np.int32)}
    columns |= {f"alarm.{name}": getattr(alarms, name)[names.rules[touched]] for name in COLUMNS}
    formulas = sorted(engine.derived.formulas, key=lambda formula: formula.tag)
    memories = [memory for formula in formulas for memory in formula.memories]
    columns |= {f"memory.{name}": np.array([getattr(memory, name) for memory in memories], kind) for name, kind in _MEMORY}
    held = sorted((twin.tags[tag_id].name, state) for tag_id, state in engine.held.items())
    columns |= {f"held.{name}": np.array([getattr(state, name) for _, state in held], kind) for name, kind in _HELD}
    for column in columns.values():
        if column.dtype == np.float64:
            column[np.isnan(column)] = np.nan  # one NaN for all
    head = {
        "texts": dict(sorted((twin.tags[tag_id].name, text) for tag_id, text in twin.text.items())),
        "notes": dict(sorted((alarms.rules[row].condition, list(astuple(note))) for row, note in alarms.notes.items())),
        "formulas": [[formula.tag, formula.expression.text, len(formula.memories)] for formula in formulas],
        "held": [[name, state.text] for name, state in held],
        "pace": [engine.pace.sync.mode.value, engine.pace.sync.period_ns, engine.pace.next_ns],
        "version": twin.version,
        "now_ns": engine.now_ns,
        "at_ns": twin.at_ns,
        "constants": engine.constants_due,
        "said": dict(sorted((alarms.rules[row].condition, words) for row, words in alarms.said.items())),
        "foretold": dict(sorted((alarms.rules[row].condition, prediction.row()) for row, prediction in alarms.foretold.items())),
        "standing": _standing(engine),
        "retired": dict(sorted(alarms.retired.items())),
    }
    return names.text, head, columns


def _standing(engine: "Engine") -> dict[str, list[float]]:
    """Threshold, severity and serial of the conditions that stand: another configuration may not know them, and still has to end them."""
    rows = engine.alarms.standing()
    ending = [(engine.alarms.rules[row], serial) for row, serial in zip(rows.tolist(), engine.alarms.serial[rows].tolist(), strict=True)]
    if engine.owed is not None:
        ending += [(one.rule, one.condition.serial - 1) for one in engine.owed.ended]
    return dict(sorted((rule.condition, [rule.threshold, rule.severity, serial]) for rule, serial in ending))


# --- in ---------------------------------------------------------------------------------------------------------------------------------


def _restore(engine: "Engine", head: dict[str, Any], columns: dict[str, Column]) -> None:
    twin = engine.twin
    twin.clear(twin.tags)
    engine.alarms = twin.alarms = alarms = Alarms(engine.alarms.rules, len(twin.tags))
    engine.deadband = Deadband.of(twin.tags.deadband)
    old, new = _matched(head["tags"], columns["tag.type"], twin.tags)
    for name in _TWIN:
        getattr(twin, name)[new] = columns[f"tag.{name}"][old]
    engine.deadband.value[new], engine.deadband.status[new] = columns["tag.reported"][old], columns["tag.reported_status"][old]
    place = dict(zip((head["tags"][k] for k in old.tolist()), new.tolist(), strict=True))
    twin.text.update({place[name]: text for name, text in head["texts"].items() if name in place})
    engine.strays = _strays(columns, old, new, len(twin.tags))
    _put_in_service(engine, new)
    engine.held.clear()
    _restore_held(engine, head, columns, place)
    twin.adopt(head["version"], head["at_ns"], new[columns["tag.dirty"][old]])
    engine.owed = _restore_alarms(alarms, head, columns, twin.tags)
    _restore_memories(engine.derived, head, columns)
    mode, period_ns, next_ns = head["pace"]
    same = (mode, period_ns) == (engine.pace.sync.mode.value, engine.pace.sync.period_ns)
    engine.pace.next_ns = next_ns if same else 0
    engine.stale.due_min = 0 if engine.stale.rows.size else NEVER
    engine.now_ns, engine.constants_due = head["now_ns"], bool(head["constants"])


def _matched(names: list[str], types: Column, tags: TagTable) -> tuple[Rows, Rows]:
    """Old and new rows of the tags that stay: of the same name (or `was`) and type."""
    place = {name: row for row, name in enumerate(names)}
    pairs = []
    for tag in tags:
        row = place.get(tag.name)
        if row is None and tag.was:
            row = place.get(tag.was)
        if row is not None:
            pairs.append((row, tag.tag_id))
    old, new = np.array(pairs, np.intp).reshape(-1, 2).T
    same = types[old] == tags.type[new]
    return old[same], new[same]


def _put_in_service(engine: "Engine", rows: Rows) -> None:
    """After the columns came from elsewhere: tags that are out of service now, and such as are in service again."""
    twin = engine.twin
    off, closed = ~twin.tags.enabled[rows], shut(twin.tags)[rows]
    out = np.uint32(quality.BAD_OUT_OF_SERVICE)
    back = ~off & (twin.status[rows] == out) & (twin.gate_ns[rows] == NEVER)
    twin.status[rows[off]] = out
    twin.status[rows[back]] = quality.BAD_WAITING_FOR_INITIAL_DATA
    twin.gate_ns[rows[closed]] = NEVER
    twin.gate_ns[rows[back & ~closed]] = ALWAYS


def _strays(columns: dict[str, Column], old: Rows, new: Rows, size: int) -> Strays:
    """Sparse in a snapshot, and not there at all in an older one."""
    strays, place = Strays(size), columns.get("stray.place")
    if place is None or not place.size:
        return strays
    before = Strays(columns["tag.type"].size)
    for name in _STRAYS:
        getattr(before, name)[place] = columns[f"stray.{name}"]
        getattr(strays, name)[new] = getattr(before, name)[old]
    return strays


def _restore_held(engine: "Engine", head: dict[str, Any], columns: dict[str, Column], place: dict[str, int]) -> None:
    held = [columns[f"held.{name}"].tolist() for name, _ in _HELD]
    for (name, text), *state in zip(head["held"], *held, strict=True):
        tag_id = place.get(name)
        if tag_id is not None and engine.twin.tags.enabled[tag_id]:
            value, status, source_ns, gate_ns, made = state
            engine.held[tag_id] = Held(value, status, source_ns, gate_ns, made, text)
            engine.twin.overridden[tag_id] = True


def _restore_alarms(alarms: Alarms, head: dict[str, Any], columns: dict[str, Column], tags: TagTable) -> Owed | None:
    """The conditions of the snapshot, by their name or that of before; what is to be told of those that have no rule, or another name."""
    names = head["conditions"]
    pairs = conditions({name: row for row, name in enumerate(names)}, alarms, tags)
    old, new = np.array(pairs, np.intp).reshape(-1, 2).T
    state = _alarm_columns(columns, len(names))
    for column in COLUMNS:
        getattr(alarms, column)[new] = state[column][old]
    settled = [alarms.rules[row].condition for row in alarms.adapt().tolist()]
    retained = state["enabled"] & (state["active"] | ~state["acknowledged"] | ~state["confirmed"])
    standing = {names[row] for row in np.flatnonzero(retained).tolist()}
    standing |= (known := head.get("standing", {})).keys()
    wanted = standing | head["notes"].keys() | (said := head.get("said", {})).keys() | (foretold := head.get("foretold", {})).keys()
    now = {names[before]: row for before, row in pairs if names[before] in wanted} if wanted else {}
    alarms.notes.update({now[name]: Note(*note) for name, note in head["notes"].items() if name in now})
    alarms.said.update({now[name]: words for name, words in said.items() if name in now})
    alarms.foretold.update({now[name]: Prediction.of_row(row) for name, row in foretold.items() if name in now})
    ended = sorted(name for name in standing if name not in now or alarms.rules[now[name]].condition != name)
    place = {name: row for row, name in enumerate(head["tags"])}
    owed = Owed(moved=[alarms.rules[now[name]].condition for name in ended if name in now], settled=settled)
    kept = {before for before, row in pairs if alarms.rules[row].condition == names[before]}
    gone, over_now = [row for row in np.flatnonzero(state["serial"]).tolist() if row not in kept], set(ended)
    alarms.go_on(head.get("retired", {}) | {names[row]: state["serial"].item(row) + (names[row] in over_now) for row in gone})
    for name in ended:
        tag, branch, limit = name.split("/", 2)
        threshold, severity, serial = (*known.get(name, (0.0, 500)), 0)[:3]
        own, ahead = limit not in _LIMITS, branch == FORECAST  # the gateway's; of a predicted limit
        kind = Limit.PREDICTED if ahead else Limit.SYSTEM if own else Limit(limit)
        tag_id = SYSTEM_TAG if own else tags.index.get(tag, -1)
        rule = AlarmRule(tag_id, tag, kind, threshold, severity=int(severity), subject=limit if own or ahead else "")
        at = place.get(tag)
        value, status = (np.nan, quality.BAD_NO_DATA) if at is None else (columns["tag.value"].item(at), columns["tag.status"].item(at))
        owed.ended.append(over(rule, value, status, int(serial)))
    return owed if owed.ended or owed.settled else None


def _alarm_columns(columns: dict[str, Column], size: int) -> dict[str, Column]:
    """Whole columns in order of names; older snapshots know fewer of them, and have all rows."""
    place, state = columns.get("alarm.place", np.arange(size)), {}
    for name, (kind, initial) in COLUMNS.items():
        state[name] = np.full(size, initial, kind)
        if f"alarm.{name}" in columns:
            state[name][place] = columns[f"alarm.{name}"]
    if "alarm.level" not in columns:
        active = state["active"].astype(np.int32)
        state["level"], state["shown_level"] = active, active.copy()
        state["want"] = np.where(state["due_ns"] != NEVER, 1 - active, active)
    return state


def _restore_memories(derived: Derived, head: dict[str, Any], columns: dict[str, Column]) -> None:
    states = zip(*(columns[f"memory.{name}"].tolist() for name, _ in _MEMORY), strict=True)
    known = {}
    for tag, text, count in head["formulas"]:
        known[tag, text] = [next(states) for _ in range(count)]
    for formula in derived.formulas:
        kept = known.get((formula.tag, formula.expression.text))
        if kept is not None:
            formula.memories = [Memory(memory.kind, *state) for memory, state in zip(formula.memories, kept, strict=True)]
