"""Filters and queues of monitored items (Part 4, 5.12 and 7.22), columns against the plainest loop, without sockets."""

import math
import struct
import time
from types import SimpleNamespace

import numpy as np
import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.tag import Tag, TagTable, TagType
from gateway.model.update import Columns
from gateway.sinks.opcua.items import TagItems
from gateway.sinks.opcua.queue import Budget, Chunk, Queue
from gateway.wire.opcua.face import Filter, ItemRequest, Mode

MS = 1_000_000
BAD = 0x80310000
BOTH = 2


class Bench:
    """Items on tags 0.. of one subscription; feed() is an update of the twin."""

    def __init__(self, tags=None, budget=None):
        self.tags = TagTable.of(tags or [Tag(n, f"t{n}", eu_range=(0.0, 50.0), sampling_interval_ns=100 * MS) for n in range(4)])
        n = len(self.tags)
        self.view = SimpleNamespace(
            tags=self.tags,
            value=np.full(n, np.nan),
            status=np.full(n, 0x80320000, np.uint32),
            source_ns=np.zeros(n, np.int64),
            received_ns=np.zeros(n, np.int64),
            text={},
        )
        self.budget = budget or Budget()
        self.items = TagItems(self.view, self.budget, lambda: 1000.0, lambda _items: None)
        self.now, self.made = 1_000_000_000_000, 0

    def item(self, tag=0, queue=1, oldest=True, sampling=0.0, mode=Mode.REPORTING, handle=None, **filter_):
        self.made += 1
        wanted = ItemRequest(self.made if handle is None else handle, sampling, queue, oldest, Filter(**filter_) if filter_ else None)
        result = self.items.create(self.made, tag, wanted, mode, BOTH, self.now)
        self.items.sample(self.now)
        return result

    def mode(self, item_id, mode):
        assert self.items.set_mode(item_id, mode, self.now) == 0
        self.items.sample(self.now)

    def feed(self, *samples, after_ms=1):
        """samples: (tag, value[, status[, source]])"""
        self.now += after_ms * MS
        rows = [(*sample, 0, self.now)[:4] if len(sample) < 4 else sample for sample in (self._full(s) for s in samples)]
        text = {row: sample[1] for row, sample in enumerate(rows) if isinstance(sample[1], str)}
        numbers = [math.nan if isinstance(sample[1], str) else sample[1] for sample in rows]
        batch = Columns(
            np.array([sample[0] for sample in rows], np.int32),
            np.array(numbers),
            np.array([sample[2] for sample in rows], np.uint32),
            np.array([sample[3] for sample in rows], np.int64),
            text,
        )
        for row, tag in enumerate(batch.tag_id.tolist()):
            self.view.value[tag], self.view.status[tag], self.view.source_ns[tag] = (
                batch.value[row],
                batch.status[row],
                batch.source_ns[row],
            )
            if row in text:
                self.view.text[tag] = text[row]
        self.items.push(batch, repeats=len({sample[0] for sample in rows}) < len(rows), now_ns=self.now)

    def _full(self, sample):
        tag, value, *rest = sample
        return (tag, value, rest[0] if rest else 0, rest[1] if len(rest) > 1 else self.now)

    def read(self, limit=1000):
        """(handle, value, status) of what is published now."""
        self.items.sample(self.now)
        return decoded(self.items.take(limit))

    def values(self, limit=1000):
        return [value for _, value, _ in self.read(limit)]


def decoded(bodies):
    """Through the library's own decoder."""
    found = []
    for body in bodies:
        data = Buffer(bytes(body))
        notification = struct_from_binary(ua.DataChangeNotification, data)
        assert not len(data)
        for item in notification.MonitoredItems:
            status = item.Value.StatusCode.value if item.Value.StatusCode else 0
            found.append((item.ClientHandle, item.Value.Value.Value if item.Value.Value else None, status))
    return found


