"""Events: kept, found, acknowledged, cleared, bounded (D04-D09, D13, H04)."""

import sqlite3
import uuid

from gateway.model.event import Category, Event, Severity
from gateway.store.config import StoreConfig
from gateway.store.store import Commit

from .conftest import NOW, SECOND


def event(k, category=Category.PROCESS, level=100, source="line", **more):
    return Event(str(uuid.UUID(int=k)), NOW + k * SECOND, category, level, source, f"message {k}", **more)


async def test_the_newest_come_first_and_filters_join(store):
    events = [
        event(1, Category.SYSTEM, 100),
        event(2, Category.THRESHOLD, 500),
        event(3, Category.THRESHOLD, 700, "press"),
        event(4, Category.ERROR, 900, details={"a": [1, None, {"b": "\ud800"}]}),
        event(5, Category.THRESHOLD, 1000),
    ]
    await store.commit(Commit(events=events))
    query = store.journal.query

    async def found(**filters):
        return [int(uuid.UUID(event.event_id)) for event in await query(**filters)]

    assert (await query())[::-1] == events
    assert await found(limit=2) == [5, 4]
    assert await found(categories=[Category.THRESHOLD]) == [5, 3, 2]
    assert await found(categories=[Category.SYSTEM, Category.ERROR]) == [4, 1]
    assert await found(severities=[Severity.WARNING, Severity.ERROR]) == [3, 2]
    assert await found(categories=[Category.THRESHOLD], severities=[Severity.CRITICAL]) == [5]
    assert await found(source="press") == [3]
    assert await found(start_ns=NOW + 2 * SECOND, end_ns=NOW + 4 * SECOND) == [3, 2]


async def test_acknowledging_is_remembered_and_an_unknown_event_is_told(store):
    await store.commit(Commit(events=[event(1), event(2)]))
    assert await store.journal.acknowledge(event(1).event_id) is True
    assert await store.journal.acknowledge("nobody's") is False
    assert [found.event_id for found in await store.journal.query(acknowledged=True)] == [event(1).event_id]
    assert [found.event_id for found in await store.journal.query(acknowledged=False)] == [event(2).event_id]


async def test_clearing_tells_how_many(store):
    await store.commit(Commit(events=[event(k) for k in range(10)]))
    assert await store.journal.clear(NOW + 4 * SECOND) == 4
    assert await store.journal.clear() == 6
    assert await store.journal.query() == []


async def test_beyond_its_bound_the_journal_forgets_the_oldest(open_store):
    store = await open_store(config=StoreConfig(journal_events=3))
    await store.commit(Commit(events=[event(k) for k in range(10)]))
    await store.maintain(NOW)
    assert [found.timestamp_ns for found in await store.journal.query()] == [NOW + k * SECOND for k in (9, 8, 7)]


async def test_an_event_that_is_given_twice_is_one(store):
    await store.commit(Commit(events=[event(1)]))
    await store.commit(Commit(events=[event(1)]))
    assert len(await store.journal.query()) == 1


async def test_people_and_their_tools_find_a_plain_table_of_events(store, tmp_path):
    await store.commit(Commit(events=[event(1, Category.THRESHOLD, 700, "press", details={"a": 1})]))
    with sqlite3.connect(tmp_path / "plant.db") as plain:
        plain.row_factory = sqlite3.Row
        found = dict(plain.execute("SELECT * FROM events").fetchone())
    plain.close()
    assert found == {
        "id": event(1).event_id,
        "timestamp": "2023-11-14T22:13:21.000Z",
        "category": "threshold",
        "severity": "error",
        "source": "press",
        "message": "message 1",
        "details": '{"a":1}',
        "acknowledged": 0,
    }
