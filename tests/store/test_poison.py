"""Whatever a device sends is stored or left out; nothing raises, and the neighbours flow."""

import numpy as np
import pytest

from gateway.model.event import Category, Event
from gateway.model.outbox import OutboxRow
from gateway.store import maintenance
from gateway.store.store import Commit

from .conftest import NOW, step

VALUES = [np.nan, np.inf, -np.inf, 1e39, -1e39, 2.0**53 + 1, -0.0, 5e-324, 1.7976931348623157e308]
TIMES = [0, -1, -(2**63), 2**63 - 1, -(2**62), 2**62, 1, 2, 3]


async def test_values_and_times_at_every_edge_come_back_bit_for_bit(store):
    await store.commit(Commit([step([0] * 9 + [1], [*VALUES, 1.0], [*TIMES, NOW])], snapshot=b"s"))
    expected = sorted(zip(TIMES, np.array(VALUES).view(np.int64).tolist(), strict=True))
    for _ in range(2):
        series = await store.history.read(0, -(2**63), 2**63 - 1)
        found = list(zip(series.source_ns.tolist(), series.value.view(np.int64).tolist(), strict=True))
        assert found == [pair for pair in expected if pair[0] < 2**63 - 1]
        assert (await store.history.read(1, 0, 2**63 - 1)).value.tolist() == [1.0]
        await maintenance.cut(store._plant, 2)
    assert [batch.tag_id.size for _, batch in (await store.restore()).steps] == []


@pytest.mark.parametrize("text", ["\ud800", "\udfff\ud800 both", "a\0b", "x" * (16 << 20), "'; DROP TABLE tail; --"])
async def test_any_text_is_kept_everywhere_it_may_stand(store, text):
    event = Event("e", NOW, Category.ERROR, 1, text, text, {"text": text, text[:100]: [text[:100]]})
    row = OutboxRow("mqtt/live", text, text.encode("utf-8", "replace"), NOW)
    store.memory("unit").put(text[:100], text)
    await store.commit(Commit([step([2, 0], [np.nan, 1.0], [NOW, NOW], text={0: text})], [event], [row]))
    assert (await store.history.read(2, NOW, NOW + 1)).text == {0: text}
    assert await store.journal.query(source=text) == [event]
    assert [found.topic for found in await store.outbox.peek("mqtt/live", 1)] == [text]
    assert (await store.restore()).steps[0][1].text == {0: text}


async def test_details_that_are_no_json_are_written_as_text(store):
    await store.commit(
        Commit(events=[Event("e", NOW, Category.ERROR, 1, "s", "m", {"limit": np.float64(2.5), "nan": float("nan"), "path": store.path})])
    )
    (event,) = await store.journal.query()
    assert event.details["path"] == str(store.path)


async def test_an_empty_step_costs_nothing(store):
    await store.commit(Commit([step([], [], [])]))
    assert store.stats().tail_rows == 0