def test_a_new_item_reports_what_there_is_even_if_it_is_nothing_yet():
    bench = Bench()
    bench.item(0)
    assert bench.read() == [(1, None, 0x80320000)]


def test_each_change_is_reported_once():
    bench = Bench()
    bench.item(0, queue=10)
    bench.feed((0, 1.0))
    bench.read()
    bench.feed((0, 1.0))
    bench.feed((0, 2.0))
    bench.feed((0, 2.0))
    assert bench.values() == [2.0]
    assert bench.values() == []


def test_a_slow_drift_passes_an_absolute_deadband_each_time_it_leaves_the_band():
    """Against the value last queued, not the sample before (Part 4, 7.22.2)."""
    bench = Bench()
    bench.feed((0, 0.0))
    bench.item(0, queue=100, deadband_type=1, deadband=1.0)
    for step in range(1, 13):
        bench.feed((0, step * 0.5))
    assert bench.values() == [0.0, 1.5, 3.0, 4.5, 6.0]


def test_a_percent_deadband_is_of_the_range():
    """Part 8, 6.2: 10 percent of 0..50 are five units."""
    bench = Bench()
    bench.feed((0, 0.0))
    assert bench.item(0, queue=100, deadband_type=2, deadband=10.0).status == 0
    for value in (4.0, 5.0, 5.1, 9.0, 10.2):
        bench.feed((0, value))
    assert bench.values() == [0.0, 5.1, 10.2]


def test_a_change_of_status_passes_every_deadband():
    bench = Bench()
    bench.feed((0, 5.0))
    bench.item(0, queue=10, deadband_type=1, deadband=100.0)
    bench.feed((0, 5.0, BAD))
    bench.feed((0, 5.0))
    assert bench.read() == [(1, 5.0, 0), (1, 5.0, BAD), (1, 5.0, 0)]


@pytest.mark.parametrize(("trigger", "expected"), [(0, [1.0, 3.0]), (1, [1.0, 2.0, 3.0]), (2, [1.0, 2.0, 2.0, 3.0])])
def test_the_trigger_says_what_counts_as_a_change(trigger, expected):
    """Status; status or value; status, value or source time (Part 4, 7.22.2)."""
    bench = Bench()
    bench.feed((0, 1.0))
    bench.item(0, queue=10, trigger=trigger)
    bench.feed((0, 2.0))
    bench.feed((0, 2.0))
    bench.feed((0, 3.0, BAD))
    assert bench.values() == expected


def test_a_full_queue_gives_up_its_oldest_and_marks_the_next():
    bench = Bench()
    bench.item(0, queue=2)
    bench.read()
    for value in range(10):
        bench.feed((0, float(value)))
    assert bench.read() == [(1, 8.0, 0x480), (1, 9.0, 0)]


def test_a_full_queue_that_keeps_its_oldest_replaces_and_marks_the_newest():
    bench = Bench()
    bench.item(0, queue=3, oldest=False)
    bench.read()
    for value in range(10):
        bench.feed((0, float(value)))
    assert bench.read() == [(1, 0.0, 0), (1, 1.0, 0), (1, 9.0, 0x480)]


def test_a_queue_of_one_holds_the_newest_and_is_never_marked():
    """Part 4, 5.12.1.5."""
    bench = Bench()
    bench.item(0, queue=1)
    bench.item(1, queue=0, oldest=False)
    bench.read()
    for value in range(5):
        bench.feed((0, float(value)), (1, float(value)))
    assert bench.read() == [(1, 4.0, 0), (2, 4.0, 0)]


def test_what_does_not_fit_one_message_comes_with_the_next_in_order():
    bench = Bench()
    bench.item(0, queue=10)
    bench.read()
    for value in range(7):
        bench.feed((0, float(value)))
    assert [bench.values(3), bench.values(3), bench.values(3)] == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0]]
    assert not bench.items.ready()


