"""A tag's history follows its name, and `was` carries it to another one: at a restart and in a running gateway alike."""

from dataclasses import replace

from gateway.model.tag import Tag, TagTable
from gateway.store.store import Commit

from .conftest import NOW, step


def table(*tags):
    return TagTable.of([Tag(place, name, "plc", was=was, enabled=enabled) for place, (name, was, enabled) in enumerate(tags)])


async def values(store, tag_id):
    return (await store.history.read(tag_id, NOW, NOW + 100)).value.tolist()


BEFORE = table(("old", None, True), ("other", None, True))
RENAMED = table(("old", None, False), ("other", None, True), ("new", "old", True))


async def test_a_rename_in_a_running_gateway_keeps_the_history(open_store):
    """The reloaded table keeps the old name's row, disabled."""
    store = await open_store(BEFORE)
    await store.commit(Commit([step([0, 1], [1.0, 10.0], [NOW, NOW])]))
    store.retable(RENAMED)
    await store.commit(Commit([step([2, 1], [2.0, 20.0], [NOW + 1, NOW + 1])]))
    assert await values(store, 2) == [1.0, 2.0]
    assert await values(store, 1) == [10.0, 20.0]
    store.retable(RENAMED)
    await store.commit(Commit([step([2], [3.0], [NOW + 2])]))
    await store.close()
    store = await open_store(table(("new", "old", True), ("other", None, True)))
    assert await values(store, 0) == [1.0, 2.0, 3.0]
    assert [batch.tag_id.tolist() for _, batch in (await store.restore()).steps] == [[0, 1], [0, 1], [0]]


async def test_what_was_on_its_way_under_the_old_row_is_in_the_new_names_history(open_store):
    store = await open_store(BEFORE)
    await store.commit(Commit([step([0], [1.0], [NOW])]))
    store.retable(RENAMED)
    await store.commit(Commit([step([0, 2], [2.0, 3.0], [NOW + 1, NOW + 2])]))
    assert await values(store, 2) == [1.0, 2.0, 3.0]
    assert [batch.tag_id.tolist() for _, batch in (await store.restore()).steps] == [[2], [2, 2]]


async def test_a_tag_is_renamed_twice_and_back_again(open_store):
    store = await open_store(table(("a", None, True)))
    await store.commit(Commit([step([0], [1.0], [NOW])]))
    store.retable(table(("a", None, False), ("b", "a", True)))
    await store.commit(Commit([step([1], [2.0], [NOW + 1])]))
    store.retable(table(("a", None, False), ("b", "a", False), ("c", "b", True)))
    await store.commit(Commit([step([2], [3.0], [NOW + 2])]))
    assert await values(store, 2) == [1.0, 2.0, 3.0]
    store.retable(table(("a", "c", True), ("b", "a", False), ("c", "b", False)))
    await store.commit(Commit([step([0], [4.0], [NOW + 3])]))
    assert await values(store, 0) == [1.0, 2.0, 3.0, 4.0]
    await store.close()
    assert await values(await open_store(table(("a", "c", True))), 0) == [1.0, 2.0, 3.0, 4.0]


async def test_two_tags_that_are_both_there_keep_their_own_history(open_store):
    """`was` of a name that is still in use takes nothing from it; a disabled tag without a successor has its own id."""
    store = await open_store(table(("a", None, True), ("off", None, False)))
    await store.commit(Commit([step([0], [1.0], [NOW])]))
    both = table(("a", None, True), ("off", None, False), ("b", "a", True))
    store.retable(both)
    await store.commit(Commit([step([2], [2.0], [NOW + 1])]))
    assert (await values(store, 0), await values(store, 2)) == ([1.0], [2.0])
    store.retable(TagTable.of([replace(tag, enabled=True) for tag in both]))
    await store.commit(Commit([step([1], [3.0], [NOW + 2])]))
    assert [await values(store, tag_id) for tag_id in range(3)] == [[1.0], [3.0], [2.0]]
