"""A reload: a new table and new rules under a running engine; and what it, or a restart, left to tell."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from gateway.engine.alarms import Alarms
from gateway.engine.conditions import COLUMNS
from gateway.engine.deadband import NOTHING, Deadband
from gateway.engine.derived import Derived
from gateway.engine.stale import Staleness
from gateway.engine.stray import Strays
from gateway.engine.validity import Validity
from gateway.engine.where import ALWAYS, NEVER
from gateway.model import quality
from gateway.model.alarm import AlarmRule, Change, Condition, Limit, Transition
from gateway.model.tag import DERIVED, Tag, TagTable
from gateway.model.update import Columns

if TYPE_CHECKING:
    from gateway.engine.engine import Engine
    from gateway.engine.outcome import Outcome


@dataclass(slots=True)
class Owed:
    """What a reload or a restart left to tell, with the next call.

    ended    the end of standing conditions whose rule is gone
    moved    names of standing conditions that had another name
    settled  names of conditions that waited for a confirmation alone, for which their rule does not ask any more
    status   by tag_id, of tags in and out of service
    anew     after a reload: limits may stand elsewhere, formulas may read otherwise
    """

    ended: list[Transition] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)
    settled: list[str] = field(default_factory=list)
    status: dict[int, int] = field(default_factory=dict)
    anew: bool = False


def retable(engine: "Engine", tags: TagTable, alarms: Alarms, derived: Derived) -> None:
    """Engine.retable, with the new rooms already built."""
    twin, before = engine.twin, engine.twin.tags
    if len(tags) < len(before) or any(tags[tag.tag_id].name != tag.name for tag in before):
        raise ValueError("a reloaded table keeps the row of every name")
    deadband, old = Deadband.of(tags.deadband), engine.deadband
    deadband.value[: len(before)], deadband.status[: len(before)] = old.value, old.status
    twin.grow(tags)
    engine.deadband, engine.validity, engine.stale = deadband, Validity.of(tags), Staleness(tags)
    engine.strays = Strays(len(tags))
    engine.stale.due_min = 0
    owed = engine.owed = engine.owed or Owed()
    engine.computed = np.array([tag.source == DERIVED for tag in tags], bool)
    for tag in tags.tags[len(before) :]:
        _renamed(engine, tag, before)
        owed.status[tag.tag_id] = twin.status.item(tag.tag_id)
    for tag in before:
        _follow(engine, owed, tag, tags[tag.tag_id])
    _carry_alarms(engine, owed, alarms)
    known = {(formula.tag, formula.expression.text): formula.memories for formula in engine.derived.formulas}
    for formula in derived.formulas:
        formula.memories = known.get((formula.tag, formula.expression.text), formula.memories)
    engine.derived = derived
    owed.anew = engine.constants_due = True


def _follow(engine: "Engine", owed: Owed, was: Tag, now: Tag) -> None:
    """One tag that stays in the table, under its new configuration."""
    twin, row = engine.twin, was.tag_id
    if not now.enabled or not was.enabled or was.type != now.type:
        engine.held.pop(row, None)
        twin.overridden[row] = False
    if not now.enabled:
        if was.enabled:
            owed.status[row] = quality.BAD_OUT_OF_SERVICE
        twin.gate_ns[row] = NEVER
        return
    if not was.enabled or was.type != now.type:
        twin.text.pop(row, None)
        owed.status[row] = quality.BAD_WAITING_FOR_INITIAL_DATA
        if was.type != now.type:
            twin.value[row], engine.deadband.status[row] = np.nan, NOTHING
    elif was.source == now.source:
        return
    if row not in engine.held:  # another source has a clock of its own
        twin.gate_ns[row], twin.made[row] = (NEVER if now.source == DERIVED else ALWAYS), False


def _renamed(engine: "Engine", tag: Tag, before: TagTable) -> None:
    """A new row whose tag was another one: it goes on from that one's value, also under manual input."""
    old, twin = before.named(tag.was) if tag.was else None, engine.twin
    if old is None or old.type != tag.type or not tag.enabled or tag.source == DERIVED:
        return
    for name in ("value", "status", "source_ns", "received_ns"):
        column = getattr(twin, name)
        column[tag.tag_id] = column[old.tag_id]
    if old.tag_id in twin.text:
        twin.text[tag.tag_id] = twin.text[old.tag_id]
    if old.tag_id in engine.held and old.source != DERIVED:
        engine.held[tag.tag_id] = engine.held[old.tag_id].unordered()
        twin.gate_ns[tag.tag_id], twin.overridden[tag.tag_id] = NEVER, True