def test_two_items_on_one_tag_report_each_for_itself():
    bench = Bench()
    bench.item(0, queue=10)
    bench.item(0, queue=10, deadband_type=1, deadband=2.0)
    bench.item(1, queue=10)
    bench.read()
    for value in (1.0, 2.0, 3.5):
        bench.feed((0, value), (1, value))
    got = bench.read()
    assert [value for handle, value, _ in got if handle == 1] == [1.0, 2.0, 3.5]
    assert [value for handle, value, _ in got if handle == 2] == [1.0, 3.5]
    assert [value for handle, value, _ in got if handle == 3] == [1.0, 2.0, 3.5]


def test_several_samples_of_a_tag_in_one_update_are_decided_one_after_the_other():
    bench = Bench()
    bench.feed((0, 0.0))
    bench.item(0, queue=100, deadband_type=1, deadband=1.0)
    bench.item(1, queue=100)
    bench.read()
    bench.feed((0, 0.6), (1, 1.0), (0, 1.2), (0, 1.8), (1, 1.0), (0, 2.4), (1, 2.0))
    got = bench.read()
    assert [value for handle, value, _ in got if handle == 1] == [1.2, 2.4]
    assert [value for handle, value, _ in got if handle == 2] == [1.0, 2.0]


def test_a_refresh_brings_every_value_of_now_once():
    """What a client gets that asks for initial values after a transfer (Part 4, 5.13.7)."""
    bench = Bench()
    bench.item(0, queue=5)
    bench.item(1, queue=5)
    bench.feed((0, 1.0), (1, 2.0))
    bench.read()
    bench.items.refresh(bench.now)
    assert bench.read() == [(1, 1.0, 0), (2, 2.0, 0)]
    assert bench.read() == []


def test_a_burst_of_one_tag_does_not_hold_the_loop():
    """Ten thousand samples of one tag in one update, as after a reconnection: milliseconds, and each change is queued."""
    bench = Bench()
    bench.item(0, queue=1000)
    bench.read()
    started = time.perf_counter()
    bench.items.push(burst(10_000), repeats=True, now_ns=bench.now)
    assert time.perf_counter() - started < 0.1
    assert bench.values() == [float(n) for n in range(9000, 10_000)]


def burst(size):
    return Columns(
        np.zeros(size, np.int32), np.arange(size, dtype=np.float64), np.zeros(size, np.uint32), np.arange(1, size + 1, dtype=np.int64)
    )


def test_a_disabled_item_says_nothing_and_starts_anew_with_the_value_of_now():
    """Part 4, 5.12.4."""
    bench = Bench()
    bench.item(0, queue=10)
    bench.feed((0, 1.0))
    bench.mode(1, Mode.DISABLED)
    assert bench.values() == []
    bench.feed((0, 2.0))
    bench.feed((0, 3.0))
    bench.mode(1, Mode.REPORTING)
    assert bench.values() == [3.0]


def test_an_item_that_only_samples_keeps_its_queue_until_it_reports():
    bench = Bench()
    bench.item(0, queue=3, mode=Mode.SAMPLING)
    bench.mode(1, Mode.SAMPLING)
    bench.item(1, queue=3)
    bench.read()
    for value in range(5):
        bench.feed((0, float(value)), (1, float(value)))
    assert {handle for handle, _, _ in bench.read()} == {2}
    assert not bench.items.ready()
    bench.mode(1, Mode.REPORTING)
    assert bench.read() == [(1, 2.0, 0x480), (1, 3.0, 0), (1, 4.0, 0)]


def test_a_slower_sampling_interval_sees_the_newest_value_at_its_own_pace():
    """Samples between two instants of the item are not seen; the last one before an instant is."""
    bench = Bench()
    result = bench.item(0, queue=100, sampling=500.0)
    assert result.sampling_ms == 500.0
    bench.read()
    for value in range(1, 13):
        bench.feed((0, float(value)), after_ms=100)
    got = bench.values()
    bench.now += 500 * MS
    got += bench.values()
    assert got == [5.0, 10.0, 12.0]


