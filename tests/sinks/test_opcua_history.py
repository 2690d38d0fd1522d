"""HistoryRead of raw values to an asyncua client (Part 11, 4.6 and 6.5.3)."""

import asyncio
from datetime import UTC, datetime

import pytest
from asyncua import Client, ua

from gateway.model.tag import Tag, TagType
from support.past import NOON, SECOND, past
from support.waiting import eventually

NS = 2
MINUTE = 60 * SECOND
FIVE = NOON - 7 * 3600 * SECOND  # 5:00
TAGS = [Tag(0, "line.temp"), Tag(1, "line.count", type=TagType.INT), Tag(2, "line.recipe", type=TagType.TEXT), Tag(3, "line.empty")]
STORED = (0, 2, 3, 5, 6)  # 5:00, 5:02, 5:03, 5:05, 5:06
FIRST, LAST = "FIRST", "LAST"
BAD_BOUND_NOT_FOUND = 0x80D7_0000


@pytest.fixture
async def kept(tmp_path):
    async with past(TAGS, tmp_path) as kept:
        await kept.keep(0, [FIVE + minute * MINUTE for minute in STORED], list(STORED))
        yield kept


@pytest.fixture
async def client(kept):
    async with Client(kept.face.sink.url, timeout=10) as connected:
        yield connected


def at(minute):
    return None if minute is None else datetime.fromtimestamp((FIVE + minute * MINUTE) / 1e9, UTC)


MIN = datetime(1601, 1, 1, tzinfo=UTC)


def raw(start, end, most=0, bounds=False):
    return ua.ReadRawModifiedDetails(
        IsReadModified=False, StartTime=at(start) or MIN, EndTime=at(end) or MIN, NumValuesPerNode=most, ReturnBounds=bounds
    )


async def read(client, details, names=("line.temp",), point=None, stamps=ua.TimestampsToReturn.Source, release=False):
    params = ua.HistoryReadParameters(
        HistoryReadDetails=details,
        TimestampsToReturn=stamps,
        ReleaseContinuationPoints=release,
        NodesToRead=[ua.HistoryReadValueId(NodeId=ua.NodeId(name, NS), ContinuationPoint=point) for name in names],
    )
    return await client.uaclient.history_read(params)


def minutes(result):
    """What was answered, in minutes since 5:00; a bound that is not there as its time with '?'."""
    found = []
    for value in result.HistoryData.DataValues or []:
        minute = (value.SourceTimestamp.timestamp() * 1e9 - FIVE) / MINUTE
        found.append(f"{minute:g}?" if value.StatusCode.value == BAD_BOUND_NOT_FOUND else round(minute, 6))
    return found


TABLE_1 = [
    # start, end, number, bounds, what comes in the first answer
    (0, 5, 0, True, [0, 2, 3, 5]),
    (0, 5, 0, False, [0, 2, 3]),
    (1, 4, 0, True, [0, 2, 3, 5]),
    (1, 4, 0, False, [2, 3]),
    (5, 0, 0, True, [5, 3, 2, 0]),
    (5, 0, 0, False, [5, 3, 2]),
    (4, 1, 0, True, [5, 3, 2, 0]),
    (4, 1, 0, False, [3, 2]),
    (-1, 5, 0, True, ["-1?", 0, 2, 3, 5]),
    (-1, 5, 0, False, [0, 2, 3]),
    (1, 7, 0, True, [0, 2, 3, 5, 6, "7?"]),
    (1, 7, 0, False, [2, 3, 5, 6]),
    (0, 5, 3, True, [0, 2, 3]),
    (0, 5, 3, False, [0, 2, 3]),
    (1, 4, 3, True, [0, 2, 3]),
    (1, 4, 3, False, [2, 3]),
    (5, 0, 3, True, [5, 3, 2]),
    (5, 0, 3, False, [5, 3, 2]),
    (4, 1, 3, True, [5, 3, 2]),
    (4, 1, 3, False, [3, 2]),
    (-1, 5, 3, True, ["-1?", 0, 2]),
    (-1, 5, 3, False, [0, 2, 3]),
    (1, 7, 3, True, [0, 2, 3]),
    (1, 7, 3, False, [2, 3, 5]),
    (0, None, 3, True, [0, 2, 3]),
    (0, None, 3, False, [0, 2, 3]),
    (0, None, 6, True, [0, 2, 3, 5, 6, f"{6 + 1 / 60:g}?"]),
    (0, None, 6, False, [0, 2, 3, 5, 6]),
    (7, None, 6, True, [6, f"{6 + 1 / 60:g}?"]),
    (7, None, 6, False, []),
    (None, 6, 3, True, [6, 5, 3]),
    (None, 6, 3, False, [6, 5, 3]),
    (None, 6, 6, True, [6, 5, 3, 2, 0, f"{-1 / 60:g}?"]),
    (None, 6, 6, False, [6, 5, 3, 2, 0]),
    (None, -12, 6, True, [0, f"{-1 / 60:g}?"]),
    (None, -12, 6, False, []),
    (-12, -12, 0, True, ["-12?", 0]),
    (-12, -12, 0, False, []),
    (-12, -12, 1, True, ["-12?"]),
    (-12, -12, 1, False, []),
    (-12, -12, 2, True, ["-12?", 0]),
    (0, 0, 0, True, [0, 2]),
    (0, 0, 0, False, [0]),
    (0, 0, 1, True, [0]),
    (0, 0, 1, False, [0]),
    (1, 1, 0, True, [0, 2]),
    (1, 1, 0, False, []),
    (1, 1, 1, True, [0]),
    (1, 1, 1, False, []),
]


