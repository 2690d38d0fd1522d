"""Requests without end (Part 4, 5.8 to 5.13): each kind has its limit, the rest is refused, and nobody else waits."""

import asyncio
import datetime as dt
import struct
import time

import pytest
from asyncua import ua

from gateway.wire.opcua import limits
from support.opcua_raw import Ended, Raw, Refused
from support.opcua_requests import FOLDER, VALUE, browses, calls, items, many, paths, reads, refreshes, request, subscription
from support.waiting import eventually

CODES = ua.StatusCodes
BEAT = ua.NodeId("line.beat", 2)
YEAR = dt.datetime(2026, 1, 1), dt.datetime(2026, 12, 31)  # noqa: DTZ001 - the library's times are naive
HELD_S = 2.5  # of the client's own time, on a busy machine: what the others notice is the witness's to say


async def subscribed(raw, interval=1000.0):
    return (await raw.ask(subscription(interval))).Parameters.SubscriptionId


async def refused(raw, asked):
    with pytest.raises(Refused) as why:
        await raw.ask(asked)
    return why.value.code


# --- things that a client may have so many of ---


async def test_sessions_are_bounded_and_come_back(plant):
    """max_sessions is 20, the witness has one: BadTooManySessions, also with nobody signed in; a closed one makes room."""
    there = [Raw(plant.port) for _ in range(19)]
    for raw in there:
        await raw.__aenter__()
    with pytest.raises(Refused) as full:
        await Raw(plant.port).__aenter__()
    assert full.value.code == CODES.BadTooManySessions
    with pytest.raises(Refused) as second:
        await there[0].create()
    assert second.value.code == CODES.BadTooManySessions
    for raw in there:
        await raw.__aexit__(None, None, None)

    async def room():
        async with Raw(plant.port) as raw:
            return bool(await raw.read(BEAT))

    async def tried():
        try:
            return await room()
        except (Refused, Ended):
            return False

    await eventually(tried)


async def test_sessions_that_nobody_signs_in_to_give_way(plant):
    """CreateSession alone, again and again: it keeps nobody out."""
    waiting = [Raw(plant.port, session=False, name="x" * 4_000) for _ in range(24)]
    for raw in waiting:
        await raw.__aenter__()
        await raw.create()
    async with Raw(plant.port) as raw:
        assert await raw.read(BEAT)
    for raw in waiting:
        raw.writer.transport.abort()


async def test_subscriptions_are_bounded_for_a_session_and_do_not_outlive_it_without_end(plant):
    """BadTooManySubscriptions; those that a client leaves behind are bounded too, whatever it says in CloseSession."""
    for _ in range(5):
        async with Raw(plant.port) as raw:
            for _ in range(limits.SUBSCRIPTIONS_PER_SESSION):
                await subscribed(raw)
            assert await refused(raw, subscription()) == CODES.BadTooManySubscriptions
            close = ua.CloseSessionRequest()
            close.DeleteSubscriptions = False
            await raw.ask(close)
    async with Raw(plant.port) as raw:
        await subscribed(raw)
        counted = ua.ObjectIds.Server_ServerDiagnostics_ServerDiagnosticsSummary_CurrentSubscriptionCount
        left = (await raw.read(ua.NodeId(counted)))[0]
        assert left.Value.Value <= limits.ABANDONED_SUBSCRIPTIONS + 2


