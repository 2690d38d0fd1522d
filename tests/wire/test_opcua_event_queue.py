"""Queues of event items, what is encoded into them, and refreshes in pieces. Pure."""

import struct

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import variant_from_binary, variant_to_binary
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.opcua import limits
from gateway.wire.opcua.contents import variant
from gateway.wire.opcua.event_fields import Fields, encode_reading
from gateway.wire.opcua.event_queue import Budget, EventQueue
from gateway.wire.opcua.face import Builtin, ModelChange, Reading, Text
from gateway.wire.opcua.occurrences import Occurrence
from gateway.wire.opcua.refresh import Refresh
from gateway.wire.opcua.server_events import REFRESH_END_EVENT_TYPE, REFRESH_START_EVENT_TYPE, server_event

SECOND = 1_000_000_000
FULL = b"!"


def queue(size, *, oldest=True, budget=None):
    return EventQueue(size, discard_oldest=oldest, overflow=lambda: FULL, budget=budget or Budget(10**6))


def drained(events):
    return [events.take() for _ in range(len(events))]


def put(events, *entries):
    for entry in entries:
        events.push(entry)
    return events


# --- queues (Part 4, 5.12.1.5) ---------------------------------------------------------------------------------------------------------


def test_the_oldest_are_given_up_and_the_beginning_says_so():
    assert drained(put(queue(2), b"a", b"b", b"c", b"d")) == [FULL, b"c", b"d"]


def test_the_newest_is_replaced_and_the_end_says_so():
    assert drained(put(queue(2, oldest=False), b"a", b"b", b"c", b"d")) == [b"a", b"d", FULL]


def test_what_comes_after_a_loss_stands_behind_the_word_of_it():
    events = put(queue(2, oldest=False), b"a", b"b", b"c")
    assert events.take() == b"a"
    put(events, b"d")
    assert drained(events) == [b"c", FULL, b"d"]


@given(
    st.integers(1, 5),
    st.booleans(),
    st.lists(st.one_of(st.just("take"), st.integers(1, 5), st.binary(min_size=1, max_size=4).filter(lambda b: b != FULL)), max_size=60),
)
def test_a_queue_never_holds_more_than_its_size_and_always_says_when_it_lost_something(size, oldest, steps):
    budget = Budget(10**6)
    events, lost_before, told = queue(size, oldest=oldest, budget=budget), False, 0
    for step in steps:
        if step == "take":
            if len(events):
                told += events.take() == FULL
        elif isinstance(step, int):
            lost_before |= events.resize(step, discard_oldest=oldest)
            size = step
        else:
            lost_before |= events.push(step)
        held = [entry for entry, _ in events._entries]
        kept = [entry for entry in held if entry != FULL]
        assert len(kept) <= size
        assert events.room == size - len(kept)
        assert budget.left == 10**6 - sum(map(len, held))
        if oldest:
            assert FULL not in held[1:]
        assert lost_before is (FULL in held or told > 0)


@given(st.booleans(), st.lists(st.binary(min_size=1, max_size=30).filter(lambda entry: entry != FULL), max_size=60))
def test_all_queues_together_hold_no_more_bytes_than_they_may(oldest, entries):
    """Where the server's memory for events is full, a queue is, whatever its size. The word of a loss is not lost."""
    budget = Budget(100)
    events = queue(1000, oldest=oldest, budget=budget)
    lost = [events.push(entry) for entry in entries]
    held = drained(events)
    assert sum(len(entry) for entry in held if entry != FULL) <= 100
    assert any(lost) is (FULL in held)
    assert budget.left == 100


def test_a_smaller_queue_gives_up_what_no_longer_fits():
    events = put(queue(4), b"a", b"b", b"c", b"d")
    assert events.resize(2, discard_oldest=True)
    assert drained(events) == [FULL, b"c", b"d"]
    events = put(queue(4, oldest=False), b"a", b"b", b"c", b"d")
    events.resize(2, discard_oldest=False)
    assert drained(events) == [b"a", b"b", FULL]


# --- fields on the wire ----------------------------------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
READINGS = st.one_of(
    st.builds(Reading, st.booleans(), st.just(Builtin.BOOLEAN)),
    st.builds(Reading, st.integers(0, 65535), st.just(Builtin.UINT16)),
    st.builds(Reading, st.integers(-(2**63), 2**63 - 1), st.just(Builtin.INT64)),
    st.builds(Reading, st.floats(allow_nan=False), st.just(Builtin.DOUBLE)),
    st.builds(Reading, st.integers(0, 2**32 - 1), st.just(Builtin.STATUS_CODE)),
    st.builds(Reading, TEXTS, st.sampled_from([Builtin.STRING, Builtin.LOCALIZED_TEXT, Builtin.NODE_ID, Builtin.QUALIFIED_NAME])),
    st.builds(Reading, st.builds(Text, st.one_of(TEXTS, st.none()), st.one_of(TEXTS, st.none())), st.just(Builtin.LOCALIZED_TEXT)),
    st.builds(Reading, st.integers(1, 2**32 - 1), st.just(Builtin.NODE_ID)),
    st.builds(Reading, st.binary(max_size=20), st.just(Builtin.BYTE_STRING)),
    st.builds(Reading, st.integers(10**9, 4 * 10**18).map(lambda ns: ns - ns % 1000), st.just(Builtin.DATE_TIME)),
    st.builds(Reading, st.lists(TEXTS, max_size=3).map(tuple), st.just(Builtin.STRING)),
)


@given(READINGS)
def test_a_field_is_encoded_as_the_library_would(reading):
    assert encode_reading(reading) == variant_to_binary(variant(reading))


