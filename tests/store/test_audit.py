"""The audit: append-only, and a change in the middle shows."""

import sqlite3

import pytest

from gateway.model.command import Caller, Command, Outcome
from gateway.store.errors import StoreUnavailable

from .conftest import NOW

OPERATOR = Caller("ann \ud800", "operator", "web:127.0.0.1")


async def fill(store, n=5):
    for k in range(n):
        await store.audit(Command("alarm.acknowledge", {"condition": f"c{k}"}, OPERATOR), Outcome(0, "done", {}), NOW + k)


async def test_the_chain_of_an_honest_log_holds_over_a_restart(open_store):
    store = await open_store()
    await fill(store)
    await store.close()
    store = await open_store()
    await fill(store, 2)
    check = await store.audit_verify()
    assert (check.records, check.broken_at) == (7, None)
    assert [record.seq for record in await store.audit_log(2)] == [7, 6]


@pytest.mark.parametrize(
    "crime", ["UPDATE audit SET message='other' WHERE seq=3", "DELETE FROM audit WHERE seq=3", "UPDATE audit SET user='bob' WHERE seq=3"]
)
async def test_whoever_changes_a_record_breaks_the_chain(open_store, tmp_path, crime):
    store = await open_store()
    await fill(store)
    with sqlite3.connect(tmp_path / "edgetwin.db") as thief, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        thief.execute(crime)
    with sqlite3.connect(tmp_path / "edgetwin.db") as thief:
        for trigger in ("audit_is_not_changed", "audit_is_not_deleted"):
            thief.execute(f"DROP TRIGGER {trigger}")
        thief.execute(crime)
    assert (await store.audit_verify()).broken_at == 3


async def test_a_record_that_cannot_be_written_leaves_its_reason_until_one_can(open_store, tmp_path):
    store = await open_store()
    await fill(store, 1)
    assert store.audit_fault is None
    with sqlite3.connect(tmp_path / "edgetwin.db", timeout=0) as other:
        other.execute("ALTER TABLE audit RENAME TO elsewhere")
    with pytest.raises(StoreUnavailable):
        await fill(store, 1)
    assert "audit" in store.audit_fault
    with sqlite3.connect(tmp_path / "edgetwin.db", timeout=0) as other:
        other.execute("ALTER TABLE elsewhere RENAME TO audit")
    await store.reopen()
    await store.maintain(NOW)
    await fill(store, 1)
    assert store.audit_fault is None
