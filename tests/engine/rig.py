"""What the tests of the engine share: tables in one line, batches by tag, and what a sequence of calls told."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gateway.engine.engine import Engine
from gateway.model.alarm import AlarmRule, Limit, Transition
from gateway.model.batch import Origin, SampleBatch
from gateway.model.derived import DerivedRule
from gateway.model.sync import Sync
from gateway.model.tag import DERIVED, Tag, TagTable, TagType
from gateway.model.update import Columns, TwinUpdate

S = 1_000_000_000
T0 = 1_700_000_000 * S


def table(*tags: Tag | str) -> TagTable:
    """Tags in this order; a bare name is a float of source `plc`."""
    rows = []
    for place, tag in enumerate(tags):
        given = Tag(0, tag, source="plc") if isinstance(tag, str) else tag
        fields = {name: getattr(given, name) for name in Tag.__slots__}
        rows.append(Tag(**(fields | {"tag_id": place})))
    return TagTable.of(rows)


def tag(name: str, **fields: Any) -> Tag:
    return Tag(0, name, **({"source": "plc"} | fields))


def text(name: str) -> Tag:
    return tag(name, type=TagType.TEXT)


def build(tags: TagTable, rules: Sequence[AlarmRule] = (), formulas: dict[str, str] | None = None, **sync: Any) -> Engine:
    derived = [DerivedRule(tags.index[name], name, expression) for name, expression in (formulas or {}).items()]
    return Engine(tags, rules, derived, Sync(**sync))


def derived(name: str, **fields: Any) -> Tag:
    return tag(name, source=DERIVED, **fields)


def rule(tags: TagTable, name: str, limit: str, at: float = 0.0, hysteresis: float = 0.0, on_s: float = 0, off_s: float = 0) -> AlarmRule:
    return AlarmRule(tags.index[name], name, Limit(limit), at, hysteresis, int(on_s * S), int(off_s * S))


def batch(
    ids: Sequence[int], values: Sequence[float], at_s: float | Sequence[float] = 0, status: int | Sequence[int] = 0, **more: Any
) -> SampleBatch:
    """Samples at these seconds after T0, received at the latest of them unless `received_s` says otherwise."""
    times = [at_s] * len(ids) if isinstance(at_s, int | float) else list(at_s)
    received_s = more.pop("received_s", max(times))
    source_ns = [T0 + round(at * S) for at in times]
    return SampleBatch.of(ids, values, status, source_ns, received_ns=T0 + round(received_s * S), **more)


def feed(
    engine: Engine, ids: Sequence[int], values: Sequence[float], at_s: float, status: int | Sequence[int] = 0, **more: Any
) -> TwinUpdate:
    """One step of samples of that second, at that second."""
    return engine.step(batch(ids, values, at_s, status, **more), T0 + round(at_s * S))


def manual(engine: Engine, ids: Sequence[int], values: Sequence[float], at_s: float, **more: Any) -> TwinUpdate:
    return feed(engine, ids, values, at_s, origin=Origin.MANUAL, **more)


def mark(engine: Engine, ids: Sequence[int], status: int, at_s: float) -> TwinUpdate:
    """The gateway's word on links."""
    return feed(engine, ids, [np.nan] * len(ids), at_s, status, origin=Origin.GATEWAY)


def told(update: TwinUpdate) -> list[tuple[str, str, str]]:
    """The transitions as (tag, limit, change)."""
    return [(t.rule.tag, t.rule.limit.value, t.change.value) for t in update.transitions]


def rows(columns: Columns) -> list[tuple[int, float, int, float]]:
    """(tag_id, value, status, seconds after T0) per row."""
    seconds = ((columns.source_ns - T0) / S).tolist()
    return list(zip(columns.tag_id.tolist(), columns.value.tolist(), columns.status.tolist(), seconds, strict=True))


def same(one: TwinUpdate, other: TwinUpdate) -> None:
    """Asserts that two updates are equal, bit for bit."""
    for mine, theirs in ((one.rows, other.rows), (one.late, other.late)):
        for name in ("tag_id", "value", "status", "source_ns"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(theirs, name), err_msg=name)
        assert dict(mine.text) == dict(theirs.text)
    np.testing.assert_array_equal(one.reported, other.reported)
    assert [_plain(t) for t in one.transitions] == [_plain(t) for t in other.transitions]
    for name in ("now_ns", "version", "committed", "changed", "changed_tags", "counts"):
        assert getattr(one, name) == getattr(other, name), name


def _plain(t: Transition) -> tuple[Any, ...]:
    return (t.change, t.at_ns, t.source_ns, repr(t.condition))