def test_sampling_is_not_faster_than_the_tag_and_minus_one_is_the_publishing_interval():
    bench = Bench()
    assert bench.item(0, sampling=0.0).sampling_ms == 100.0
    assert bench.item(0, sampling=10.0).sampling_ms == 100.0
    assert bench.item(0, sampling=-1.0).sampling_ms == 1000.0
    assert bench.item(0, sampling=math.nan).sampling_ms == 100.0
    assert bench.item(0, sampling=math.inf).sampling_ms == 3_600_000.0


def test_deleting_an_item_takes_its_queue_along_and_its_place_is_free_for_another():
    bench = Bench()
    bench.item(0, queue=10)
    bench.item(1, queue=10)
    bench.read()
    bench.feed((0, 1.0), (1, 1.0))
    assert bench.items.delete(1) == 0
    bench.item(2, queue=10)
    bench.feed((0, 2.0), (1, 2.0), (2, 7.0))
    assert sorted((handle, value or 0.0) for handle, value, _ in bench.read()) == [(2, 1.0), (2, 2.0), (3, 0.0), (3, 7.0)]
    assert bench.items.delete(1) == 0x80420000
    assert len(bench.items) == 2


@pytest.mark.parametrize(
    ("kind", "filter_", "status"),
    [
        (TagType.BOOL, {"deadband_type": 1, "deadband": 1.0}, 0x80450000),
        (TagType.TEXT, {"deadband_type": 1, "deadband": 1.0}, 0x80450000),
        (TagType.ENUM, {"deadband_type": 2, "deadband": 1.0}, 0x80450000),
        (TagType.FLOAT, {"deadband_type": 2, "deadband": 1.0}, 0x808E0000),
        (TagType.FLOAT, {"deadband_type": 1, "deadband": -1.0}, 0x808E0000),
        (TagType.FLOAT, {"deadband_type": 1, "deadband": math.nan}, 0x808E0000),
        (TagType.FLOAT, {"deadband_type": 3, "deadband": 1.0}, 0x80430000),
        (TagType.FLOAT, {"trigger": 7}, 0x80430000),
    ],
)
def test_a_filter_that_cannot_be_is_refused_by_name(kind, filter_, status):
    bench = Bench([Tag(0, "t0", type=kind)])
    assert bench.item(0, **filter_).status == status
    assert len(bench.items) == 0


def test_a_percent_deadband_beyond_a_hundred_is_refused():
    assert Bench().item(0, deadband_type=2, deadband=101.0).status == 0x808E0000


def test_text_is_compared_as_text():
    bench = Bench([Tag(0, "t0", type=TagType.TEXT), Tag(1, "t1")])
    bench.item(0, queue=10)
    bench.item(1, queue=10)
    bench.read()
    bench.feed((0, "a"), (1, 1.0))
    bench.feed((0, "a"))
    bench.feed((1, 2.0), (0, "b"))
    got = bench.read()
    assert [value for handle, value, _ in got if handle == 1] == ["a", "b"]
    assert [value for handle, value, _ in got if handle == 2] == [1.0, 2.0]


def test_all_types_reach_the_client_as_what_they_are():
    kinds = [TagType.FLOAT, TagType.INT, TagType.BOOL, TagType.ENUM, TagType.TEXT]
    bench = Bench([Tag(n, f"t{n}", type=kind) for n, kind in enumerate(kinds)])
    for n in range(5):
        bench.item(n)
    bench.feed((0, 1.5), (1, 2.0**53), (2, 1.0), (3, 7.0), (4, "ü"))
    got = {handle: value for handle, value, _ in bench.read() if value is not None}
    assert got == {1: 1.5, 2: 2**53, 3: True, 4: 7, 5: "ü"}
    assert type(got[3]) is bool
    assert type(got[2]) is int


