"""HistoryRead of raw values to an asyncua client (Part 11, 4.6 and 6.5.3)."""

from datetime import UTC, datetime

import pytest
from asyncua import Client, ua

from gateway.model.tag import Tag, TagType
from support.past import NOON, SECOND, past

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
        found.append(f"{minute:g}?" if value.StatusCode_.value == BAD_BOUND_NOT_FOUND else round(minute, 6))
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