@pytest.mark.parametrize("packed", [False, True], ids=["tail", "blocks"])
async def test_bounds_and_order_are_those_of_the_standards_table(kept, client, packed):
    """Part 11, Table 1, row by row, from the tail as from blocks."""
    if packed:
        await kept.cut()
    for start, end, most, bounds, expected in TABLE_1:
        (result,) = await read(client, raw(start, end, most, bounds))
        assert minutes(result) == expected, (start, end, most, bounds)
        assert result.StatusCode.value == (ua.StatusCodes.GoodNoData if not expected else 0)


async def pages(client, details, name="line.temp"):
    """All answers to one question, continued to the end."""
    point, found = None, []
    while True:
        (result,) = await read(client, details, (name,), point)
        assert result.StatusCode.is_good()
        found.append(result.HistoryData.DataValues or [])
        point = result.ContinuationPoint
        if point is None:
            return found


async def test_asyncuas_own_client_reads_it(client):
    node = client.get_node(ua.NodeId("line.temp", NS))
    values = await node.read_raw_history(at(0), at(6), numvalues=0)
    assert [value.Value.Value for value in values] == [0, 2, 3, 5, 6]  # it asks for bounds
    assert {value.Value.VariantType for value in values} == {ua.VariantType.Double}


async def test_a_number_of_values_is_the_size_of_a_page_where_both_times_are_given(client):
    """Part 11, 6.5.3.2: numValuesPerNode a time, the bounds among them, until the continuation point is null."""
    assert [[minute(v) for v in page] for page in await pages(client, raw(1, 4, 2, bounds=True))] == [[0, 2], [3, 5]]
    assert [[minute(v) for v in page] for page in await pages(client, raw(7, 1, 2))] == [[6, 5], [3, 2]]
    assert [[minute(v) for v in page] for page in await pages(client, raw(0, None, 2))] == [[0, 2]]  # one time only: so many in all


def minute(value):
    return round((value.SourceTimestamp.timestamp() * 1e9 - FIVE) / MINUTE, 6)


async def test_what_is_bad_is_null_with_its_status_and_texts_and_integers_keep_their_type(kept, client):
    times = [FIVE + k * MINUTE for k in range(3)]
    await kept.keep(1, times, [2**53, 7, -3], [0, 0x8031_0000, 0x4094_0000])
    await kept.keep(2, times, float("nan"), [0, 0x8031_0000, 0], {0: "blå", 1: "gone", 2: ""})
    numbers, words = await read(client, raw(0, 9), ("line.count", "line.recipe"))
    got = [(v.Value.Value if v.Value else None, v.StatusCode.value) for v in numbers.HistoryData.DataValues]
    assert got == [(2**53, 0), (None, 0x8031_0000), (-3, 0x4094_0000)]
    assert numbers.HistoryData.DataValues[0].Value.VariantType == ua.VariantType.Int64
    got = [(v.Value.Value if v.Value else None, v.StatusCode.value) for v in words.HistoryData.DataValues]
    assert got == [("blå", 0), (None, 0x8031_0000), ("", 0)]


async def test_what_cannot_be_asked_is_refused_in_the_standards_words(client):
    async def status(details, name="line.temp", **how):
        return (await read(client, details, (name,), **how))[0].StatusCode.value

    codes = ua.StatusCodes
    assert await status(raw(0, 5), "line.nothing") == codes.BadNodeIdUnknown
    assert await status(raw(0, 5), "line") == codes.BadHistoryOperationUnsupported  # a folder
    assert await status(raw(0, 5), "line.empty") == codes.GoodNoData
    assert await status(raw(None, None, 5)) == codes.BadHistoryOperationInvalid
    assert await status(raw(0, None)) == codes.BadHistoryOperationInvalid
    assert await status(raw(0, 5), point=b"12345678") == codes.BadContinuationPointInvalid
    assert await status(raw(0, 5), stamps=ua.TimestampsToReturn.Server) == codes.BadTimestampNotSupported
    assert await status(raw(0, 5), stamps=ua.TimestampsToReturn.Both) == codes.Good
    modified = ua.ReadRawModifiedDetails(IsReadModified=True, StartTime=at(0), EndTime=at(5))
    assert await status(modified) == codes.BadHistoryOperationUnsupported
    for refused, how in (
        (codes.BadTimestampsToReturnInvalid, {"stamps": ua.TimestampsToReturn.Neither}),
        (codes.BadNothingToDo, {"names": ()}),
        (codes.BadTooManyOperations, {"names": ("line.temp",) * 101}),
    ):
        with pytest.raises(ua.uaerrors.UaStatusCodeError) as fault:
            await read(client, raw(0, 5), **how)
        assert fault.value.code == refused


