"""HistoryRead on the wire: requests decoded with every time to the tick, answers that the library reads as we packed them."""

import struct

import numpy as np
import pytest
from asyncua import ua
from asyncua.common.utils import Buffer, ServiceError
from asyncua.ua.ua_binary import extensionobject_from_binary, struct_from_binary, struct_to_binary
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.wire.opcua import limits, ticks
from gateway.wire.opcua.face import Builtin
from gateway.wire.opcua.guards import MALFORMED, guard_codec
from gateway.wire.opcua.historian import HistoryPoints, Point
from gateway.wire.opcua.past import AggregateConfiguration, HistoryRefused, ProcessedQuery, RawQuery, Rest, Samples, TimesQuery
from gateway.wire.opcua.past_encode import history_data, refused, result
from gateway.wire.opcua.past_requests import EventDetails, Modified, history_request
from gateway.wire.opcua.terms import node_id

guard_codec()
NS = 1_790_000_000_123_456_700  # to the tick
NODE = node_id("line.temp", 2)


def params(details, nodes=1):
    asked = ua.HistoryReadParameters(
        HistoryReadDetails=details,
        TimestampsToReturn=ua.TimestampsToReturn.Source,
        ReleaseContinuationPoints=False,
        NodesToRead=[ua.HistoryReadValueId(NodeId=NODE, IndexRange="1:2", ContinuationPoint=b"abc")] * nodes,
    )
    return struct_to_binary(asked)


def test_times_are_read_to_the_tick():
    """A sample's own time asked for again finds it: microseconds would not do."""
    raw = struct.pack("<?qqI?", False, NS // 100 + ticks.EPOCH_1970, 0, 7, True)
    found = history_request(Buffer(struct.pack("<BBHBi", 1, 0, 649, 1, len(raw)) + raw + tail()))
    assert found.details == [RawQuery(NS, None, 7, bounds=True)]
    assert (found.stamps, found.release, found.nodes[0].point) == (2, False, b"abc")
    times = struct.pack("<iqqB", 2, NS // 100 + ticks.EPOCH_1970, ticks.LAST, 1)
    found = history_request(Buffer(struct.pack("<BBHBi", 1, 0, 655, 1, len(times)) + times + tail()))
    assert found.details[0].times_ns[0] == NS
    assert found.details[0].times_ns[1] < 2**63


def tail(nodes=1):
    one = struct_to_binary(ua.HistoryReadValueId(NodeId=NODE, IndexRange="1:2", ContinuationPoint=b"abc"))
    return struct.pack("<i?i", 2, False, nodes) + one * nodes


def test_each_kind_of_details_is_what_the_library_writes():
    now = ua.ReadRawModifiedDetails()
    (raw,) = history_request(Buffer(params(ua.ReadRawModifiedDetails(IsReadModified=False, NumValuesPerNode=3)))).details
    assert isinstance(raw, RawQuery)
    assert abs(raw.start_ns - now.StartTime.timestamp() * 1e9) < 1e9
    assert history_request(Buffer(params(ua.ReadRawModifiedDetails(IsReadModified=True)))).details == [Modified()]
    (times,) = history_request(Buffer(params(ua.ReadAtTimeDetails(ReqTimes=[now.StartTime], UseSimpleBounds=True)))).details
    assert isinstance(times, TimesQuery)
    assert times.simple_bounds
    configuration = ua.AggregateConfiguration(
        UseServerCapabilitiesDefaults=False, TreatUncertainAsBad=False, PercentDataBad=10, PercentDataGood=90, UseSlopedExtrapolation=True
    )
    asked = ua.ReadProcessedDetails(
        ProcessingInterval=1.5, AggregateType=[ua.NodeId(2342), ua.NodeId("own", 3)], AggregateConfiguration=configuration
    )
    first, second = history_request(Buffer(params(asked, 2))).details
    assert isinstance(first, ProcessedQuery)
    assert (first.interval_ns, first.aggregate, second.aggregate) == (1_500_000, 2342, 0)
    assert first.configuration == AggregateConfiguration(False, 10, 90, True)
    (events,) = history_request(Buffer(params(ua.ReadEventDetails(NumValuesPerNode=9)))).details
    assert isinstance(events, EventDetails)
    assert events.query.most == 9


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (params(ua.ReadRawModifiedDetails(), 0), ua.StatusCodes.BadNothingToDo),
        (params(ua.ReadRawModifiedDetails(), 101), ua.StatusCodes.BadTooManyOperations),
        (params(ua.ReadEventDetails(), 11), ua.StatusCodes.BadTooManyOperations),
        (params(ua.ReadProcessedDetails(AggregateType=[ua.NodeId(2342)]), 2), ua.StatusCodes.BadAggregateListMismatch),
        (b"\x00\x00\x00" + tail(), ua.StatusCodes.BadHistoryOperationInvalid),
        (struct.pack("<BBHBi", 1, 0, 9999, 1, 0) + tail(), ua.StatusCodes.BadHistoryOperationInvalid),
        (struct.pack("<BBHBii", 1, 0, 655, 1, 4, limits.HISTORY_TIMES + 1) + tail(), ua.StatusCodes.BadTooManyOperations),
    ],
    ids=["nothing", "too many nodes", "too many nodes for events", "a list too short", "no details", "unknown details", "too many times"],
)
def test_a_request_that_cannot_be_is_refused_as_a_whole(body, code):
    with pytest.raises(ServiceError) as fault:
        history_request(Buffer(body))
    assert fault.value.code == code


