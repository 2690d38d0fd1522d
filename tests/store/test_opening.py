"""What cannot be used is moved aside and told; what is newer is left alone; what is older is brought up; nobody shares a directory."""

import asyncio
import os
import sqlite3
from contextlib import suppress

import pytest

from gateway.model.outbox import OutboxRow
from gateway.store import database, opening, schema, state
from gateway.store.lock import DirectoryLock
from gateway.store.store import Commit, SchemaTooNew, StoreLocked, StoreUnavailable

from .conftest import NOW, SECOND, step

STAMP = "20231114T221320Z"


async def filled(open_store, n=200):
    store = await open_store()
    for k in range(n):
        await store.commit(Commit([step([0], [float(k)], [NOW + k])]))
    await store.close()


def damage_pages(path, first, last):
    raw = bytearray(path.read_bytes())
    span = slice(*slice(first * 4096, last * 4096).indices(len(raw)))
    raw[span] = b"\xa5" * (span.stop - span.start)
    path.write_bytes(raw)


def alien(path):
    path.unlink()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs(a)")


def hot_journal(path):
    """Another program's file, with the journal that its crash left behind."""
    alien(path)
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA cache_size=1")
        other.executemany("INSERT INTO theirs VALUES(randomblob(5000))", [()] * 50)
        images = {name: path.with_name(name).read_bytes() for name in (path.name, f"{path.name}-journal")}
    other.close()
    for name, image in images.items():
        path.with_name(name).write_bytes(image)


SPOILED = {
    "not SQLite": lambda path: path.write_bytes(b"hello" * 1000),
    "alien": alien,
    "header": lambda path: path.write_bytes(b"\0" * 4096 + path.read_bytes()[4096:]),
    "first pages": lambda path: damage_pages(path, 1, 12),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "half a transaction of another program": hot_journal,
    "cut to nothing beside a log": lambda path: (path.write_bytes(b""), path.with_name(path.name + "-wal").write_bytes(b"x" * 5000)),
}


@pytest.mark.parametrize("fault", SPOILED)
@pytest.mark.parametrize("name", ["plant.db", "edgetwin.db"])
async def test_a_file_that_cannot_be_used_is_moved_aside_and_told(open_store, tmp_path, name, fault):
    await filled(open_store)
    path = tmp_path / name
    SPOILED[fault](path)
    spoiled = path.read_bytes()
    store = await open_store()
    (told,) = store.alarms_at_open
    assert (told.category, told.level, told.details["moved_to"]) == ("error", 900, f"{name}.{STAMP}.corrupt")
    assert (tmp_path / f"{name}.{STAMP}.corrupt").read_bytes() == spoiled
    await store.commit(Commit([step([0], [1.0], [NOW])]))
    assert (await store.audit_verify()).broken_at is None
    await store.close()
    assert (await open_store()).alarms_at_open == []


async def test_damage_found_after_a_crash_is_told_and_the_file_gives_way_at_the_next_start(open_store, tmp_path):
    """After an unclean stop the pages of plant.db are checked beside the work; a clean one spares the time."""
    await filled(open_store)
    with sqlite3.connect(tmp_path / "plant.db") as plain:
        plain.execute("UPDATE state SET value=0 WHERE key='clean'")
        plain.executemany("INSERT INTO blocks VALUES(NULL, 1, ?, ?, 1, randomblob(2000))", [(k, k) for k in range(400)])
    plain.close()
    damage_pages(tmp_path / "plant.db", -50, -40)
    store = await open_store()
    await store._check
    assert store.damage is not None
    assert store.stats().damage == store.damage
    await store.close()
    store = await open_store()
    assert "moved aside" in store.alarms_at_open[0].message


async def test_damage_met_at_work_leads_to_a_new_file_and_the_commit_is_not_lost(open_store, tmp_path):
    store = await open_store()
    message = OutboxRow("mqtt/live", "t", b"{}", NOW)
    store.memory("driver/plc").put("subscription", "17")
    await store.commit(Commit([step([0], [1.0], [NOW])], outbox=[message] * 5))
    boot, sent = store.boot, await store.outbox.peek("mqtt/live", 3)
    await store._plant.pragma("PRAGMA wal_checkpoint(TRUNCATE)")
    (tmp_path / "plant.db").write_bytes((tmp_path / "plant.db").read_bytes()[:4096] + b"\xa5" * 200_000)
    commit = Commit([step([0], [2.0], [NOW + 1])], outbox=[message], snapshot=bytes(300_000))
    await store._plant.pragma("PRAGMA shrink_memory")
    await until_it_breaks(store)
    with pytest.raises(StoreUnavailable):
        await store.commit(commit)
    await store.reopen()
    await store.commit(commit)
    assert 2.0 in (await store.history.read(0, NOW, NOW + SECOND)).value.tolist()
    assert "moved aside" in (await store.journal.query())[0].message
    store.outbox.acked("mqtt/live", sent[-1].seq)
    assert [row.seq for row in await store.outbox.peek("mqtt/live", 9)] == [6], "the sequence goes on: no number is given twice in one boot"
    await store.close()
    store = await open_store()
    assert (store.boot, store.memory("driver/plc").get("subscription")) == (boot, "17")


async def until_it_breaks(store):
    """The damaged page may be touched at once or a few commits later."""
    with suppress(StoreUnavailable):
        for _ in range(50):
            await store.commit(Commit([step([0], [2.0], [NOW + 1])], snapshot=os.urandom(30_000)))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
