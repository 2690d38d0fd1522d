"""The longest single piece of work on the road: one engine step of all tags, each with four limits, and its encoding for a client."""

import gc
import time
from typing import Final

import numpy as np

from gateway.engine.engine import Engine
from gateway.model.alarm import AlarmRule, Limit
from gateway.model.batch import SampleBatch
from gateway.model.sync import Sync
from gateway.model.tag import Tag, TagTable
from gateway.sinks.opcua.items import TagItems
from gateway.sinks.opcua.queue import Budget
from gateway.wire.opcua.face import ItemRequest, Mode
from gateway.wire.opcua.limits import VALUES_PER_NOTIFICATION

_START_NS: Final = 1_700_000_000_000_000_000
_LIMITS: Final = ((Limit.HIHI, 90.0), (Limit.HI, 80.0), (Limit.LO, 20.0), (Limit.LOLO, 10.0))


def p99_ms(tags: int, steps: int) -> float:
    """CPU ms that 99 of 100 steps do not exceed, the collector's pauses inside."""
    table = TagTable.of([Tag(k, f"area{k % 100}.tag{k}", source="plc", deadband=0.5) for k in range(tags)])
    rules = [AlarmRule(tag.tag_id, tag.name, limit, at, 0.5) for tag in table for limit, at in _LIMITS]
    engine = Engine(table, rules, [], Sync(update_frequency=100.0))
    items = TagItems(engine.view, Budget(), lambda: 10.0, lambda _items: None)
    for tag_id in range(tags):
        items.create(tag_id + 1, tag_id, ItemRequest(tag_id, 0.0, 1, discard_oldest=True), Mode.REPORTING, 0, _START_NS)
    gc.collect()
    gc.freeze()
    rng, ids, times = np.random.default_rng(5), np.arange(tags, dtype=np.int32), []
    values = [50.0 + rng.normal(0.0, 1.0, tags) for _ in range(8)]
    for step in range(1, steps + 1):
        now_ns = _START_NS + step * 50_000_000
        batch = SampleBatch.of(ids, values[step % 8], 0, now_ns, received_ns=now_ns)
        began = time.process_time_ns()
        update = engine.step(batch, now_ns)
        items.push(update.rows, repeats=False, now_ns=now_ns)
        while items.ready():
            items.take(VALUES_PER_NOTIFICATION)
        times.append((time.process_time_ns() - began) / 1e6)
    gc.unfreeze()
    return float(np.percentile(times[1:], 99))
