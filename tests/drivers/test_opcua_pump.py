"""The publish loop's bookkeeping, told as messages of a server: numbers, holes, acknowledgements, the window (Part 4, 5.14.1, 5.14.5)."""

import asyncio
from collections import Counter

import numpy as np
import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.opcua.pump import Outlets, Pump, ahead, following
from gateway.contracts import NotConnected
from gateway.wire.opcua.services import Granted
from support.waiting import eventually

SUBSCRIPTION = 7


def message(sequence, value=None, status_change=None):
    found = ua.NotificationMessage(SequenceNumber=sequence)
    if value is not None:
        item = ua.MonitoredItemNotification(0, ua.DataValue(ua.Variant(float(value), ua.VariantType.Double)))
        found.NotificationData = [ua.DataChangeNotification(MonitoredItems=[item])]
    if status_change is not None:
        found.NotificationData = [ua.StatusChangeNotification(Status=ua.StatusCode(status_change))]
    return found


class Server:
    """The other end of a link: answers what the pump asks, when the test says so. It keeps `kept` for Republish."""

    def __init__(self):
        self.waiting, self.acknowledged, self.kept, self.asked_again, self.failed = [], [], {}, [], []
        self.dead = False

    def publish(self, acknowledged, answered):
        if self.dead:
            raise NotConnected("gone")
        self.acknowledged += acknowledged
        self.waiting.append(answered)

    async def republished(self, subscription, sequence, _patience_s):
        self.asked_again.append(sequence)
        if sequence not in self.kept:
            fault = ua.ServiceFault()
            fault.ResponseHeader.ServiceResult = ua.StatusCode(ua.StatusCodes.BadMessageNotAvailable)
            return struct_to_binary(fault)
        return struct_to_binary(ua.RepublishResponse(NotificationMessage=message(sequence, self.kept[sequence])))

    def fail(self, why):
        self.failed.append(why)

    @staticmethod
    def is_fatal(status):
        return status == ua.StatusCodes.BadSessionIdInvalid

    def send(self, sequence, value=None, subscription=SUBSCRIPTION, **more):
        response = ua.PublishResponse()
        response.Parameters.SubscriptionId = subscription
        response.Parameters.AvailableSequenceNumbers = sorted({*self.kept, sequence})
        response.Parameters.NotificationMessage = message(sequence, value, **more)
        self.waiting.pop(0)(struct_to_binary(response), "")

    def refuse(self, status):
        fault = ua.ServiceFault()
        fault.ResponseHeader.ServiceResult = ua.StatusCode(status)
        self.waiting.pop(0)(struct_to_binary(fault), "")


class Heard:
    """What the pump gave out, and what it reported."""

    def __init__(self):
        self.values, self.receipts, self.ended, self.gaps, self.strays = [], [], [], [], []
        self.counted, self.problems = Counter(), {}

    def outlets(self):
        return Outlets(self._deliver, lambda *what: self.ended.append(what), lambda _, lost: self.gaps.append(lost), self.strays.append)

    def _deliver(self, change, receipt):
        self.values += change.value.tolist()
        self.receipts.append(receipt)

    def count(self, name, n=1):
        self.counted[name] += n

    def problem(self, subject, why):
        self.problems[subject] = why


@pytest.fixture
async def told():
    server, heard = Server(), Heard()
    pump = Pump(server, np.array([-1], np.int32), heard.outlets(), heard, requests=3, window=5, patience_s=1.0)
    pump.add(Granted(SUBSCRIPTION, 0.1, 5.0))
    yield server, heard, pump
    pump.close()


async def test_three_are_under_way_and_each_answer_is_followed_by_the_next(told):
    server, heard, _ = told
    assert len(server.waiting) == 3
    server.send(1, 1.0)
    server.send(2, 2.0)
    assert heard.values == [1.0, 2.0]
    assert len(server.waiting) == 3
    assert server.acknowledged == []


async def test_settled_messages_are_acknowledged_with_the_next_publish(told):
    server, heard, pump = told
    for sequence in (1, 2, 3):
        server.send(sequence, sequence)
    pump.acknowledge(pump.settle(heard.receipts[1]))
    server.send(4, 4)
    assert server.acknowledged == [(SUBSCRIPTION, 1), (SUBSCRIPTION, 2)]
    assert pump.settle(heard.receipts[1]) == []


