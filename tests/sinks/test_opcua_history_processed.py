"""Aggregates and values at given times over the wire, out of a real history (Part 11, 6.5.4 and 6.5.5)."""

from datetime import UTC, datetime

import numpy as np
import pytest
from asyncua import Client, ua

from gateway.model.tag import Tag, TagType
from gateway.sinks.opcua import processed
from gateway.sinks.opcua.aggregates import AGGREGATES
from support.past import NOON, SECOND, past

NS = 2
TAGS = [
    Tag(0, "line.temp"),
    Tag(1, "line.count", type=TagType.INT),
    Tag(2, "line.recipe", type=TagType.TEXT),
    Tag(3, "line.on", type=TagType.BOOL),
]
NUMBER = {one.name: number for number, one in AGGREGATES.items()}
INTERPOLATED, SUB = 0x402, 0x40A4_0000
CODES = ua.StatusCodes


@pytest.fixture
async def kept(tmp_path):
    """A value every ten seconds for 100 s, one of them Bad; half of it packed in blocks."""
    async with past(TAGS, tmp_path) as kept:
        times = [NOON + 10 * k * SECOND for k in range(11)]
        await kept.keep(0, times[:5], [10.0 * k for k in range(5)], [0, 0, 0, 0, 0x8031_0000])
        await kept.keep(1, times[:5], list(range(5)))
        await kept.cut()
        await kept.keep(0, times[5:], [10.0 * k for k in range(5, 11)])
        await kept.keep(1, times[5:], list(range(5, 11)))
        await kept.keep(2, times[:2], float("nan"), 0, {0: "bread", 1: "cake"})
        await kept.keep(3, times[:2], [0, 1])
        yield kept


@pytest.fixture
async def client(kept):
    async with Client(kept.face.sink.url, timeout=10) as connected:
        yield connected


def at(second):
    return datetime.fromtimestamp(NOON / 1e9 + second, UTC)


async def read(client, details, names=("line.temp",), point=None):
    params = ua.HistoryReadParameters(
        HistoryReadDetails=details,
        TimestampsToReturn=ua.TimestampsToReturn.Source,
        ReleaseContinuationPoints=False,
        NodesToRead=[ua.HistoryReadValueId(NodeId=ua.NodeId(name, NS), ContinuationPoint=point) for name in names],
    )
    return await client.uaclient.history_read(params)


def rows(result):
    found = []
    for value in result.HistoryData.DataValues:
        content = value.Value.Value if value.Value is not None else None
        found.append((round(value.SourceTimestamp.timestamp() - NOON / 1e9, 6), content, value.StatusCode.value))
    return found


def aggregate(names, start, end, interval_s, configuration=None):
    return ua.ReadProcessedDetails(
        StartTime=at(start),
        EndTime=at(end),
        ProcessingInterval=interval_s * 1000,
        AggregateType=[ua.NodeId(NUMBER.get(name, 2364)) for name in names],
        AggregateConfiguration=configuration or ua.AggregateConfiguration(),
    )


# --- processed ---


async def test_an_average_for_each_interval_with_its_bits(client):
    (result,) = await read(client, aggregate(["Average"], 0, 100, 40))
    assert rows(result) == [(0, 15.0, 0x401), (40, 60.0, SUB | 0x401), (80, 85.0, 0x401)]  # 40 s holds a Bad one


async def test_time_flows_backwards_where_the_end_is_earlier(client):
    """Part 13, Table 12: intervals begin at the start and hold it; each is named by its later end."""
    (result,) = await read(client, aggregate(["Maximum"], 100, 5, 30))
    assert rows(result) == [(100, 100.0, 0), (70, 70.0, 0), (40, 30.0, SUB | 0x401), (10, 10.0, 0x404)]
    (result,) = await read(client, aggregate(["Interpolative"], 25, 5, 10))
    assert rows(result) == [(25, 25.0, INTERPOLATED), (15, 15.0, INTERPOLATED), *rows(result)[2:]]


async def test_no_interval_means_one(client):
    for interval in (0, 1000):
        (result,) = await read(client, aggregate(["Count"], 0, 100, interval))
        assert [(row[0], row[1]) for row in rows(result)] == [(0, 9)]
        assert result.HistoryData.DataValues[0].Value.VariantType == ua.VariantType.Int32