async def test_items_are_bounded_for_a_subscription(plant):
    """BadTooManyMonitoredItems: 100 000 on tags' Values, 1000 on anything else."""
    plant.grows_mb = 60.0
    async with Raw(plant.port) as raw:
        mine, made = await subscribed(raw, 3_600_000.0), 0
        asked = items(mine, many(limits.ITEMS_PER_CALL))
        for _ in range(limits.ITEMS_PER_SUBSCRIPTION // limits.ITEMS_PER_CALL):
            made += sum(result.StatusCode.is_good() for result in (await raw.ask(asked)).Results)
        assert made == limits.ITEMS_PER_SUBSCRIPTION
        last = (await raw.ask(items(mine, many(5)))).Results
        assert {result.StatusCode.value for result in last} == {CODES.BadTooManyMonitoredItems}
        other = await subscribed(raw, 3_600_000.0)
        sampled = (await raw.ask(items(other, many(limits.SAMPLED_PER_SUBSCRIPTION + 5), ua.AttributeIds.DisplayName))).Results
        assert [result.StatusCode.value for result in sampled].count(CODES.BadTooManyMonitoredItems) == 5


async def test_publish_requests_push_out_the_oldest(plant):
    """Part 4, 5.13.5.2: BadTooManyPublishRequests."""
    async with Raw(plant.port) as raw:
        await subscribed(raw, 3_600_000.0)
        for _ in range(1_000):
            raw.writer.write(raw.chunks(raw.body_of("Publish", struct.pack("<i", 0))))
        codes = []
        while len(codes) < 1_000 - limits.PUBLISH_REQUESTS_PER_SESSION - 1:
            _, body = await raw.answer()
            codes.append(struct.unpack_from("<I", body, 16)[0])
        assert codes.count(CODES.BadTooManyPublishRequests) >= len(codes) - 2


async def test_continuation_points_of_browse_are_bounded(plant):
    """Of one request BadNoContinuationPoints, of earlier ones the oldest gives way (Part 4, 7.9)."""
    description = ua.BrowseDescription(FOLDER, ua.BrowseDirection.Forward, ua.NodeId(), True, 0, 63)
    browse = request("Browse", NodesToBrowse=[description] * 100, RequestedMaxReferencesPerNode=1)
    async with Raw(plant.port) as raw:
        results = (await raw.ask(browse)).Results
        assert [bool(result.ContinuationPoint) for result in results] == [True] * limits.BROWSE_POINTS_PER_SESSION + [False] * 90
        assert {result.StatusCode.value for result in results[10:]} == {CODES.BadNoContinuationPoints}
        first = results[0].ContinuationPoint
        browse.Parameters.NodesToBrowse = [description]
        for _ in range(limits.BROWSE_POINTS_PER_SESSION):
            await raw.ask(browse)
        following = request("BrowseNext", ContinuationPoints=[first], ReleaseContinuationPoints=False)
        assert (await raw.ask(following)).Parameters.Results[0].StatusCode.value == CODES.BadContinuationPointInvalid


async def test_continuation_points_of_history_are_bounded(plant):
    """The oldest gives way, and it is nobody else's."""
    async with Raw(plant.port) as raw, Raw(plant.port) as other:

        async def enough():
            found = await raw_history(raw, 3)
            assert found.StatusCode.is_good(), found
            return found.ContinuationPoint

        await eventually(enough, within=10)
        first = (await raw_history(raw, 1)).ContinuationPoint
        assert first
        assert (await raw_history(other, 1, first)).StatusCode.value == CODES.BadContinuationPointInvalid
        for _ in range(limits.HISTORY_POINTS_PER_SESSION):
            assert (await raw_history(raw, 1)).ContinuationPoint
        assert (await raw_history(raw, 1, first)).StatusCode.value == CODES.BadContinuationPointInvalid


async def raw_history(raw, most, point=None):
    details = ua.ReadRawModifiedDetails(IsReadModified=False)
    details.StartTime, details.EndTime, details.NumValuesPerNode = *YEAR, most
    asked = request(
        "HistoryRead",
        HistoryReadDetails=details,
        TimestampsToReturn=ua.TimestampsToReturn.Source,
        NodesToRead=[ua.HistoryReadValueId(BEAT, ContinuationPoint=point)],
    )
    return (await raw.ask(asked)).Results[0]


# --- long services (the others go on: the witness) ---


LONG = {
    "values": lambda: reads(VALUE),
    "names": lambda: reads(ua.AttributeIds.DisplayName),
    "permissions": lambda: reads(ua.AttributeIds.UserRolePermissions),
    "access levels": lambda: reads(ua.AttributeIds.UserAccessLevel),
    "a folder a thousand times": browses,
    "a folder a thousand times, some fields": lambda: browses(mask=5),
    "a folder a thousand times, one by one": lambda: browses(page=1),
    "nothing of a folder a thousand times": lambda: browses(direction=ua.BrowseDirection.Inverse),
    "a thousand paths": lambda: paths(["none"], 1_000),
    "an unknown tag ten thousand times": lambda: items(1, [ua.NodeId("none", 2)] * 10_000),
}


@pytest.mark.parametrize("name", LONG)
async def test_a_long_request_holds_up_nobody(plant, name):
    """A client that reads next to it, every 10 ms, never waits long; nor does the witness."""
    plant.grows_mb = 32.0
    async with Raw(plant.port) as raw, Raw(plant.port) as beside:
        asked, waits, done = raw.encoded(LONG[name]()), [], asyncio.Event()

        async def read_on():
            while not done.is_set():
                began = time.monotonic()
                await beside.read(BEAT)
                waits.append(time.monotonic() - began)
                await asyncio.sleep(0.01)

        reading = asyncio.create_task(read_on())
        try:
            await raw.raw(asked)
        except Refused as why:
            assert why.code in (CODES.BadTooManyOperations, CODES.BadSubscriptionIdInvalid)  # noqa: PT017 - answered or refused: both are well
        done.set()
        await reading
        assert max(waits, default=0.0) < 1.5


async def test_more_operations_than_there_may_be_are_refused_before_they_are_decoded(plant):
    """BadTooManyOperations: 28 000 ConditionRefreshes, a browse path of 8000 elements, 100 000 nodes."""
    plant.grows_mb = 24.0
    async with Raw(plant.port) as raw:
        for asked in (
            refreshes(28_000),
            paths(["x"] * 8_000),
            request("Read", NodesToRead=[ua.ReadValueId(BEAT, VALUE)] * 50_000, TimestampsToReturn=2),
            request("Browse", NodesToBrowse=[ua.BrowseDescription(FOLDER)] * 1_001),
        ):
            body = raw.encoded(asked)
            began = time.monotonic()
            with pytest.raises(Refused) as why:
                await raw.raw(body)
            assert why.value.code == CODES.BadTooManyOperations
            assert time.monotonic() - began < HELD_S


async def test_a_message_of_millions_of_elements_is_refused_and_costs_little(plant):
    """BadEncodingLimitsExceeded: a byte each on the wire would be a hundred in memory."""
    plant.grows_mb = 24.0
    written = struct.pack("<i", 1) + b"\x03\x02\x00" + struct.pack("<i", 9) + b"line.name" + struct.pack("<Ii", 13, -1) + b"\x01"
    async with Raw(plant.port) as raw:
        for kind in (b"\x95", b"\x98", b"\x99"):
            with pytest.raises(Refused) as why:
                await raw.ask_raw("Write", written + kind + struct.pack("<i", 4_000_000) + b"\x00" * 4_000_000)
            assert why.value.code == CODES.BadEncodingLimitsExceeded
        assert await raw.read(BEAT)


async def test_paths_that_double_with_every_step_end(plant):
    """A node that several references lead to is gone on from once: two to the power of five hundred is five hundred."""
    down, up = ua.QualifiedName("line", 2), ua.QualifiedName("Objects", 0)
    elements = []
    for _ in range(400):
        elements.append(ua.RelativePathElement(ua.NodeId(), False, True, down))
        elements.append(ua.RelativePathElement(ua.NodeId(), True, True, up))
    path = ua.BrowsePath(ua.NodeId(85), ua.RelativePath(elements))
    async with Raw(plant.port) as raw:
        result = (await raw.ask(request("TranslateBrowsePathsToNodeIds", BrowsePaths=[path]))).Results[0]
        assert len(result.Targets) <= 1


async def test_condition_refreshes_without_end_are_refused(plant):
    """One at a time, five in a row: BadRefreshInProgress."""
    async with Raw(plant.port) as raw:
        mine = await subscribed(raw)
        call = ua.CallMethodRequest(ua.NodeId(2782), ua.NodeId(3875), [ua.Variant(mine, ua.VariantType.UInt32)])
        codes = []
        for _ in range(10):
            codes += [result.StatusCode.value for result in (await raw.ask(calls([call] * limits.METHODS_PER_CALL))).Results]
        assert set(codes) <= {0, CODES.BadRefreshInProgress, CODES.BadNothingToDo}
        assert codes.count(CODES.BadRefreshInProgress) > len(codes) * 0.9


async def test_a_storm_of_republish_is_answered_and_disturbs_nobody(plant):
    """BadMessageNotAvailable, which ends the loop of a client that asks for what is gone."""
    async with Raw(plant.port) as raw:
        mine = await subscribed(raw)
        for _ in range(2_000):
            raw.writer.write(raw.chunks(raw.body_of("Republish", struct.pack("<II", mine, 77))))
        codes = set()
        for _ in range(2_000):
            _, body = await raw.answer()
            codes.add(struct.unpack_from("<I", body, 16)[0])
        assert codes == {CODES.BadMessageNotAvailable}


async def test_a_storm_of_publish_is_answered_in_turn_and_disturbs_nobody(plant):
    """The oldest beyond the limit give way with BadTooManyPublishRequests, and what was asked in between is answered."""
    most = limits.PUBLISH_REQUESTS_PER_SESSION
    async with Raw(plant.port) as raw:
        mine = await subscribed(raw)
        storm = [raw.chunks(raw.body_of("Publish", struct.pack("<i", 0))) for _ in range(1_000)]
        storm.append(raw.chunks(raw.body_of("Republish", struct.pack("<II", mine, 77))))
        between = raw.request
        storm += [raw.chunks(raw.body_of("Publish", struct.pack("<i", 0))) for _ in range(1_000)]
        raw.writer.write(b"".join(storm))
        codes = {}
        for _ in range(len(storm) - most):
            number, body = await raw.answer()
            codes[number] = struct.unpack_from("<I", body, 16)[0]
        assert codes.pop(between) == CODES.BadMessageNotAvailable
        assert set(codes.values()) <= {0, CODES.BadTooManyPublishRequests}
        given_up = [number for number, code in codes.items() if code]
        assert given_up == sorted(given_up)
        assert len(given_up) > len(codes) * 0.9


async def test_where_clauses_without_end_are_refused(plant):
    """BadTooManyOperations or a filter that is refused, for elements and operands beyond the limit."""
    literal = ua.LiteralOperand(ua.Variant(1, ua.VariantType.Int32))
    for elements, operands in ((limits.FILTER_ELEMENTS + 1, 2), (limits.FILTER_ELEMENTS, 300)):
        element = ua.ContentFilterElement(ua.FilterOperator.Equals, [literal] * operands)
        where = ua.ContentFilter([element] * elements)
        wanted = items(0, [ua.NodeId(2253)], ua.AttributeIds.EventNotifier)
        wanted.Parameters.ItemsToCreate[0].RequestedParameters.Filter = ua.EventFilter([], where)
        async with Raw(plant.port) as raw:
            wanted.Parameters.SubscriptionId = await subscribed(raw)
            result = (await raw.ask(wanted)).Results[0]
            assert not result.StatusCode.is_good()


async def test_aggregates_over_a_year_by_the_millisecond_are_paged_or_refused(plant):
    """30 billion intervals: a page of them, or BadQueryTooComplex; nobody waits for it."""
    details = ua.ReadProcessedDetails(*YEAR, 1.0, [ua.NodeId(ua.ObjectIds.AggregateFunction_Average)])
    asked = request(
        "HistoryRead",
        HistoryReadDetails=details,
        TimestampsToReturn=ua.TimestampsToReturn.Source,
        NodesToRead=[ua.HistoryReadValueId(BEAT)],
    )
    plant.grows_mb = 40.0
    async with Raw(plant.port) as raw:
        result = (await raw.ask(asked)).Results[0]
        assert result.ContinuationPoint or not result.StatusCode.is_good()
