"""The loops: retry, the bulkhead, link loss as data, receipts after the commit."""

import asyncio
import math

import pytest

from gateway import runner
from gateway.contracts import Delivery, NotConnected, Rejected
from gateway.health import Health, State
from gateway.model import quality
from gateway.model.batch import Origin, SampleBatch
from gateway.model.outbox import OutboxRow
from gateway.model.tag import Tag
from gateway.northbound import nothing
from gateway.road import Inbox, LatestQueue, Pending, Wake
from gateway.runner import Backoff, commit_once, link_lost, run_driver, run_sink
from gateway.store.commit import Step
from gateway.store.errors import StoreUnavailable
from support.waiting import eventually

TAGS = [Tag(0, "a", "plc"), Tag(1, "b", "plc"), Tag(2, "off", "plc", enabled=False)]


class Script:
    """A driver that plays a list: a number is a sample, an exception is raised, at the end it stays silent."""

    def __init__(self, *plays):
        self.plays, self.connects, self.closes, self.accepted = list(plays), 0, 0, []

    async def connect(self):
        self.connects += 1

    async def read(self):
        if not self.plays:
            await asyncio.get_running_loop().create_future()
        play = self.plays.pop(0)
        if isinstance(play, Exception):
            raise play
        return SampleBatch.of([0], [play], receipt=play)

    def accept(self, receipt):
        self.accepted.append(receipt)

    async def close(self):
        self.closes += 1


@pytest.fixture
def quick(monkeypatch):
    """Without the pauses of the back-off; their lengths have a test of their own."""
    monkeypatch.setattr(Backoff, "next_s", lambda _: 0.0)


async def all_of_it(batch):
    return batch


async def drive(driver, until):
    """Run the driver until that many batches came; what came, and the unit."""
    inbox, unit = Inbox(), Health(lambda: 0).fresh("source", "plc")
    task = asyncio.create_task(run_driver(driver, TAGS, inbox, unit, lambda: 9, all_of_it))
    batches = [(await asyncio.wait_for(inbox.get(None), 5))[1] for _ in range(until)]
    task.cancel()
    await asyncio.wait([task])
    return batches, unit


async def test_a_lost_link_is_data_and_the_driver_is_tried_again(quick):
    driver = Script(1.0, NotConnected("cable"), 2.0)
    batches, unit = await drive(driver, 3)
    lost = batches[1]
    assert lost.origin is Origin.GATEWAY
    assert lost.tag_id.tolist() == [0, 1]  # not the disabled one
    assert set(lost.status.tolist()) == {quality.BAD_NO_COMMUNICATION}
    assert all(math.isnan(value) for value in lost.value)
    assert batches[2].value.tolist() == [2.0]
    assert (driver.connects, driver.closes, unit.state) == (2, 2, State.UP)


async def test_an_unexpected_error_fails_the_unit_loudly_and_starts_it_anew(quick):
    driver = Script(1.0, ZeroDivisionError("bug"), 2.0)
    batches, unit = await drive(driver, 3)
    assert unit.counters["failures"] == 1
    assert batches[2].value.tolist() == [2.0]


async def test_link_loss_is_said_once_however_often_the_connection_fails(quick):
    driver = Script(1.0, NotConnected("1"), NotConnected("2"), NotConnected("3"), 4.0)
    batches, _ = await drive(driver, 3)
    assert [batch.origin for batch in batches] == [Origin.SOURCE, Origin.GATEWAY, Origin.SOURCE]
    assert driver.connects == 4


async def test_a_source_that_is_reached_within_the_grace_of_a_start_was_never_lost(quick):
    """Otherwise what the source delivers again after our own restart would count as a change of status, and go upstream twice."""
    driver = Script(NotConnected("busy"), NotConnected("busy"), 4.0)
    batches, _ = await drive(driver, 1)
    assert [batch.origin for batch in batches] == [Origin.SOURCE]


async def test_a_source_that_stays_away_after_a_start_is_lost_after_the_grace(quick, monkeypatch):
    monkeypatch.setattr(runner, "GRACE_S", 0.0)
    batches, _ = await drive(Script(NotConnected("absent"), 4.0), 2)
    assert [batch.origin for batch in batches] == [Origin.GATEWAY, Origin.SOURCE]


