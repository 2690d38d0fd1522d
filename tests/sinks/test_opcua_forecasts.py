"""Forecasts as an asyncua client sees them: Variables apart from the measured tag, subscriptions, and history that runs ahead of now."""

import math
import time
from datetime import UTC, datetime

import pytest
from asyncua import Client, ua

from gateway.model.tag import Tag, TagType
from gateway.sinks.opcua.foreseen import Ahead, Foreseen
from support.forecasts import SECOND, Held, foretold, outlook, prediction
from support.opcua_face import opcua_face
from support.waiting import eventually

NS = 2
NAN = float("nan")
TAGS = [Tag(0, "line.temp", unit="Cel", eu_range=(0.0, 50.0)), Tag(1, "line.count", type=TagType.INT), Tag(2, "line.other")]
BAD_BOUND_NOT_FOUND = 0x80D7_0000
SIMULATED = 0x4209_0000
PARTS = {
    "P05",
    "P50",
    "P95",
    "Times",
    "Band",
    "TimeToLimit",
    "Probability",
    "Limit",
    "Skill",
    "Crps",
    "Mase",
    "Coverage",
    "Scored",
    "Model",
}
GOOD_NO_DATA = 0x00A5_0000
AVERAGE = 2342
NOW = 1_800_000_000 * SECOND


@pytest.fixture
def held():
    return Held([0, 1])


@pytest.fixture
async def face(held):
    async with opcua_face(TAGS, forecasts=held) as running:
        yield running


@pytest.fixture
async def client(face):
    async with Client(face.sink.url, timeout=10) as connected:
        yield connected


def node(client, part, tag="line.temp"):
    return client.get_node(ua.NodeId(f"{tag}/Forecast{'/' + part if part else ''}", NS))


def moment(unix_ns):
    return datetime.fromtimestamp(unix_ns / 1e9, UTC)


async def value(client, part, tag="line.temp"):
    return await node(client, part, tag).read_data_value(raise_on_bad_status=False)


async def test_before_the_first_outlook_everything_waits_for_initial_data(client):
    for part in ["", *PARTS]:
        found = await value(client, part)
        assert (found.Value.Value, found.StatusCode.name) == (None, "BadWaitingForInitialData")


async def test_the_scalars_are_of_the_lead_and_of_the_future(client, held):
    at_ns = time.time_ns() // SECOND * SECOND
    held.issue(outlook(at_ns, [[20, 21, 22, 23, 24], [1, 2, 3, 4, 5]], [0, 1]))
    for part, expected in (("", 22.0), ("P05", 21.0), ("P50", 22.0), ("P95", 23.0)):
        found = await value(client, part)
        assert (found.Value.Value, found.Value.VariantType) == (expected, ua.VariantType.Double)
        assert found.StatusCode.value == SIMULATED == ua.StatusCodes.UncertainSimulatedValue
        assert found.SourceTimestamp == moment(at_ns + 3 * SECOND) > datetime.now(UTC)
    assert (await value(client, "P50", "line.count")).Value.Value == 3.0


async def test_the_arrays_are_the_whole_trajectory(client, held):
    at_ns = time.time_ns() // SECOND * SECOND
    held.issue(outlook(at_ns, [[20, 21, 22], [1, 2, 3]], [0, 1]))
    assert await node(client, "Times").read_value() == [moment(at_ns + k * SECOND) for k in (1, 2, 3)]
    band = await value(client, "Band")
    assert band.Value.Value == [19, 20, 21, 20, 21, 22, 21, 22, 23]  # P05, then P50, then P95
    assert band.SourceTimestamp == moment(at_ns)
    assert await node(client, "Band").read_value_rank() == ua.ValueRank.OneDimension