def _carry_alarms(engine: "Engine", owed: Owed, alarms: Alarms) -> None:
    old, twin = engine.alarms, engine.twin
    pairs = conditions(old.place, alarms, twin.tags)
    standing = set(old.standing().tolist())
    gone = dict.fromkeys(np.flatnonzero(old.serial).tolist())
    kept, rows = np.array(pairs, np.intp).reshape(-1, 2).T
    for column in COLUMNS:
        getattr(alarms, column)[rows] = getattr(old, column)[kept]
    for before, row in pairs:
        if before in old.notes:
            alarms.notes[row] = old.notes[before]
        if before in old.said:
            alarms.said[row] = old.said[before]
        if before in old.foretold:
            alarms.foretold[row] = old.foretold[before]
        name = alarms.rules[row].condition
        if name == old.rules[before].condition:
            standing.discard(before)
            gone.pop(before, None)
        elif before in standing:
            owed.moved.append(name)
    for before in sorted(standing):
        rule = old.rules[before]
        shown = (0.0, 0) if rule.limit is Limit.SYSTEM else (twin.value.item(rule.tag_id), twin.status.item(rule.tag_id))
        owed.ended.append(over(rule, *shown, old.serial.item(before)))
    alarms.go_on(old.retired | {old.rules[before].condition: old.serial.item(before) + (before in standing) for before in gone})
    owed.settled += [alarms.rules[row].condition for row in alarms.adapt().tolist()]
    engine.alarms = engine.twin.alarms = alarms


def conditions(old: Mapping[str, int], alarms: Alarms, tags: TagTable) -> list[tuple[int, int]]:
    """(old row, new row) of each condition that goes on: under its name, or the one that its tag had before."""
    pairs = []
    for row, rule in enumerate(alarms.rules):
        before = old.get(rule.condition)
        if rule.limit is not Limit.SYSTEM:
            tag = tags[rule.tag_id]
            if not tag.enabled:
                continue
            if before is None and tag.was:
                before = old.get(replace(rule, tag=tag.was).condition)
        if before is not None:
            pairs.append((before, row))
    return pairs


def over(rule: AlarmRule, value: float, status: int, serial: int) -> Transition:
    """The end of a condition whose rule is gone, and which stood at that serial; its time is that of the call that tells it."""
    return Transition(Condition(rule, False, True, 0, value, status=status, severity=rule.severity, serial=serial + 1), Change.INACTIVE, 0)


# --- what is to be told of it -----------------------------------------------------------------------------------------------------------


def pay(engine: "Engine", owed: Owed, outcome: "Outcome") -> None:
    """What a reload or a restart left to tell."""
    alarms, engine.owed = engine.alarms, None
    now_ns = outcome.now_ns
    outcome.transitions += [replace(one, at_ns=now_ns, condition=replace(one.condition, since_ns=now_ns)) for one in owed.ended]
    for name in owed.moved:
        if name in alarms.place:
            rows = np.array([alarms.place[name]], np.intp)
            outcome.transitions += alarms.tell(rows, [Change.ACTIVE if alarms.active[rows[0]] else Change.INACTIVE], now_ns)
    for name in owed.settled:
        if name in alarms.place:
            row = alarms.place[name]
            alarms.note(row, "", None, now_ns)
            outcome.transitions += alarms.tell(np.array([row], np.intp), [Change.CONFIRMED], now_ns)
    if owed.anew:
        _anew(engine, owed, outcome)


def _anew(engine: "Engine", owed: Owed, outcome: "Outcome") -> None:
    """Statuses of tags, limits that stand elsewhere, formulas that read otherwise."""
    twin, rows = engine.twin, np.array(sorted(owed.status), np.intp)
    status = np.array([owed.status[row] for row in rows.tolist()], np.uint32)
    if rows.size:
        engine.apply(outcome, rows, rows, Columns(rows.astype(np.int32), twin.value[rows], status, twin.source_ns[rows]), follow=False)
    inputs = np.flatnonzero(engine.derived.feeds)
    if inputs.size:
        engine.derive(outcome, inputs)
    ruled = np.flatnonzero(engine.alarms.count > 0)
    ruled = ruled[twin.status[ruled] != quality.BAD_WAITING_FOR_INITIAL_DATA]
    ruled = ruled[twin.tags.enabled[ruled]]
    if ruled.size:
        outcome.transitions += engine.alarms.weigh(ruled, outcome.now_ns, twin)
