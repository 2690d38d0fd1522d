"""What a step of the engine costs: CPU time of one core, best of several runs, in units named by the keys."""

import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from gateway.engine.align import believable
from gateway.engine.engine import Engine
from gateway.engine.where import distinct, every
from gateway.model.alarm import AlarmRule, Limit
from gateway.model.batch import SampleBatch
from gateway.model.derived import DerivedRule
from gateway.model.sync import Sync
from gateway.model.tag import DERIVED, Tag, TagTable

TAGS: Final = 10_000
SMALL: Final = 10
_START_NS: Final = 1_700_000_000_000_000_000
_LIMITS: Final = ((Limit.HIHI, 90.0), (Limit.HI, 80.0), (Limit.LO, 20.0), (Limit.LOLO, 10.0))


def run() -> dict[str, Any]:
    """Full steps of 10 000 tags with 40 000 limit checks, small steps, the bare application, a flood, and a snapshot."""
    full = _step_ns(_engine(TAGS), np.arange(TAGS, dtype=np.int32), 40)
    shuffled = _step_ns(_engine(TAGS), np.random.default_rng(1).permutation(TAGS).astype(np.int32), 40)
    small = _step_ns(_engine(TAGS), np.arange(0, TAGS, TAGS // SMALL, dtype=np.int32), 1000)
    figures = {
        "tags": TAGS,
        "limit_checks_per_step": TAGS * len(_LIMITS),
        "full_step_ns_per_tag": round(full / TAGS, 2),
        "shuffled_step_ns_per_tag": round(shuffled / TAGS, 2),
        "apply_ns_per_sample": round(_apply_ns() / TAGS, 2),
        "backlog_of_one_tag_ns_per_sample": round(_backlog_ns(), 0),
        "small_step_tags": SMALL,
        "small_step_us": round(small / 1e3, 1),
        "core_share_at_100_hz_percent": round(full * 100 / 1e9 * 100, 2),
        "crossing_step_us_per_transition": round(_crossing_ns() / TAGS / 1e3, 2),
        "pending_deadline_us": round(_pending_ns() / 1e3, 2),
        "derived_us_per_tag": round(_derived_ns() / 1e3, 2),
    }
    return figures | _snapshot()


def _engine(size: int, *, limits: bool = True, on_delay_ns: int = 0) -> Engine:
    tags = TagTable.of([Tag(k, f"area{k % 10}.tag{k}", source="plc", eu_range=(0.0, 100.0), deadband=0.5) for k in range(size)])
    rules = [AlarmRule(tag.tag_id, tag.name, limit, at, 0.5, on_delay_ns) for tag in tags for limit, at in _LIMITS] if limits else []
    return Engine(tags, rules, [], Sync(update_frequency=100.0))


def _values(rng: np.random.Generator, size: int) -> "np.ndarray[Any, np.dtype[np.float64]]":
    return 50.0 + rng.normal(0.0, 1.0, size)


def _step_ns(engine: Engine, ids: "np.ndarray[Any, np.dtype[np.int32]]", steps: int) -> float:
    """Best CPU ns of one step over several runs; every step is new samples of these tags, 10 ms after the one before, and a commit."""
    rng = np.random.default_rng(7)
    columns = [_values(rng, ids.size) for _ in range(16)]
    best, at_ns = np.inf, _START_NS
    for _ in range(20):
        times = range(at_ns + 10_000_000, at_ns + (steps + 1) * 10_000_000, 10_000_000)
        batches = [SampleBatch.of(ids, columns[k % 16], 0, at, received_ns=at) for k, at in enumerate(times)]
        best, at_ns = min(best, _cpu_ns(_run(engine, batches)) / steps), times[-1]
    return float(best)


def _run(engine: Engine, batches: list[SampleBatch]) -> Callable[[], None]:
    def steps() -> None:
        for batch in batches:
            engine.step(batch, batch.received_ns)

    return steps


def _cpu_ns(work: Callable[[], object]) -> int:
    before = time.process_time_ns()
    work()
    return time.process_time_ns() - before


def _apply_ns() -> float:
    """Align, validity and twin alone, for a whole batch."""
    engine, ids = _engine(TAGS, limits=False), np.arange(TAGS, dtype=np.int32)
    batch = SampleBatch.of(ids, np.full(TAGS, 50.0), 0, _START_NS, received_ns=_START_NS)
    engine.step(batch, _START_NS)

    def fifty() -> None:
        for _ in range(50):
            picked = distinct(ids, TAGS)
            assert picked is not None
            where, rows = picked
            believable(batch.source_ns, _START_NS)
            every(batch.source_ns > engine.twin.gate_ns[where])
            value, status, _, _ = engine.validity.check(where, batch.value, batch.status, engine.twin.value)
            engine.twin.put(where, rows, value, status, batch.source_ns)
            engine.twin.gate_ns[where] = batch.source_ns

    return float(min(_cpu_ns(fifty) / 50 for _ in range(10)))


def _backlog_ns() -> float:
    """Ten thousand samples of one tag in one message."""
    engine, at_ns = _engine(TAGS), _START_NS + np.arange(1, TAGS + 1) * 10_000_000
    engine.step(SampleBatch.of([0], [50.0], 0, _START_NS, received_ns=_START_NS), _START_NS)
    values = _values(np.random.default_rng(3), TAGS)
    now_ns = int(at_ns[-1])
    batch = SampleBatch.of(np.zeros(TAGS, np.int32), values, 0, at_ns, received_ns=now_ns)
    return _cpu_ns(lambda: engine.step(batch, now_ns)) / TAGS


def _crossing_ns() -> float:
    """One step in which every tag crosses a limit: 10 000 transitions."""
    engine, ids = _engine(TAGS), np.arange(TAGS, dtype=np.int32)
    engine.step(SampleBatch.of(ids, np.full(TAGS, 50.0), 0, _START_NS, received_ns=_START_NS), _START_NS)
    later = _START_NS + 1_000_000_000
    batch = SampleBatch.of(ids, np.full(TAGS, 85.0), 0, later, received_ns=later)
    return _cpu_ns(lambda: engine.step(batch, later))


def _pending_ns() -> float:
    """next_deadline while a delay runs on every tag."""
    engine, ids = _engine(TAGS, on_delay_ns=60_000_000_000), np.arange(TAGS, dtype=np.int32)
    engine.step(SampleBatch.of(ids, np.full(TAGS, 85.0), 0, _START_NS, received_ns=_START_NS), _START_NS)
    return _cpu_ns(lambda: [engine.next_deadline() for _ in range(1000)]) / 1000


def _derived_ns() -> float:
    """One derived tag of four inputs with an integral, per evaluation."""
    names = [f"in{k}" for k in range(4)]
    tags = TagTable.of(
        [*(Tag(k, name, source="plc") for k, name in enumerate(names)), *(Tag(4 + k, f"out{k}", source=DERIVED) for k in range(100))]
    )
    rules = [DerivedRule(4 + k, f"out{k}", "integral(in0) / max(in1, 1) + clip(in2 - in3, 0, 10)") for k in range(100)]
    engine, ids, at_ns = Engine(tags, [], rules, Sync()), np.arange(4, dtype=np.int32), _START_NS
    batches = []
    for _ in range(50):
        at_ns += 1_000_000
        batches.append(SampleBatch.of(ids, np.arange(4.0), 0, at_ns, received_ns=at_ns))
    return _cpu_ns(_run(engine, batches)) / 50 / 100


def _snapshot() -> dict[str, Any]:
    engine, ids = _engine(TAGS), np.arange(TAGS, dtype=np.int32)
    engine.step(SampleBatch.of(ids, np.full(TAGS, 50.0), 0, _START_NS, received_ns=_START_NS), _START_NS)
    blob = engine.snapshot()
    return {
        "snapshot_ms": round(_cpu_ns(engine.snapshot) / 1e6, 1),
        "restore_ms": round(_cpu_ns(lambda: engine.restore(blob)) / 1e6, 1),
        "snapshot_bytes": len(blob),
    }
