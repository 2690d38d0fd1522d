"""HistoryRead of events to an asyncua client (Part 11, 6.5.2)."""

from datetime import UTC, datetime

import pytest
from asyncua import Client, ua

from gateway.model.event import Category, Event
from gateway.model.tag import Tag
from gateway.store.store import Commit
from support.past import NOON, SECOND, past

TAGS = [Tag(0, "line.temp"), Tag(1, "hall.temp")]
SERVER = ua.NodeId(ua.ObjectIds.Server)


def told(number, at_ns, source="line.temp", category=Category.PROCESS, level=400):
    return Event(f"00000000-0000-4000-8000-{number:012d}", at_ns, category, level, source, f"event {number}")


@pytest.fixture
async def kept(tmp_path):
    async with past(TAGS, tmp_path) as kept:
        at = [0, 1, 1, 1, 2, 3]  # three of one time
        events = [told(k, NOON + second * SECOND, TAGS[k % 2].name, level=100 * (k + 1)) for k, second in enumerate(at)]
        await kept.store.commit(Commit([], events=events, snapshot=b"s"))
        yield kept


@pytest.fixture
async def client(kept):
    async with Client(kept.face.sink.url, timeout=10) as connected:
        yield connected


def at(second):
    return datetime.fromtimestamp(NOON / 1e9 + second, UTC) if second is not None else datetime(1601, 1, 1, tzinfo=UTC)


def details(start, end, most=0, where=None, fields=("Message", "Severity", "SourceName", "Time")):
    def clause(name):
        return ua.SimpleAttributeOperand(
            TypeDefinitionId=ua.NodeId(ua.ObjectIds.BaseEventType), BrowsePath=[ua.QualifiedName(name)], AttributeId=ua.AttributeIds.Value
        )

    asked = ua.EventFilter(SelectClauses=[clause(name) for name in fields])
    if where is not None:
        name, operator, value = where
        asked.WhereClause.Elements.append(
            ua.ContentFilterElement(
                FilterOperator=operator, FilterOperands=[clause(name), ua.LiteralOperand(Value=ua.Variant(value, ua.VariantType.UInt16))]
            )
        )
    return ua.ReadEventDetails(NumValuesPerNode=most, StartTime=at(start), EndTime=at(end), Filter=asked)


async def read(client, wanted, node=SERVER, point=None):
    params = ua.HistoryReadParameters(
        HistoryReadDetails=wanted,
        TimestampsToReturn=ua.TimestampsToReturn.Source,
        ReleaseContinuationPoints=False,
        NodesToRead=[ua.HistoryReadValueId(NodeId=node, ContinuationPoint=point)],
    )
    (result,) = await client.uaclient.history_read(params)
    return result


def numbers(result):
    return [int(one.EventFields[0].Value.Text.split()[1]) for one in result.HistoryData.Events]


async def pages(client, wanted, node=SERVER):
    point, found = None, []
    while True:
        result = await read(client, wanted, node, point)
        assert result.StatusCode.is_good()
        found.append(numbers(result))
        point = result.ContinuationPoint
        if point is None:
            return found


async def test_order_and_number_are_what_start_end_and_number_say(client):
    """Part 11, 6.5.2.2: forwards, backwards, one time only; what has equal times is neither lost nor doubled at a page's edge."""
    assert await pages(client, details(0, 3)) == [[0, 1, 2, 3, 4]]
    assert await pages(client, details(3, 0)) == [[5, 4, 3, 2, 1]]
    assert await pages(client, details(0, 10, 2)) == [[0, 1], [2, 3], [4, 5]]
    assert await pages(client, details(10, -1, 2)) == [[5, 4], [3, 2], [1, 0]]
    assert await pages(client, details(1, None, 2)) == [[1, 2]]
    assert await pages(client, details(None, 1, 3)) == [[3, 2, 1]]


async def test_the_clients_clauses_choose_events_and_fields(client):
    result = await read(client, details(0, 10, where=("Severity", ua.FilterOperator.GreaterThan, 400)))
    assert numbers(result) == [4, 5]
    fields = [field.Value for field in result.HistoryData.Events[0].EventFields]
    assert fields[1:3] == [500, "line.temp"]
    assert fields[3].timestamp() == NOON / 1e9 + 2


async def test_a_folder_tells_of_what_lies_below_it(client):
    assert numbers(await read(client, details(0, 10), ua.NodeId("line", 2))) == [0, 2, 4]
    assert numbers(await read(client, details(0, 10), ua.NodeId("/", 2))) == [0, 1, 2, 3, 4, 5]


async def test_what_cannot_be_asked_is_refused(client):
    codes = ua.StatusCodes
    assert (await read(client, details(0, 0))).StatusCode.value == codes.GoodNoData
    assert (await read(client, details(100, 200))).StatusCode.value == codes.GoodNoData
    assert (await read(client, details(None, None, 3))).StatusCode.value == codes.BadHistoryOperationInvalid
    assert (await read(client, details(0, 10), ua.NodeId("line.temp", 2))).StatusCode.value == codes.BadHistoryOperationUnsupported
    assert (await read(client, details(0, 10), ua.NodeId("nothing", 2))).StatusCode.value == codes.BadNodeIdUnknown
    assert (await read(client, details(0, 10, fields=()))).StatusCode.value == codes.BadEventFilterInvalid


async def test_asyncuas_own_client_reads_it(client):
    found = await client.nodes.server.read_event_history(at(0), at(10))
    assert [event.Message.Text for event in found] == [f"event {k}" for k in range(6)]


async def test_more_than_fits_one_answer_is_continued(kept, client):
    events = [told(k, NOON + (100 + k) * SECOND) for k in range(10, 2510)]
    await kept.store.commit(Commit([], events=events, snapshot=b"s"))
    found = await pages(client, details(100, 10_000))
    assert [len(page) for page in found] == [1000, 1000, 500]
    assert [number for page in found for number in page] == list(range(10, 2510))