async def test_what_is_said_of_limits_model_and_skill(client, held):
    told = [prediction("HI", 0.4, 90.0), prediction("HIHI", 0.4, 30.0), prediction("LO", 0.0, NAN)]
    held.issue(outlook(time.time_ns(), [[20.0] * 3, [1.0] * 3], [0, 1], predictions=[told, []]))
    found = {part: (await value(client, part)).Value.Value for part in ("Limit", "Probability", "TimeToLimit", "Skill", "Model")}
    assert found == {"Limit": "HIHI", "Probability": 0.4, "TimeToLimit": 30.0, "Skill": 0.25, "Model": "kalman"}
    assert (await value(client, "Limit", "line.count")).Value.Value == ""
    for part in ("TimeToLimit", "Probability"):
        none = await value(client, part, "line.count")
        assert math.isnan(none.Value.Value)
        assert none.StatusCode.value == SIMULATED


async def test_a_tag_without_a_good_sample_yet_has_no_forecast(client, held):
    held.issue(outlook(time.time_ns(), [[NAN] * 3, [1.0] * 3], [0, 1], skill=NAN))
    for part in ("P05", "P50", "P95", "Band", "Skill"):
        found = await value(client, part)
        assert (found.Value.Value, found.StatusCode.name) == (None, "BadWaitingForInitialData")


async def test_a_client_that_walks_down_finds_the_forecast_with_unit_range_and_history(client):
    tag = client.get_node(ua.NodeId("line.temp", NS))
    below = {(await child.read_browse_name()).Name for child in await tag.get_children(refs=ua.ObjectIds.HasComponent)}
    assert below == {"Forecast"}
    parts = {(await part.read_browse_name()).Name: part for part in await node(client, "").get_children()}
    assert set(parts) == PARTS
    assert (
        await (await tag.get_child(["2:Forecast", "2:P50"])).read_attribute(ua.AttributeIds.NodeClass)
    ).Value.Value == ua.NodeClass.Variable
    for part in ("P05", "P50", "P95"):
        one = parts[part]
        assert await one.get_access_level() == {ua.AccessLevel.CurrentRead, ua.AccessLevel.HistoryRead}
        assert await one.read_type_definition() == ua.NodeId(ua.ObjectIds.AnalogUnitRangeType)
        eu_range = await (await one.get_child("0:EURange")).read_value()
        assert (eu_range.Low, eu_range.High) == (0.0, 50.0)
        assert (await (await one.get_child("0:EngineeringUnits")).read_value()).DisplayName.Text == "°C"
        [configuration] = await one.get_referenced_nodes(ua.ObjectIds.HasHistoricalConfiguration)
        aggregates = await configuration.get_child(["0:AggregateConfiguration", "0:TreatUncertainAsBad"])
        assert await aggregates.read_value() is False
        assert [
            one.nodeid.Identifier
            for one in await configuration.get_referenced_nodes(
                ua.ObjectIds.HasHistoricalConfiguration, direction=ua.BrowseDirection.Inverse
            )
        ] == [f"line.temp/Forecast/{q}" for q in ("P05", "P50", "P95")]
    assert await parts["Band"].get_access_level() == {ua.AccessLevel.CurrentRead}


@pytest.mark.parametrize(
    "key",
    [
        "line.other/Forecast",
        "line.temp/Forecast/P51",
        "line.temp/Forecasts",
        "line.temp/Forecast/P50/No",
        "line.temp/Forecast/Band/EURange",
        "no/Forecast",
        "/Forecast",
        "line.temp/Forecast/",
    ],
)
async def test_there_is_nothing_else(client, key):
    found = await client.get_node(ua.NodeId(key, NS)).read_attributes([ua.AttributeIds.NodeClass])
    assert found[0].StatusCode.name == "BadNodeIdUnknown"


class Heard:
    def __init__(self):
        self.values = []

    def datachange_notification(self, _node, value, _data):
        self.values.append(value)