def test_the_queues_of_all_subscriptions_share_one_budget_and_give_it_back():
    budget = Budget(places=100)
    bench = Bench(budget=budget)
    assert bench.item(0, queue=80).queue_size == 80
    assert bench.item(1, queue=80).queue_size == 20
    assert bench.item(2, queue=80).queue_size == 1
    bench.items.close()
    assert budget.places == 100


def test_many_changes_without_a_reader_stay_bounded():
    """A client that stays away costs its queue sizes, not its absence."""
    bench = Bench()
    bench.item(0, queue=5)
    for start in range(0, 200_000, 2000):
        batch = [(0, float(start + n)) for n in range(2000)]
        bench.feed(*batch)
    assert sum(chunk.slot.size for chunk in bench.items._queue._chunks) <= 65_536 + 2000
    assert bench.values() == [199995.0, 199996.0, 199997.0, 199998.0, 199999.0]


samples = st.lists(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from([0.0, 0.4, 1.0, 1.6, 2.2, 5.0]), st.sampled_from([0, 0, 0, BAD])),
        min_size=1,
        max_size=6,
    ),
    max_size=12,
)


@given(samples, st.sampled_from([0.0, 0.5, 1.0]), st.integers(1, 4), st.booleans())
def test_the_columns_do_what_the_plainest_queue_does(updates, band, size, oldest):
    """Any stream of updates, any deadband and queue: the same values, order and overflow marks as one item and one list at a time."""
    bench = Bench()
    plain = {}
    for tag in range(3):
        bench.item(tag, queue=size, oldest=oldest, **({"deadband_type": 1, "deadband": band} if band else {}))
        plain[tag] = [[None, BAD - BAD + 0x80320000]]
    last = dict.fromkeys(range(3), (None, 2150760448))
    for update in updates:
        bench.feed(*update)
        for tag, value, status in update:
            before, before_status = last[tag]
            if before is None or status != before_status or abs(value - before) > band:
                last[tag] = (value, status)
                enqueue(plain[tag], value, status, size, oldest)
    got = {tag: [] for tag in range(3)}
    for handle, value, status in bench.read():
        got[handle - 1].append([value, status])
    assert got == plain


def enqueue(queue, value, status, size, oldest):
    queue.append([value, status])
    if len(queue) <= size:
        return
    if oldest or size == 1:
        del queue[0]
        if size > 1:
            queue[0][1] |= 0x480
    else:
        del queue[-2]
        queue[-1][1] |= 0x480


def test_the_packed_records_are_the_library_s_own_bytes():
    """One item of each layout against DataChangeNotification as the library encodes it."""
    bench = Bench()
    bench.item(0, handle=4711)
    bench.feed((0, 20.25, BAD, 1_700_000_000_000_000_000))
    bench.items.sample(bench.now)
    (body,) = [body for body in bench.items.take(10) if struct.unpack_from("<i", body)[0]][-1:]
    notification = struct_from_binary(ua.DataChangeNotification, Buffer(bytes(body)))
    assert notification.MonitoredItems[-1].Value.SourceTimestamp.timestamp() == 1_700_000_000.0
    from asyncua.ua.ua_binary import struct_to_binary

    assert struct_to_binary(notification)[:-4] == body[:-4]


def test_a_client_that_stays_away_costs_no_object_per_update():
    """50 000 updates of one value to a queue of one: a handful of columns, whatever the number of updates."""
    queue = Queue(Budget(), 4)
    queue.resize(0, 1, newest=False)
    one = np.zeros(1, np.int64)
    for number in range(50_000):
        queue.append(Chunk(one, np.array([float(number)]), np.zeros(1, np.uint32), one, one))
    assert len(queue._chunks) <= 130
    taken = queue.take(10, np.ones(4, np.bool_))
    assert taken.value.tolist() == [49_999.0]