async def test_a_viewer_without_the_permission_reads_nothing(tmp_path, monkeypatch):
    """`history:read` decides; the node is not hidden by it."""
    async with past(TAGS, tmp_path) as kept, Client(kept.face.sink.url, timeout=10) as client:
        monkeypatch.setattr(type(kept.face.sink), "allowed", lambda *_: False)
        (result,) = await read(client, raw(0, 5))
        assert result.StatusCode.value == ua.StatusCodes.BadUserAccessDenied


async def test_a_continuation_point_is_good_once_for_its_session_and_node_and_can_be_given_back(kept, client):
    (first,) = await read(client, raw(0, 7, 2))
    async with Client(kept.face.sink.url, timeout=10) as other:
        (stolen,) = await read(other, raw(0, 7, 2), point=first.ContinuationPoint)
    assert stolen.StatusCode.value == ua.StatusCodes.BadContinuationPointInvalid
    (second,) = await read(client, raw(0, 7, 2), point=first.ContinuationPoint)
    (again,) = await read(client, raw(0, 7, 2), point=first.ContinuationPoint)
    assert (minutes(second), again.StatusCode.value) == ([3, 5], ua.StatusCodes.BadContinuationPointInvalid)
    (released,) = await read(client, raw(0, 7, 2), point=second.ContinuationPoint, release=True)
    assert released.StatusCode.is_good()
    assert not getattr(released.HistoryData, "DataValues", None)
    (plain,) = await read(client, raw(0, 7), release=True)  # nothing to release: some clients have that default
    assert minutes(plain) == [0, 2, 3, 5, 6]
    (gone,) = await read(client, raw(0, 7, 2), point=second.ContinuationPoint)
    assert gone.StatusCode.value == ua.StatusCodes.BadContinuationPointInvalid


async def test_of_too_many_continuation_points_the_oldest_gives_way(client):
    held = [(await read(client, raw(0, 7, 1)))[0].ContinuationPoint for _ in range(101)]
    (oldest,) = await read(client, raw(0, 7, 1), point=held[0])
    (next_,) = await read(client, raw(0, 7, 1), point=held[1])
    assert oldest.StatusCode.value == ua.StatusCodes.BadContinuationPointInvalid
    assert minutes(next_) == [2]