async def test_each_outlook_that_differs_is_a_data_change_of_scalars_and_arrays(client, held):
    heard, arrays = Heard(), Heard()
    scalars = await client.create_subscription(100, heard)
    await scalars.subscribe_data_change(node(client, "P50"))
    await (await client.create_subscription(100, arrays)).subscribe_data_change(node(client, "Band"))
    at_ns = time.time_ns()
    for k, middle in enumerate((20.0, 20.0, 25.0)):
        held.issue(outlook(at_ns + k * SECOND, [[middle] * 3, [NAN] * 3], [0, 1]))
        band = [middle - 1] * 3 + [middle] * 3 + [middle + 1] * 3
        await eventually(lambda last=(middle, band): (*heard.values[-1:], *arrays.values[-1:]) == last)
    assert [one for one in heard.values if one is not None] == [20.0, 25.0]  # the same value again is no change


async def test_a_deadband_holds_back_what_lies_within_it(client, held):
    """Absolute in the tag's unit, percent of the tag's range; of an array any element counts."""
    kinds = ((ua.DeadbandType.Absolute, 1.0), (ua.DeadbandType.Percent, 2.0))
    heard = [Heard() for _ in kinds]
    plain = Heard()
    await (await client.create_subscription(100, plain)).subscribe_data_change(node(client, "P50"))
    held.issue(outlook(time.time_ns(), [[20.0] * 3, [1.0] * 3], [0, 1]))
    for (kind, band), one in zip(kinds, heard, strict=True):
        await (await client.create_subscription(100, one)).deadband_monitor(node(client, "Band"), band, deadbandtype=kind)
    await eventually(lambda: all(one.values for one in heard))
    for middle in (20.9, 21.5):
        held.issue(outlook(time.time_ns(), [[20.0, 20.0, middle], [1.0] * 3], [0, 1]))
        await eventually(lambda middle=middle: plain.values[-1:] == [middle])
    await eventually(lambda: all(len(one.values) == 2 for one in heard))
    assert [one.values[-1][5] for one in heard] == [21.5, 21.5]


@pytest.mark.parametrize(
    ("part", "tag", "kind", "band", "why"),
    [
        ("Model", "line.temp", ua.DeadbandType.Absolute, 1.0, "BadFilterNotAllowed"),
        ("Times", "line.temp", ua.DeadbandType.Absolute, 1.0, "BadFilterNotAllowed"),
        ("P50", "line.count", ua.DeadbandType.Percent, 1.0, "BadDeadbandFilterInvalid"),
        ("Skill", "line.temp", ua.DeadbandType.Percent, 1.0, "BadDeadbandFilterInvalid"),
        ("P50", "line.temp", ua.DeadbandType.Percent, 101.0, "BadDeadbandFilterInvalid"),
        ("P50", "line.temp", ua.DeadbandType.Absolute, NAN, "BadDeadbandFilterInvalid"),
        ("P50", "line.temp", ua.DeadbandType.Absolute, -1.0, "BadDeadbandFilterInvalid"),
    ],
)
async def test_a_deadband_that_cannot_be_is_refused(client, part, tag, kind, band, why):
    subscription = await client.create_subscription(100, Heard())
    with pytest.raises(ua.UaStatusCodeError) as refused:
        await subscription.deadband_monitor(node(client, part, tag), band, deadbandtype=kind)
    assert ua.StatusCode(refused.value.code).name == why


# --- history ---------------------------------------------------------------------------------------------------------------------------


def raw(start_ns, end_ns, most=0, bounds=False):
    none = datetime(1601, 1, 1, tzinfo=UTC)
    start, end = (none if one is None else moment(one) for one in (start_ns, end_ns))
    return ua.ReadRawModifiedDetails(IsReadModified=False, StartTime=start, EndTime=end, NumValuesPerNode=most, ReturnBounds=bounds)


