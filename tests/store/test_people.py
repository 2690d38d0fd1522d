"""People and tokens on disk."""

from gateway.model.command import Caller, Command, Outcome
from gateway.model.people import Token, User
from gateway.store import audit
from gateway.store.database import open_writer
from gateway.store.schema import EDGETWIN, Schema

ANN = User("ann", "operator", "$argon2id$...", "ab" * 32, disabled=False, created_ns=1, changed_ns=2)
TOKEN = Token("t1", "historian", "viewer", "ann", b"\x01" * 32, 3, 0)


async def test_what_is_put_comes_back_after_a_restart(open_store):
    store = await open_store()
    assert not (await store.people.load()).existed
    await store.people.put_user(ANN)
    await store.people.put_token(TOKEN)
    await store.close()
    kept = await (await open_store()).people.load()
    assert (list(kept.users), list(kept.tokens), kept.existed) == ([ANN], [TOKEN], True)


async def test_a_removed_user_takes_the_tokens_along_and_having_had_one_is_never_undone(store):
    await store.people.put_user(ANN)
    await store.people.put_token(TOKEN)
    await store.people.remove_user("ann")
    kept = await store.people.load()
    assert (list(kept.users), list(kept.tokens), kept.existed) == ([], [], True)


async def test_the_tokens_of_who_is_signed_out_end_with_the_change(store):
    await store.people.put_user(ANN)
    await store.people.put_token(TOKEN)
    await store.people.put_user(ANN)
    assert (await store.people.load()).tokens
    await store.people.put_user(ANN, signed_out=True)
    assert not (await store.people.load()).tokens


async def test_revoked_tokens_are_gone(store):
    await store.people.put_token(TOKEN)
    await store.people.remove_tokens(["t1", "t2"])
    assert not (await store.people.load()).tokens


async def test_a_file_of_the_release_before_gets_its_tables_and_keeps_its_audit(open_store, tmp_path):
    before = Schema(EDGETWIN.application_id, EDGETWIN.migrations[:1])
    connection = open_writer(tmp_path / "edgetwin.db", before)
    command = Command("alarm.acknowledge", {}, Caller("ann", "operator", "web:10.0.0.7"))
    audit.append(connection, command, Outcome(0, "done", {}), 1)
    connection.close()
    store = await open_store()
    await store.people.put_user(ANN)
    assert list((await store.people.load()).users) == [ANN]
    assert [record.user for record in await store.audit_log()] == ["ann"]
    assert (await store.audit_verify()).broken_at is None


async def test_the_audit_is_read_page_by_page_and_by_user(store):
    for n in range(5):
        caller = Caller("ann" if n % 2 else "bob", "operator", "web:10.0.0.7")
        await store.audit(Command("alarm.acknowledge", {"n": n}, caller), Outcome(0, "done", {}), n)
    assert [record.seq for record in await store.audit_log(2)] == [5, 4]
    assert [record.seq for record in await store.audit_log(2, before=4)] == [3, 2]
    assert [record.seq for record in await store.audit_log(10, user="ann")] == [4, 2]
    assert not await store.audit_log(10, before=0)
    assert len(await store.audit_log(10, before=2**80)) == 5