async def test_a_full_window_sends_nothing_until_a_commit(told):
    server, heard, pump = told
    for sequence in range(1, 8):
        server.send(sequence, sequence)
    assert len(heard.values) == 7
    assert (server.waiting, pump.listening) == ([], False)
    pump.acknowledge(pump.settle(heard.receipts[-1]))
    assert len(server.waiting) == 3
    assert pump.silent(0.0) == []


async def test_large_messages_fill_the_window_before_many_do(told, monkeypatch):
    """What is read and not committed is bounded in values too: a message may hold ten thousand."""
    monkeypatch.setattr("drivers.opcua.pump.VALUES_MOST", 1)
    server, heard, pump = told
    for sequence in (1, 2, 3):
        server.send(sequence, sequence)
    assert (len(heard.values), len(server.waiting)) == (3, 1)
    pump.acknowledge(pump.settle(heard.receipts[-1]))
    assert len(server.waiting) == 3


async def test_relaxed_it_reads_beyond_the_window_and_acknowledges_after_the_next_commit(told):
    """The disk is away: the subscription stays alive; then all is acknowledged in order, and the window holds again."""
    server, heard, pump = told
    for sequence in range(1, 8):
        server.send(sequence, sequence)
    assert server.waiting == []
    pump.relax(True)
    for sequence in range(8, 40):
        server.send(sequence, sequence)
    assert heard.values == [float(sequence) for sequence in range(1, 40)]
    assert pump.listening
    assert server.acknowledged == []
    pump.relax(False)
    for sequence in range(40, 43):
        server.send(sequence, sequence)
    assert server.waiting == []
    pump.acknowledge(pump.settle(heard.receipts[-1]))
    assert server.acknowledged == [(SUBSCRIPTION, sequence) for sequence in range(1, 43)]


async def test_relaxed_for_days_its_debt_is_bounded(told, monkeypatch):
    monkeypatch.setattr("drivers.opcua.pump.RELAXED_MOST", 20)
    server, heard, pump = told
    pump.relax(True)
    for sequence in range(1, 101):
        server.send(sequence, sequence)
    pump.relax(False)
    pump.acknowledge(pump.settle(heard.receipts[-1]))
    assert len(heard.values) == 100
    server.send(101)
    assert server.acknowledged == [(SUBSCRIPTION, sequence) for sequence in range(81, 101)]


async def test_relaxed_what_waits_behind_a_hole_is_still_bounded(told):
    server, _, pump = told
    pump.relax(True)
    pump.add(Granted(8, 0.1, 5.0), hold=True)
    for sequence in range(1, 8):
        server.send(sequence, sequence, subscription=8)
    assert server.waiting == []


async def test_a_hole_is_filled_in_order_before_what_came_after_it(told):
    server, heard, _ = told
    server.send(1, 1.0)
    server.kept = {2: 2.0, 3: 3.0}
    server.send(4, 4.0)
    server.send(5, 5.0)
    assert heard.values == [1.0]
    await eventually(lambda: len(heard.values) == 5)
    assert heard.values == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert (server.asked_again, heard.gaps, heard.counted["republished"]) == ([2, 3], [], 2)


async def test_what_the_server_no_longer_has_is_a_gap_and_not_asked_for_twice(told):
    server, heard, _ = told
    server.send(1, 1.0)
    server.kept = {3: 3.0}
    server.send(4, 4.0)
    await eventually(lambda: heard.values == [1.0, 3.0, 4.0])
    assert (heard.gaps, server.asked_again) == ([1], [3])


async def test_a_keep_alive_reveals_a_hole(told):
    """Its number is that of the next message: the last one is missing."""
    server, heard, _ = told
    server.send(1, 1.0)
    server.send(3)
    await eventually(lambda: heard.gaps == [1])
    server.send(3, 3.0)
    assert heard.values == [1.0, 3.0]


async def test_a_huge_hole_is_bounded(told):
    server, heard, _ = told
    server.send(1, 1.0)
    server.send(1_000_000, 2.0)
    await eventually(lambda: heard.values == [1.0, 2.0])
    assert heard.gaps == [999_998]


async def test_an_old_message_is_dropped_and_acknowledged(told):
    server, heard, _ = told
    server.send(1, 1.0)
    server.send(2, 2.0)
    server.send(1, 1.0)
    assert heard.values == [1.0, 2.0]
    assert (SUBSCRIPTION, 1) in server.acknowledged