async def test_an_aggregate_for_each_node_and_types_of_the_source(client):
    results = await read(client, aggregate(["Maximum", "TimeAverage", "PercentGood"], 0, 50, 50), ("line.count", "line.count", "line.temp"))
    first, second, third = (result.HistoryData.DataValues[0].Value for result in results)
    assert (first.Value, first.VariantType) == (4, ua.VariantType.Int64)
    assert (second.Value, second.VariantType) == (2.0, ua.VariantType.Double)  # stepped: 0 1 2 3 4, ten seconds each
    assert third.Value == 80.0


async def test_what_cannot_be_computed_is_refused_in_the_standards_words(client):
    async def status(details, names=("line.temp",)):
        return [result.StatusCode.value for result in await read(client, details, names)]

    assert await status(aggregate(["WorstQuality"], 0, 50, 10)) == [CODES.BadAggregateNotSupported]
    assert await status(aggregate(["Average", "Count"], 0, 50, 10), ("line.recipe",) * 2) == [CODES.BadAggregateNotSupported, 0]
    assert await status(aggregate(["Delta"], 0, 50, 10), ("line.on",)) == [CODES.BadAggregateNotSupported]
    assert await status(aggregate(["Average"], 5, 5, 10)) == [CODES.BadInvalidArgument]
    assert await status(aggregate(["Average"], 0, 50, -1)) == [CODES.BadInvalidArgument]
    assert await status(aggregate(["Average"], 0, 50, float("nan"))) == [CODES.BadInvalidArgument]
    own = ua.AggregateConfiguration(UseServerCapabilitiesDefaults=False, PercentDataBad=20, PercentDataGood=10)
    assert await status(aggregate(["Average"], 0, 50, 10, own)) == [CODES.BadAggregateConfigurationRejected]
    with pytest.raises(ua.uaerrors.UaStatusCodeError) as fault:
        await read(client, aggregate(["Average"], 0, 50, 10), ("line.temp", "line.count"))
    assert fault.value.code == CODES.BadAggregateListMismatch


async def test_a_configuration_of_the_clients_own_holds(client):
    own = ua.AggregateConfiguration(
        UseServerCapabilitiesDefaults=False, TreatUncertainAsBad=True, PercentDataBad=50, PercentDataGood=50, UseSlopedExtrapolation=True
    )
    (result,) = await read(client, aggregate(["TimeAverage2"], 0, 60, 60, own))
    assert rows(result)[0][2] == 0x401  # Good, although ten of sixty seconds are Bad
    (result,) = await read(client, aggregate(["Interpolative"], 110, 130, 10, own))
    assert [row[1] for row in rows(result)] == [110.0, 120.0]


async def test_pages_of_intervals_are_the_same_as_all_at_once(kept, client, monkeypatch):
    """However much is read at once, and with continuation points."""
    rng = np.random.default_rng(3)
    times = NOON + 1000 * SECOND + np.cumsum(rng.integers(1, 900, 3000)) * 1_000_000
    await kept.keep(0, times, rng.normal(size=3000), rng.choice([0, 0, 0, 0x8000_0000, 0x4000_0000], 3000))
    history = kept.store.history
    for name in sorted(NUMBER):
        for start, end in ((1000, 2000), (2000, 1000)):
            query = processed.ProcessedQuery(NOON + start * SECOND, NOON + end * SECOND, 7 * SECOND, NUMBER[name], None)
            whole, rest = await processed.read_processed(history, 0, TagType.FLOAT, query, None, 10_000)
            assert rest is None
            assert whole.source_ns.size == 143
            with monkeypatch.context() as few:
                few.setattr(processed, "SAMPLES", 100)
                few.setattr(processed, "SAMPLES_PER_PAGE", 250)
                few.setattr(processed, "AROUND", 400)
                parts, rest = [], None
                while not parts or rest is not None:
                    part, rest = await processed.read_processed(history, 0, TagType.FLOAT, query, rest, 20)
                    parts.append(part)
            assert len(parts) > 8
            for column in ("source_ns", "status"):
                assert np.array_equal(np.concatenate([getattr(part, column) for part in parts]), getattr(whole, column)), name
            assert np.allclose(np.concatenate([part.value for part in parts]), whole.value, equal_nan=True, atol=1e-12), name