def test_structures_go_as_they_are():
    changes = (ModelChange("line.temp", 63, 1),)
    decoded = variant_from_binary(Buffer(encode_reading(Reading(changes, Builtin.EXTENSION_OBJECT))))
    assert decoded.Value[0].Affected == ua.NodeId("line.temp", 2)


@pytest.mark.parametrize(
    ("reading", "value"),
    [
        (None, None),
        (Reading(None, Builtin.DOUBLE), None),
        (Reading(1.0, Builtin.DOUBLE, status=0x80990000), ua.StatusCode(0x80990000)),  # instead of the value (7.22.3)
        (Reading(2**70, Builtin.INT64), ua.StatusCode(0x80060000)),  # BadEncodingError: it harms no other field
        (Reading("\ud800", Builtin.STRING), "?"),
        (Reading(0, Builtin.NODE_ID), ua.NodeId()),
    ],
)
def test_what_a_field_is_when_it_has_no_value(reading, value):
    assert variant_from_binary(Buffer(encode_reading(reading))).Value == value


def test_a_field_is_asked_for_and_encoded_once_for_all_clients():
    asked = []

    def field(path):
        asked.append(path)
        return Reading(1.5, Builtin.DOUBLE)

    event = Fields(Occurrence(2041, 2253, SECOND, field))
    assert {event.encoded(("Value",)) for _ in range(3)} == {b"\x0b" + struct.pack("<d", 1.5)}
    assert event.reading(("Time",)) == Reading(SECOND, Builtin.DATE_TIME)
    assert asked == [("Value",)]


# --- refresh (Part 9, 5.5.7) -----------------------------------------------------------------------------------------------------------


class Told:
    """An item that takes so many events before somebody publishes."""

    def __init__(self, room=10**6):
        self.room, self.heard = room, []

    def spare(self):
        return self.room

    def tell(self, event, *, always=False):
        self.room -= 1
        self.heard.append((event.type, event.reading(()).content if event.reading(()) else None, always))


def condition(number):
    fields = {(): Reading(f"tag{number}/Alarms/HI", Builtin.NODE_ID)}
    return Occurrence(10060, f"tag{number}", SECOND, fields.get)


def run(refresh, now_ns=0):
    while refresh.go_on(now_ns):
        pass


def names(item):
    return [name for kind, name, _ in item.heard if kind == 10060]


def test_conditions_stand_between_start_and_end_whatever_the_filter_says():
    refresh, item = Refresh(), Told()
    assert refresh.begin([item], map(condition, range(3)), 0) == 0
    run(refresh)
    assert [kind for kind, _, _ in item.heard] == [REFRESH_START_EVENT_TYPE, 10060, 10060, 10060, REFRESH_END_EVENT_TYPE]
    assert [always for _, _, always in item.heard] == [True, False, False, False, True]
    assert not refresh.under_way


def test_a_refresh_goes_on_as_the_queue_is_emptied():
    refresh, item = Refresh(), Told(room=3)
    refresh.begin([item], map(condition, range(5)), 0)
    run(refresh)
    assert names(item) == ["tag0/Alarms/HI", "tag1/Alarms/HI"]  # and the start
    item.room = 2
    run(refresh)
    assert len(names(item)) == 4
    assert refresh.under_way
    item.room = 10
    run(refresh)
    assert item.heard[-1][0] == REFRESH_END_EVENT_TYPE


def test_one_piece_at_a_time():
    """Between two pieces the loop does other work."""
    refresh, item = Refresh(), Told()
    refresh.begin([item], map(condition, range(limits.REFRESH_CHUNK + 1)), 0)
    assert refresh.go_on(0)
    assert len(names(item)) == limits.REFRESH_CHUNK
    assert not refresh.go_on(0)


def test_a_condition_that_changes_meanwhile_is_not_told_of_as_it_was():
    refresh, item = Refresh(), Told(room=2)
    refresh.begin([item], map(condition, range(4)), 0)
    run(refresh)
    refresh.changed(Fields(condition(2)))
    item.room = 10
    run(refresh)
    assert names(item) == [f"tag{number}/Alarms/HI" for number in (0, 1, 3)]


def test_one_refresh_at_a_time_and_not_too_many():
    refresh, item = Refresh(), Told(room=1)
    assert refresh.begin([item], [condition(1)], 0) == 0
    assert refresh.begin([item], [], 0) == ua.StatusCodes.BadRefreshInProgress  # one is under way
    item.room = 100
    run(refresh)
    for _ in range(limits.REFRESHES_IN_A_ROW - 1):
        assert refresh.begin([item], [], 0) == 0
        run(refresh)
    assert refresh.begin([item], [], 0) == ua.StatusCodes.BadRefreshInProgress
    later = int(limits.REFRESH_EVERY_S * SECOND)
    assert refresh.begin([item], [], later) == 0
    run(refresh)
    assert refresh.begin([item], [], later) == ua.StatusCodes.BadRefreshInProgress


def test_a_refresh_ends_with_its_items():
    refresh, item = Refresh(), Told(room=1)
    refresh.begin([item], map(condition, range(3)), 0)
    refresh.forget(item)
    run(refresh)
    assert not refresh.under_way


def test_the_servers_own_events_say_whence_they_are():
    event = Fields(server_event(REFRESH_START_EVENT_TYPE, SECOND))
    assert event.reading(("SourceNode",)) == Reading(2253, Builtin.NODE_ID)
    assert event.reading(("EventType",)) == Reading(REFRESH_START_EVENT_TYPE, Builtin.NODE_ID)
    assert len(event.reading(("EventId",)).content) == 16