async def test_the_numbers_wrap_to_one():
    server, heard = Server(), Heard()
    pump = Pump(server, np.array([-1], np.int32), heard.outlets(), heard, requests=3, window=50, patience_s=1.0)
    pump.add(Granted(SUBSCRIPTION, 0.1, 5.0), expected=2**32 - 1)
    server.send(2**32 - 1, 1.0)
    server.send(1, 2.0)
    assert (heard.values, heard.gaps) == ([1.0, 2.0], [])
    pump.close()


async def test_too_many_publish_requests_means_fewer(told):
    server, heard, _ = told
    server.refuse(ua.StatusCodes.BadTooManyPublishRequests)
    assert len(server.waiting) == 2
    server.send(1, 1.0)
    assert len(server.waiting) == 2
    assert heard.values == [1.0]


async def test_a_server_that_refuses_every_publish_is_asked_again(told):
    """One at a time, a little later: a busy server must not leave us connected and silent."""
    server, heard, _ = told
    for _ in range(3):
        server.refuse(ua.StatusCodes.BadTooManyPublishRequests)
    assert server.waiting == []
    await eventually(lambda: len(server.waiting) == 1)
    server.send(1, 1.0)
    assert heard.values == [1.0]


async def test_no_subscription_ends_them_all_and_a_dead_session_the_link(told):
    server, heard, _ = told
    server.refuse(ua.StatusCodes.BadNoSubscription)
    assert heard.ended == [(SUBSCRIPTION, ua.StatusCodes.BadNoSubscription)]
    server.refuse(ua.StatusCodes.BadSessionIdInvalid)
    assert len(server.failed) == 1


async def test_a_status_change_ends_its_subscription(told):
    server, heard, _ = told
    server.send(1, status_change=ua.StatusCodes.BadTimeout)
    assert heard.ended == [(SUBSCRIPTION, ua.StatusCodes.BadTimeout)]


async def test_messages_of_no_subscription_of_ours_are_told(told):
    server, heard, _ = told
    server.send(1, 1.0, subscription=99)
    assert (heard.values, heard.strays) == ([], [99])


async def test_bytes_that_mean_nothing_are_counted_and_the_loop_goes_on(told):
    server, heard, _ = told
    server.waiting.pop(0)(b"\x01\x00\x3d\x03nonsense", "")
    assert heard.counted["decode_errors"] == 1
    await eventually(lambda: len(server.waiting) == 3)


async def test_what_a_transferred_subscription_kept_comes_first(told):
    server, heard, pump = told
    pump.add(Granted(8, 0.1, 5.0), hold=True, expected=None)
    server.kept = {40: 1.0, 41: 2.0, 42: 3.0}
    server.send(43, 4.0, subscription=8)
    await pump.resume(8, [40, 41, 42], {(8, 40)})
    assert heard.values == [2.0, 3.0, 4.0]
    server.send(1, 0.5)
    assert (8, 40) in server.acknowledged


async def test_a_link_that_fails_while_sending_is_told_and_nothing_raises(told):
    server, heard, pump = told
    server.dead = True
    server.send(1, 1.0)
    pump.acknowledge(pump.settle(heard.receipts[0]))
    assert server.failed
    await asyncio.sleep(0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["send", "lose", "commit"]), max_size=60))
def test_every_value_comes_once_in_order_or_is_a_counted_gap(script):
    """Whatever is lost on the way, with a server that keeps every second message: delivered + lost = sent."""

    async def play():
        server, heard = Server(), Heard()
        pump = Pump(server, np.array([-1], np.int32), heard.outlets(), heard, requests=3, window=500, patience_s=1.0)
        pump.add(Granted(SUBSCRIPTION, 0.1, 5.0))
        sequence = 0
        for step in [*script, "send"]:
            if step == "commit":
                if heard.receipts:
                    pump.acknowledge(pump.settle(heard.receipts[-1]))
                continue
            sequence += 1
            if sequence % 2:
                server.kept[sequence] = float(sequence)
            if step == "send":
                server.send(sequence, sequence)
                await eventually(lambda: all(stream.held is None for stream in pump.streams.values()))
        pump.close()
        assert heard.values == sorted(set(heard.values))
        assert len(heard.values) + sum(heard.gaps) == sequence

    asyncio.run(play())


@given(st.integers(1, 2**32 - 1), st.integers(0, 1000))
def test_distance_counts_what_following_steps(start, steps):
    sequence = start
    for _ in range(steps):
        sequence = following(sequence)
    assert ahead(sequence, start) == steps
    assert ahead(start, sequence) == -steps