def test_the_first_retry_comes_within_a_second_and_ten_minutes_of_outage_pass_before_pauses_grow_beyond_four_seconds(monkeypatch):
    now = 0.0
    monkeypatch.setattr(runner.time, "monotonic", lambda: now)
    backoff, pauses = Backoff(), []
    while now < 3600:
        pauses.append((now, backoff.next_s()))
        now += pauses[-1][1]
    assert pauses[0][1] <= 0.5
    assert max(pause for at, pause in pauses if at < 600) <= 4.0
    assert 30 < max(pause for _, pause in pauses) <= 60.0


def test_rows_of_a_lost_link_carry_no_value_and_the_gateways_time():
    batch = link_lost(TAGS, 5)
    assert batch.source_ns.tolist() == [5, 5]


class Refusing:
    """A store whose disk refuses the first commits."""

    def __init__(self, times):
        self.times, self.commits, self.reopened = times, [], 0

    async def commit(self, commit):
        self.commits.append(commit)
        if len(self.commits) <= self.times:
            raise StoreUnavailable("no space left on device")

    async def reopen(self):
        self.reopened += 1


async def test_receipts_go_back_only_after_the_disk_has_them_and_a_refused_commit_is_given_again_as_it_was():
    driver, pending, health = Script(), Pending(), Health(lambda: 0)
    empty = nothing(0, 0)
    pending.add(Step(0, Origin.SOURCE, empty.rows, empty.late), (), (), (driver, "r1", 1))
    store, told = Refusing(times=1), []
    committing = asyncio.create_task(commit_once(store, pending, health, None, lambda: 1, told.append))
    await eventually(lambda: health.store_fault is not None, within=5)
    assert driver.accepted == []
    assert not health.ready()[0]
    await committing
    assert driver.accepted == ["r1"]
    assert store.reopened == 1
    assert store.commits[0] is store.commits[1]
    assert health.store_fault is None
    assert told == [True, False]


class Shelf:
    """An outbox of numbered rows, in memory."""

    def __init__(self, count):
        self.rows = [OutboxRow("up/live", "t", b"{}", 0, seq=number) for number in range(1, count + 1)]
        self.quarantined = []

    async def peek(self, stream, limit):
        return self.rows[:limit] if stream == "up/live" else []

    def acked(self, stream, through_seq):
        self.rows = [row for row in self.rows if row.seq > through_seq]

    async def quarantine(self, rows, why):
        self.quarantined += [(row.seq, why) for row in rows]
        self.rows = [row for row in self.rows if row not in rows]


class Upstream:
    """A sink that takes EVERY row once per connection plan: an exception in `plan` is raised instead."""

    delivery = Delivery.EVERY
    streams = ("up/live",)
    window = 4

    def __init__(self, *plan):
        self.plan, self.taken = list(plan), []

    async def connect(self):
        pass

    async def close(self):
        pass

    def rows(self, update, events):
        return []

    async def deliver(self, rows):
        fault = self.plan.pop(0) if self.plan else None
        if fault == "reject":
            raise Rejected(rows[:1], "not authorised")
        if fault is not None:
            raise fault
        self.taken += [row.seq for row in rows]


async def deliver(sink, shelf):
    unit = Health(lambda: 0).fresh("sink", "up")
    task = asyncio.create_task(run_sink(sink, LatestQueue(unit), shelf, Wake(), unit))
    await eventually(lambda: not shelf.rows, within=5)
    task.cancel()
    await asyncio.wait([task])
    return unit


async def test_an_outage_keeps_every_row_and_their_order(quick):
    sink, shelf = Upstream(None, NotConnected("broker")), Shelf(10)
    await deliver(sink, shelf)
    assert sink.taken == list(range(1, 11))


async def test_rows_that_the_other_side_will_never_take_are_quarantined_and_the_rest_flows():
    sink, shelf = Upstream("reject"), Shelf(6)
    unit = await deliver(sink, shelf)
    assert shelf.quarantined == [(1, "not authorised")]
    assert sink.taken == [2, 3, 4, 5, 6]
    assert "not authorised" in unit.problems["up/live"]