async def test_a_truncated_log_never_keeps_the_store_from_opening(open_store, tmp_path, share):
    """Frames beyond the cut are gone with it (that is what a lost disk cache does); those before it are whole."""
    store = await open_store()
    for k in range(100):
        await store.commit(Commit([step([0], [float(k)], [NOW + k])]))
    image = {name: (tmp_path / name).read_bytes() for name in ("plant.db", "plant.db-wal")}
    await store.close()
    for file in tmp_path.glob("plant.db*"):
        file.unlink()
    (tmp_path / "plant.db").write_bytes(image["plant.db"])
    (tmp_path / "plant.db-wal").write_bytes(image["plant.db-wal"][: int(share * len(image["plant.db-wal"]))])
    store = await open_store()
    await store._check
    values = (await store.history.read(0, NOW, NOW + SECOND)).value.tolist()
    assert values == [float(k) for k in range(len(values))]
    assert (store.damage, store.alarms_at_open) == (None, [])


async def test_a_second_owner_is_refused_and_told_who_has_it(store, open_store, tmp_path):
    with pytest.raises(StoreLocked, match=f"in use by process {os.getpid()}"):
        await open_store()
    await store.close()
    DirectoryLock.take(tmp_path).release()


async def test_a_newer_file_is_refused_and_left_untouched(open_store, tmp_path):
    await filled(open_store)
    with sqlite3.connect(tmp_path / "plant.db") as plain:
        plain.execute("PRAGMA user_version=99")
    plain.close()
    before = (tmp_path / "plant.db").read_bytes()
    with pytest.raises(SchemaTooNew, match="version 99"):
        await open_store()
    assert (tmp_path / "plant.db").read_bytes() == before
    assert not list(tmp_path.glob("*.corrupt"))


OLD = schema.Schema(7, (("CREATE TABLE a(x)", "INSERT INTO a VALUES(1)"),))
NEW = schema.Schema(7, (*OLD.migrations, ("ALTER TABLE a ADD COLUMN y DEFAULT 5", "CREATE TABLE b(z)")))
WRONG = schema.Schema(7, (*OLD.migrations, ("CREATE TABLE b(z)", "this is no SQL")))


async def test_an_older_file_is_brought_up_with_all_it_holds(tmp_path):
    old = await database.Database.open(tmp_path / "a.db", OLD)
    await old.close()
    assert database.examine(tmp_path / "a.db", NEW, thorough=True) is None
    new = await database.Database.open(tmp_path / "a.db", NEW)
    assert await new.read(lambda connection: connection.execute("SELECT x, y FROM a").fetchall()) == [(1, 5)]
    await new.close()


async def test_a_file_with_pages_of_another_size_goes_on_as_it_is(open_store, monkeypatch):
    """Earlier releases made them of 4096 bytes."""
    with monkeypatch.context() as earlier:
        earlier.setattr(database, "PAGE_BYTES", 4096)
        await filled(open_store, 50)
    store = await open_store()
    assert await store._plant.read(database.page_bytes) == 4096
    assert await store.history.count(0) == 50
    await store.commit(Commit([step([0], [1.0], [NOW + 50])], snapshot=b"s"))
    await store.maintain(NOW + 3600 * SECOND)
    assert await store.history.count(0) == 51


async def test_a_migration_that_fails_leaves_the_old_version(tmp_path):
    await (await database.Database.open(tmp_path / "a.db", OLD)).close()
    with pytest.raises(StoreUnavailable, match="syntax error"):
        await database.Database.open(tmp_path / "a.db", WRONG)
    assert database.examine(tmp_path / "a.db", OLD, thorough=True) is None
    await (await database.Database.open(tmp_path / "a.db", OLD)).close()


async def test_another_writer_delays_a_commit_and_then_it_is_written(store, tmp_path, monkeypatch):
    """Another program's transaction on our file: unavailable after the busy timeout, whole again after it."""
    await store._plant.pragma("PRAGMA busy_timeout=50")
    other = sqlite3.connect(tmp_path / "plant.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    commit = Commit([step([0], [1.0], [NOW])])
    with pytest.raises(StoreUnavailable, match="locked"):
        await store.commit(commit)
    other.execute("ROLLBACK")
    other.close()
    await store.reopen()
    await store.commit(commit)
    assert (await store.history.read(0, NOW, NOW + 1)).value.tolist() == [1.0]


async def test_a_long_reader_neither_blocks_a_commit_nor_sees_half_of_one(store):
    reading, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def long(connection):
        before = connection.execute("SELECT count(*) FROM tail").fetchone()
        loop.call_soon_threadsafe(reading.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(10)
        return before == connection.execute("SELECT count(*) FROM tail").fetchone()

    task = asyncio.create_task(store._plant.read(long))
    await reading.wait()
    for k in range(20):
        await store.commit(Commit([step([0], [1.0], [NOW + k])]))
    go_on.set()
    assert await task


async def test_what_a_unit_remembers_is_durable_with_the_next_commit(open_store):
    store = await open_store()
    memory = store.memory("driver/plc")
    memory.put("subscription", "17 \ud800")
    assert memory.get("subscription") == "17 \ud800"
    assert store.memory("driver/other").get("subscription") is None
    await store.commit(Commit())
    assert await store._plant.read(state.load_memory) == {("driver/plc", "subscription"): "17 \ud800"}
    memory.put("subscription", "18")
    await store.close()
    assert (await open_store()).memory("driver/plc").get("subscription") == "18"


async def test_a_clean_stop_needs_no_check(open_store):
    await filled(open_store, 1)
    store = await open_store()
    assert store._check is None
    assert await store._plant.read(state.number, opening.CLEAN) == 0