async def history(client, details, part="P50", tag="line.temp", point=None, stamps=ua.TimestampsToReturn.Source):
    params = ua.HistoryReadParameters(
        HistoryReadDetails=details,
        TimestampsToReturn=stamps,
        ReleaseContinuationPoints=False,
        NodesToRead=[ua.HistoryReadValueId(NodeId=ua.NodeId(f"{tag}/Forecast/{part}", NS), ContinuationPoint=point)],
    )
    [result] = await client.uaclient.history_read(params)
    return result


def told(result, at_ns):
    """(seconds from at_ns, value) of an answer; a bound that is not there has the value '?'."""
    return [
        (
            round((one.SourceTimestamp - moment(at_ns)).total_seconds(), 3),
            "?" if one.StatusCode.value == BAD_BOUND_NOT_FOUND else one.Value.Value,
        )
        for one in result.HistoryData.DataValues
    ]


@pytest.fixture
async def past(held):
    """A client of a server whose clock stands at NOW."""
    async with opcua_face(TAGS, forecasts=held, now_ns=lambda: NOW) as face, Client(face.sink.url, timeout=10) as connected:
        yield connected


@pytest.fixture
def issued(held):
    """An outlook of a second ago, of the seconds 0 to 4 from NOW, and what was forecast of the seconds -10 to 2; NOW."""
    held.issue(outlook(NOW - SECOND, [[20.0, 21.0, 22.0, 23.0, 24.0]]))
    held.foretold[0] = foretold([NOW + k * SECOND for k in range(-10, 3)], [float(k) for k in range(-10, 3)])
    return NOW


async def test_history_runs_on_into_the_future(past, issued):
    """Up to now what was forecast one lead earlier, ahead of it the newest trajectory: never both of the same instant."""
    found = await history(past, raw(issued - 3 * SECOND, issued + 60 * SECOND))
    assert [one.StatusCode.value for one in found.HistoryData.DataValues] == [SIMULATED] * 8
    assert told(found, issued) == [(-3, -3.0), (-2, -2.0), (-1, -1.0), (0, 0.0), (1, 21.0), (2, 22.0), (3, 23.0), (4, 24.0)]
    for part, expected in (("P05", 21.0), ("P95", 23.0)):
        assert told(await history(past, raw(issued + 2 * SECOND, issued + 3 * SECOND), part), issued) == [(2, expected)]


async def test_bounds_order_and_number_are_as_of_measured_history(past, issued):
    ahead = issued + SECOND + SECOND // 2
    assert told(await history(past, raw(ahead, ahead + 2 * SECOND, bounds=True)), issued) == [(1, 21.0), (2, 22.0), (3, 23.0), (4, 24.0)]
    assert told(await history(past, raw(ahead + 2 * SECOND, ahead)), issued) == [(3, 23.0), (2, 22.0)]
    assert told(await history(past, raw(None, issued + 3 * SECOND, most=2)), issued) == [(3, 23.0), (2, 22.0)]
    assert told(await history(past, raw(issued + 3 * SECOND, None, most=9, bounds=True)), issued) == [(3, 23.0), (4, 24.0), (5, "?")]
    assert told(await history(past, raw(None, issued + SECOND, most=3)), issued) == [(1, 21.0), (0, 0.0), (-1, -1.0)]
    first = await history(past, raw(issued - 60 * SECOND, issued - 9 * SECOND, bounds=True))
    assert told(first, issued) == [(-60, "?"), (-10, -10.0), (-9, -9.0)]


async def test_pages_of_one_read_are_of_one_trajectory(past, held, issued):
    details = raw(issued, issued + 60 * SECOND, most=2)
    first = await history(past, details)
    held.issue(outlook(issued, [[91.0] * 5]))
    second = await history(past, details, point=first.ContinuationPoint)
    third = await history(past, details, point=second.ContinuationPoint)
    assert [told(page, issued) for page in (first, second, third)] == [[(0, 0.0), (1, 21.0)], [(2, 22.0), (3, 23.0)], [(4, 24.0)]]
    assert third.ContinuationPoint is None
    assert {value for _, value in told(await history(past, raw(issued + SECOND, issued + 60 * SECOND)), issued)} == {91.0}