async def test_more_intervals_than_fit_one_answer_are_continued(client):
    details = aggregate(["Count"], 0, 150, 0.001)
    point, found = None, []
    while True:
        (result,) = await read(client, details, point=point)
        found.append(len(result.HistoryData.DataValues))
        point = result.ContinuationPoint
        if point is None:
            break
    assert sum(found) == 150_000
    assert len(found) == 2


async def test_an_interval_of_too_many_samples_is_refused(kept, monkeypatch):
    monkeypatch.setattr(processed, "SAMPLES", 2)
    monkeypatch.setattr(processed, "SAMPLES_PER_INTERVAL", 3)
    query = processed.ProcessedQuery(NOON, NOON + 100 * SECOND, 0, NUMBER["Average"], None)
    with pytest.raises(processed.HistoryRefused) as refused:
        await processed.read_processed(kept.store.history, 0, TagType.FLOAT, query, None, 10)
    assert refused.value.status == CODES.BadQueryTooComplex


# --- at given times ---


def at_times(*seconds, simple=False):
    return ua.ReadAtTimeDetails(ReqTimes=[at(second) for second in seconds], UseSimpleBounds=simple)


@pytest.mark.parametrize("apart", [False, True], ids=["together", "apart"])
async def test_values_at_times_in_the_order_asked_for(client, monkeypatch, apart):
    """Part 11, 6.5.5.2: the sample itself, or what lies between; with and without the Bad one in between."""
    if apart:
        monkeypatch.setattr(processed, "SAMPLES", 2)
    (result,) = await read(client, at_times(35, 10, -5, 5, 40, 110))
    assert rows(result) == [
        (35, 35.0, SUB | INTERPOLATED),
        (10, 10.0, 0),
        (-5, None, CODES.BadNoData),
        (5, 5.0, INTERPOLATED),
        (40, 40.0, SUB | INTERPOLATED),
        (110, 100.0, SUB | INTERPOLATED),
    ]
    (result,) = await read(client, at_times(35, 40, 45, simple=True))
    assert rows(result) == [(35, 30.0, SUB | INTERPOLATED), (40, None, 0x8031_0000), (45, None, CODES.BadNoData)]


async def test_whole_numbers_states_and_texts_hold_until_the_next(client):
    numbers, words, states = await read(client, at_times(19, 5), ("line.count", "line.recipe", "line.on"))
    assert [row[1] for row in rows(numbers)] == [1, 0]
    assert [row[1:] for row in rows(words)] == [("cake", SUB | INTERPOLATED), ("bread", INTERPOLATED)]
    assert [row[1] for row in rows(states)] == [True, False]


async def test_no_times_are_nothing_to_answer(client):
    (result,) = await read(client, at_times())
    assert result.StatusCode.value == CODES.BadInvalidArgument


@pytest.mark.parametrize("order", ["forwards", "backwards", "shuffled"])
async def test_times_over_more_than_is_read_at_once_have_the_same_values(kept, monkeypatch, order):
    """However they lie, and with continuation points: as if all had been read in one piece."""
    rng = np.random.default_rng(5)
    times = NOON + 1000 * SECOND + np.cumsum(rng.integers(1, 900, 2000)) * 1_000_000
    await kept.keep(0, times, rng.normal(size=2000), rng.choice([0, 0, 0, 0x8000_0000, 0x4000_0000], 2000))
    wanted = NOON + np.sort(rng.integers(990, 1910, 60)) * SECOND
    wanted = {"forwards": wanted, "backwards": wanted[::-1], "shuffled": rng.permutation(wanted)}[order]
    for simple in (False, True):
        query = processed.TimesQuery(tuple(wanted.tolist()), simple)
        whole, rest = await processed.read_at_times(kept.store.history, 0, TagType.FLOAT, query, None, 1000)
        assert rest is None
        with monkeypatch.context() as few:
            few.setattr(processed, "SAMPLES", 150)
            few.setattr(processed, "SAMPLES_PER_PAGE", 600)
            parts, rest = [], None
            while not parts or rest is not None:
                part, rest = await processed.read_at_times(kept.store.history, 0, TagType.FLOAT, query, rest, 25)
                parts.append(part)
        assert len(parts) > 2
        for column in ("source_ns", "status"):
            assert np.array_equal(np.concatenate([getattr(part, column) for part in parts]), getattr(whole, column))
        assert np.allclose(np.concatenate([part.value for part in parts]), whole.value, equal_nan=True)