@settings(max_examples=300, deadline=None)
@given(
    details=st.sampled_from(
        [ua.ReadRawModifiedDetails(), ua.ReadAtTimeDetails(ReqTimes=[]), ua.ReadProcessedDetails(), ua.ReadEventDetails()]
    ),
    changes=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 400),
)
def test_hostile_bytes_end_in_a_refusal(details, changes, cut):
    """Whatever is in the bytes, the decoder answers or refuses; nothing else gets out."""
    body = bytearray(params(details))
    for place, byte in changes:
        body[place % len(body)] = byte
    try:
        history_request(Buffer(bytes(body[: cut or None])))
    except (ServiceError, *MALFORMED):
        pass


# --- answers ---


NUMBERS = {Builtin.DOUBLE: float, Builtin.INT64: int, Builtin.BOOLEAN: bool, Builtin.UINT32: int, Builtin.INT32: int}


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(sorted(NUMBERS)),
    rows=st.lists(
        st.tuples(st.integers(0, 2**31 - 1), st.booleans(), st.sampled_from([0, 0, 0x8031_0000, 0x402]), st.integers(-(2**40), 2**40)),
        max_size=20,
    ),
)
def test_the_library_reads_numbers_as_they_were_packed(kind, rows):
    value = [np.nan if null else (number % 2 if kind is Builtin.BOOLEAN else number) for number, null, _, _ in rows]
    stamps = np.array([NS + 100 * step for _, _, _, step in rows], np.int64)
    samples = Samples(kind, stamps, np.array(value, np.float64), np.array([status for _, _, status, _ in rows], np.uint32), {})
    found = decoded(samples)
    assert len(found) == len(rows)
    for row, one in enumerate(found):
        assert one.StatusCode.value == rows[row][2]
        assert abs(one.SourceTimestamp.timestamp() * 1e9 - int(stamps[row])) < 2000
        if rows[row][1]:
            assert one.Value is None or one.Value.Value is None
        else:
            assert one.Value.Value == NUMBERS[kind](value[row])
            assert one.Value.VariantType == ua.VariantType(int(kind))


@given(rows=st.lists(st.tuples(st.none() | st.text(max_size=9), st.sampled_from([0, 0x4000_0000])), max_size=9))
def test_the_library_reads_texts_as_they_were_packed(rows):
    text = {row: word for row, (word, _) in enumerate(rows) if word is not None}
    nothing = np.full(len(rows), np.nan)
    statuses = np.array([status for _, status in rows], np.uint32)
    found = decoded(Samples(Builtin.STRING, np.full(len(rows), NS), nothing, statuses, text))
    said = [None if one.Value is None else one.Value.Value for one in found]
    assert said == [None if word is None else word.encode("utf-8", "replace").decode() for word, _ in rows]


def decoded(samples):
    answer = struct_from_binary(ua.HistoryReadResult, Buffer(result(0, b"point", history_data(samples))))
    assert answer.ContinuationPoint == b"point"
    body = answer.HistoryData
    if isinstance(body, ua.ExtensionObject):
        body = extensionobject_from_binary(Buffer(history_data(samples)))
    return body.DataValues or []


def test_a_refusal_has_no_history():
    answer = struct_from_binary(ua.HistoryReadResult, Buffer(refused(ua.StatusCodes.BadNodeIdUnknown)))
    assert (answer.StatusCode.value, answer.ContinuationPoint) == (ua.StatusCodes.BadNodeIdUnknown, None)


# --- continuation points ---


def point(held=0):
    return Point(NODE, RawQuery(0, 1, 0, bounds=False), Rest("here", held))


def test_points_are_bounded_in_number_and_bytes():
    """The oldest gives way; one that is too large by itself is refused, and what was held stays."""
    points = HistoryPoints()
    names = [points.keep(point()) for _ in range(limits.HISTORY_POINTS_PER_SESSION + 1)]
    assert points.take(names[0]) is None
    assert points.take(names[1]).rest.place == "here"
    with pytest.raises(HistoryRefused) as fault:
        points.keep(point(limits.HISTORY_POINTS_BYTES))
    assert fault.value.status == ua.StatusCodes.BadNoContinuationPoints
    assert len(points) == limits.HISTORY_POINTS_PER_SESSION - 1
    large = points.keep(point(limits.HISTORY_POINTS_BYTES - 600))
    assert len(points) == 1
    assert points.take(large) is not None
    assert len(points) == 0