async def test_values_at_times_lie_between_their_neighbours(past, issued):
    times = [moment(issued + 2 * SECOND), moment(issued + 2 * SECOND + SECOND // 2), moment(issued + SECOND // 2)]
    found = await history(past, ua.ReadAtTimeDetails(ReqTimes=times, UseSimpleBounds=True))
    assert [one.Value.Value for one in found.HistoryData.DataValues] == [22.0, 22.5, 10.5]
    assert all(one.StatusCode.is_uncertain() for one in found.HistoryData.DataValues)


async def test_aggregates_of_what_is_ahead_count_uncertain_values(past, issued):
    details = ua.ReadProcessedDetails(
        StartTime=moment(issued + SECOND),
        EndTime=moment(issued + 5 * SECOND),
        ProcessingInterval=2000.0,
        AggregateType=[ua.NodeId(AVERAGE)],
        AggregateConfiguration=ua.AggregateConfiguration(UseServerCapabilitiesDefaults=True),
    )
    found = await history(past, details)
    assert [one.Value.Value for one in found.HistoryData.DataValues] == [21.5, 23.5]


async def test_without_an_outlook_there_is_only_what_was_forecast(past, held):
    assert (await history(past, raw(NOW, NOW + 90 * SECOND))).StatusCode.value == GOOD_NO_DATA
    held.foretold[0] = foretold([NOW], [7.0])
    assert told(await history(past, raw(NOW, NOW + 90 * SECOND)), NOW) == [(0, 7.0)]


@pytest.mark.parametrize(
    ("part", "why"), [("Band", "BadHistoryOperationUnsupported"), ("Model", "BadHistoryOperationUnsupported"), ("P51", "BadNodeIdUnknown")]
)
async def test_only_the_quantiles_have_history(client, part, why):
    found = await history(client, raw(time.time_ns(), None, most=3), part)
    assert found.StatusCode.name == why


# --- reload ------------------------------------------------------------------------------------------------------------------------------


async def test_forecasts_that_come_and_go_with_a_reload_are_told(client, face, held):
    changes = []

    class Told:
        def event_notification(self, event):
            changes.extend((one.Affected.Identifier, one.Verb) for one in event.Changes)

    subscription = await client.create_subscription(50, Told())
    await subscription.subscribe_events(evtypes=ua.ObjectIds.GeneralModelChangeEventType)
    held.tags = (0, 2)
    await face.step({"line.temp": 20.0})
    await eventually(lambda: changes == [("line.other/Forecast", 1), ("line.count/Forecast", 2)])
    gone = await client.get_node(ua.NodeId("line.count/Forecast/P50", NS)).read_data_value(raise_on_bad_status=False)
    assert gone.StatusCode.name == "BadNodeIdUnknown"
    assert (await value(client, "P50", "line.other")).StatusCode.name == "BadWaitingForInitialData"


async def test_a_forecasts_history_in_buckets(held, issued):
    """Eleven of what was forecast, four ahead: as any history is shown on a chart."""
    view = Foreseen(held, "p50", Ahead.of(held.newest(), 0, "p50", NOW))
    found = await view.downsample(0, NOW - 4 * SECOND, NOW + 9 * SECOND, 4 * SECOND)
    assert [(start - NOW) // SECOND for start in found.start_ns.tolist()] == [-4, 0, 4]
    assert (found.minimum.tolist(), found.maximum.tolist(), found.count.tolist()) == ([-4.0, 0.0, 24.0], [-1.0, 23.0, 24.0], [4, 4, 1])
    assert (await view.downsample(0, 0, 9, 4)).start_ns.size == 0
    assert (await view.read_at(0, NOW - SECOND // 2)).value.tolist() == [-1.0]
