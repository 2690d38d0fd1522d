"""A commit is one transaction, and what was committed is there again after a restart."""

import numpy as np

from gateway.model.event import Category, Event
from gateway.model.outbox import OutboxRow
from gateway.store import maintenance
from gateway.store.store import Commit

from .conftest import NOW, SECOND, columns, step


def rows(n, stream="mqtt/live", **more):
    return [OutboxRow(stream, f"t/{k}", b"payload %d" % k, NOW + k, **more) for k in range(n)]


async def test_samples_events_and_messages_of_one_commit_come_back(store):
    event = Event("e1", NOW, Category.PROCESS, 500, "line", "it began", {"n": 1})
    await store.commit(Commit([step([0, 0, 1], [1.0, 2.0, 3.0], [NOW, NOW + SECOND, NOW])], [event], rows(3)))
    series = await store.history.read(0, NOW, NOW + 10 * SECOND)
    assert series.value.tolist() == [1.0, 2.0]
    assert await store.journal.query() == [event]
    assert [row.seq for row in await store.outbox.peek("mqtt/live", 10)] == [1, 2, 3]


async def test_the_engine_goes_on_from_snapshot_and_the_steps_since(open_store):
    store = await open_store()
    await store.commit(Commit([step([0], [1.0], [NOW])], snapshot=b"state"))
    await store.commit(Commit([step([0, 3], [2.0, 4.0], [NOW + 1, NOW + 1], late=columns([1], [9.0], [5]))]))
    await store.close()
    store = await open_store()
    restored = await store.restore()
    assert restored.snapshot == b"state"
    ((now_ns, batch),) = restored.steps
    assert (now_ns, batch.tag_id.tolist(), batch.value.tolist()) == (NOW, [0], [2.0]), "derived and late rows are left out"


async def test_acknowledged_messages_are_not_seen_again_and_the_sequence_goes_on(open_store):
    store = await open_store()
    await store.commit(Commit(outbox=rows(3)))
    store.outbox.acked("mqtt/live", 3)
    assert await store.outbox.peek("mqtt/live", 10) == []
    await store.close()
    store = await open_store()
    await store.commit(Commit(outbox=rows(1)))
    assert [row.seq for row in await store.outbox.peek("mqtt/live", 10)] == [4]
    assert store.outbox.fill()[0].rows == 1


async def test_a_small_commit_writes_little_to_the_disk(store):
    """The log grows by whole pages: of ten values and their message, acknowledged with the next commit, few and small ones."""
    log, commits = store.path / "plant.db-wal", 50
    await store._plant.pragma("PRAGMA wal_checkpoint(TRUNCATE)")
    for k in range(commits):
        await store.commit(Commit([step(range(3), [1.0, 2.0, float(k)], [NOW + k] * 3)], outbox=rows(1)))
        store.outbox.acked("mqtt/live", k + 1)
    assert log.stat().st_size / commits < 8000


async def test_a_commit_that_is_given_twice_is_written_once(store):
    commit = Commit([step([0], [1.0], [NOW])], outbox=rows(2))
    await store.commit(commit)
    await store.commit(commit)
    assert [row.seq for row in await store.outbox.peek("mqtt/live", 10)] == [1, 2]
    assert np.array_equal((await store.history.read(0, 0, 2**62)).value, [1.0])


async def test_a_commit_that_is_repeated_after_its_samples_were_cut_is_still_known(store):
    commit = Commit([step([0], [1.0], [NOW])], snapshot=b"s")
    await store.commit(commit)
    await maintenance.cut(store._plant, 2)
    await store.maintain(NOW)
    await store.commit(commit)
    assert await store.history.count(0) == 1


async def test_a_commit_without_samples_is_written_once_too(store):
    commit = Commit(outbox=rows(1))
    for _ in range(2):
        await store.commit(commit)
    assert store.outbox.fill()[0].rows == 1
