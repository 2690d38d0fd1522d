"""What a client of the stream is told, without a socket."""

import json

import pytest

from gateway.events import threshold_event
from gateway.model import quality
from gateway.model.tag import Tag, TagTable
from gateway.web.watch import QUEUE, Encoder, Watch, Wish
from web.room import TAGS, opened


@pytest.fixture
async def quiet(tmp_path):
    async with opened(tmp_path) as made:
        await made.feed({"line.temperature": 20.0, "line.count": 1})
        made.encoder = Encoder(made.engine.view, made.updates)
        made.end = made.updates.listen(lambda _: None)
        yield made


def watching(**wish):
    watch = Watch()
    watch.ask(Wish(**wish))
    return watch


def taken(room, watch):
    return [json.loads(message) for message in room.encoder.take(watch)]


async def test_the_snapshot_comes_first_and_then_only_what_changed(quiet):
    watch = watching(tags="*")
    (snap,) = taken(quiet, watch)
    assert (snap["type"], snap["n"][0], snap["v"][:2], snap["v"][4]) == ("snap", "line.temperature", [20.0, 1.0], None)
    assert snap["s"][4] == quality.BAD_WAITING_FOR_INITIAL_DATA
    assert taken(quiet, watch) == []
    await quiet.feed({"line.count": 2})
    (delta,) = taken(quiet, watch)
    assert (delta["type"], delta["i"], delta["v"], delta["d"]) == ("d", [1], [2.0], [0])
    assert "s" not in delta
    assert "n" not in delta


async def test_a_slow_client_gets_the_newest_value_once(quiet):
    watch = watching(tags=("line.temperature",))
    taken(quiet, watch)
    for value in (21.0, 22.0, 23.0):
        await quiet.feed({"line.temperature": value})
    (delta,) = taken(quiet, watch)
    assert (delta["i"], delta["v"]) == ([0], [23.0])


async def test_what_stays_inside_the_deadband_is_not_told(quiet):
    watch = watching(tags="*")
    taken(quiet, watch)
    await quiet.feed({"line.temperature": 20.05})
    assert taken(quiet, watch) == []


async def test_clients_with_the_same_wish_share_one_encoding(quiet):
    first, second, other = watching(tags="*"), watching(tags="*"), watching(tags=("line.count",))
    for watch in (first, second, other):
        quiet.encoder.take(watch)
    await quiet.feed({"line.temperature": 30.0, "line.count": 5})
    one, two = quiet.encoder.take(first)[-1], quiet.encoder.take(second)[-1]
    assert one is two
    assert json.loads(quiet.encoder.take(other)[-1])["i"] == [1]


async def test_names_that_are_not_there_are_said_and_the_others_served(quiet):
    (snap,) = taken(quiet, watching(tags=("line.count", "nowhere")))
    assert (snap["n"], snap["unknown"]) == (["line.count"], ["nowhere"])


async def test_text_goes_beside_the_columns(quiet):
    watch = watching(tags=("line.message",))
    await quiet.feed({"line.message": float("nan")}, text={0: "hello"})
    (snap,) = taken(quiet, watch)
    assert (snap["v"], snap["x"]) == ([None], {"3": "hello"})


async def test_alarms_are_listed_first_and_queued_afterwards(quiet):
    watch = watching(tags=(), alarms=True)
    assert [message["type"] for message in taken(quiet, watch)] == ["alarms", "snap"]
    update = await quiet.feed({"line.temperature": 28.0})
    for transition in update.transitions:
        watch.offer(transition)
    (alarm,) = taken(quiet, watch)
    assert (alarm["type"], alarm["condition"], alarm["change"], alarm["retained"]) == ("al", "line.temperature/Alarms/HI", "active", True)


async def test_a_full_queue_is_emptied_and_the_client_begins_anew(quiet):
    (transition,) = (await quiet.feed({"line.temperature": 28.0})).transitions
    watch = watching(tags=(), alarms=True)
    taken(quiet, watch)
    for _ in range(QUEUE + 5):
        watch.offer(transition)
    assert len(watch.queue) == 0
    types = [message["type"] for message in taken(quiet, watch)]
    assert types == ["resync", "alarms"]
    watch.offer(transition)
    assert [message["type"] for message in taken(quiet, watch)] == ["al"]


async def test_an_event_between_the_wish_and_the_snapshot_is_not_lost(quiet):
    watch = watching(tags=(), alarms=True, events=True)
    (transition,) = (await quiet.feed({"line.temperature": 28.0})).transitions
    watch.offer(transition)
    watch.offer(threshold_event(transition))
    assert [message["type"] for message in taken(quiet, watch)] == ["alarms", "ev", "snap"]


async def test_after_a_reload_the_snapshot_comes_again_with_the_new_tags(quiet):
    watch = watching(tags="*", alarms=True)
    taken(quiet, watch)
    table = TagTable.of([*TAGS, Tag(5, "line.speed", "plc1")])
    quiet.engine.retable(table, (), ())
    quiet.store.retable(table)
    await quiet.feed({"line.speed": 3.0})
    alarms, snap = taken(quiet, watch)
    assert alarms["type"] == "alarms"
    assert (snap["type"], snap["n"][-1], snap["v"][-1]) == ("snap", "line.speed", 3.0)


async def test_paused_values_come_once_when_asked_for_again(quiet):
    watch = watching(tags="*", hz=0)
    assert [message["type"] for message in taken(quiet, watch)] == ["snap"]
    await quiet.feed({"line.count": 9})
    assert taken(quiet, watch) == []


async def test_updates_cost_nothing_while_nobody_listens(quiet):
    quiet.end()
    before = quiet.updates.seq
    await quiet.feed({"line.count": 9})
    assert quiet.updates.seq == before