async def test_a_page_is_as_large_as_the_client_takes_and_many_nodes_share_it(kept, client):
    """A response is bounded whatever is asked; the continuation points lead to the rest."""
    await kept.keep(0, FIVE + 10 * MINUTE + SECOND // 10 * range_(150_000), range_(150_000))
    found = await pages(client, raw(10, 1000))
    assert len(found) == 2
    assert [value.Value.Value for page in found for value in page] == list(range(150_000))
    both = await read(client, raw(10, 1000), ("line.temp", "line.temp"))
    assert all(40_000 < len(result.HistoryData.DataValues) < 60_000 for result in both)


def range_(n):
    import numpy as np

    return np.arange(n, dtype=np.int64)


async def test_the_address_space_says_what_is_kept_and_how_it_is_to_be_read(client):
    """Part 3, 5.6.2; Part 11, 5.2: Historizing, the AccessLevel's bit, and `HA Configuration` of each tag."""
    ids = ua.AttributeIds
    for name, stepped in (("line.temp", False), ("line.count", True)):
        node = client.get_node(ua.NodeId(name, NS))
        values = await node.read_attributes([ids.Historizing, ids.AccessLevel, ids.UserAccessLevel])
        assert [value.Value.Value for value in values] == [True, 5, 5]
        (configuration,) = await node.get_referenced_nodes(refs=ua.ObjectIds.HasHistoricalConfiguration)
        assert configuration.nodeid == ua.NodeId(f"{name}/HA Configuration", NS)
        assert await (await configuration.get_child("0:Stepped")).read_value() is stepped
        aggregates = await configuration.get_child("0:AggregateConfiguration")
        said = {(await one.read_browse_name()).Name: await one.read_value() for one in await aggregates.get_properties()}
        assert said == {"TreatUncertainAsBad": True, "PercentDataBad": 100, "PercentDataGood": 100, "UseSlopedExtrapolation": False}
        assert await configuration.read_type_definition() == ua.NodeId(2318)


async def test_the_capabilities_are_stated_and_the_folders_list_the_aggregates_that_there_are(client):
    server = client.get_node(ua.ObjectIds.Server_ServerCapabilities)
    capabilities = await server.get_child("0:HistoryServerCapabilities")
    said = {(await one.read_browse_name()).Name: await one.read_value() for one in await capabilities.get_properties()}
    assert {name for name, value in said.items() if value is True} == {"AccessHistoryDataCapability", "AccessHistoryEventsCapability"}
    assert (said["MaxReturnDataValues"], said["MaxReturnEventValues"]) == (100_000, 1_000)
    limits = await server.get_child("0:OperationLimits")
    assert await (await limits.get_child("0:MaxNodesPerHistoryReadData")).read_value() == 100
    assert await (await server.get_child("0:MaxHistoryContinuationPoints")).read_value() == 100
    for owner in (server, capabilities):
        folder = await owner.get_child("0:AggregateFunctions")
        names = {(await one.read_browse_name()).Name for one in await folder.get_children()}
        assert {"Average", "TimeAverage2", "Interpolative", "PercentGood"} <= names
        assert len(names) == 19


# --- beside everything else ---


class Gate:
    """Stands before the disk until it is opened; how many wait at it."""

    def __init__(self, past):
        self._values, self.open, self.waiting = past.values, asyncio.Event(), 0

    async def values(self, *args):
        self.waiting += 1
        await self.open.wait()
        return await self._values(*args)


@pytest.fixture
def gate(kept, monkeypatch):
    gate = Gate(kept.face.sink.past)
    monkeypatch.setattr(kept.face.sink.past, "values", gate.values)
    return gate


async def test_a_client_that_waits_for_the_disk_is_served_all_the_while(kept, client, gate):
    """Four reads wait at once, a fifth holds up its own connection only; then all are answered, each with its own."""
    reading = [asyncio.create_task(read(client, raw(0, minute))) for minute in (1, 3, 4, 6)]
    await eventually(lambda: gate.waiting == 4)
    assert await client.nodes.server_state.read_value() == ua.ServerState.Running
    fifth = asyncio.create_task(read(client, raw(0, 7)))
    async with Client(kept.face.sink.url, timeout=10) as other:
        assert await other.nodes.server_state.read_value() == ua.ServerState.Running
    assert gate.waiting == 4
    gate.open.set()
    found = [minutes((await one)[0]) for one in (*reading, fifth)]
    assert found == [[0], [0, 2], [0, 2, 3], [0, 2, 3, 5], [0, 2, 3, 5, 6]]


async def test_a_client_that_goes_leaves_no_read_behind(kept, gate):
    before = len(asyncio.all_tasks())
    async with Client(kept.face.sink.url, timeout=10) as client:
        reading = asyncio.create_task(read(client, raw(0, 5)))
        await eventually(lambda: gate.waiting == 1)
        client.uaclient.protocol.transport.abort()
        reading.cancel()
    await eventually(lambda: len(asyncio.all_tasks()) <= before)


async def test_while_the_disk_is_away_a_node_says_so(kept, client):
    """BadResourceUnavailable for the node; the session lives on, and the next read is answered."""

    class Away(Exception):
        pass

    past_ = kept.face.sink.past
    past_._unavailable, view = (Away,), past_._view

    class Nothing:
        def __getattr__(self, name):
            raise Away

    past_._view = Nothing()
    (result,) = await read(client, raw(0, 5))
    assert result.StatusCode.value == ua.StatusCodes.BadResourceUnavailable
    past_._view = view
    assert minutes((await read(client, raw(0, 5)))[0]) == [0, 2, 3]


async def test_a_part_of_a_value_or_another_encoding_is_refused(client):
    """Part 4, 7.27 and 7.29: no tag is an array, and there is the default encoding only."""

    async def status(**how):
        node = ua.HistoryReadValueId(NodeId=ua.NodeId("line.temp", NS), **how)
        params = ua.HistoryReadParameters(raw(0, 5), ua.TimestampsToReturn.Source, False, [node])
        return (await client.uaclient.history_read(params))[0].StatusCode.value

    codes = ua.StatusCodes
    assert await status(IndexRange="1") == codes.BadIndexRangeNoData
    assert await status(IndexRange="1:2") == codes.BadIndexRangeNoData
    assert await status(IndexRange="2:1") == codes.BadIndexRangeInvalid
    assert await status(IndexRange="x") == codes.BadIndexRangeInvalid
    assert await status(DataEncoding=ua.QualifiedName("Default Binary")) == codes.Good
    assert await status(DataEncoding=ua.QualifiedName("Default XML")) == codes.BadDataEncodingInvalid
