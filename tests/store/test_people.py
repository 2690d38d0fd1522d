"""People and tokens on disk."""

from gateway.model.people import Token, User

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


async def test_revoked_tokens_are_gone(store):
    await store.people.put_token(TOKEN)
    await store.people.remove_tokens(["t1", "t2"])
    assert not (await store.people.load()).tokens
