"""PublishResponses become columns: golden bytes, and a round trip against asyncua's own encoder (Part 6, 5.2)."""

import math
import struct
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.wire.opcua.cursor import Malformed
from gateway.wire.opcua.decode import decode_publish, decode_republish
from gateway.wire.opcua.values import decode_read

Kind = ua.VariantType
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SCALARS = np.full(5000, -1, np.int32)

# A PublishResponse as the standard writes it, byte by byte: subscription 7, message 3, two Doubles with status and source time.
GOLDEN = bytes.fromhex(
    "01003d03"  # NodeId: PublishResponse_Encoding_DefaultBinary (i=829)
    "00c0a1f8ffb9da01"  # ResponseHeader: Timestamp
    "0100 0000 0000 0000 00 ffffffff 0000 00"  # RequestHandle, ServiceResult, diagnostics, StringTable, AdditionalHeader
    "0700 0000 0100 0000 0300 0000 00"  # SubscriptionId, AvailableSequenceNumbers [3], MoreNotifications
    "0300 0000 00c0a1f8ffb9da01 0100 0000"  # SequenceNumber, PublishTime, one notification
    "01002b03 01 3c000000"  # ExtensionObject: DataChangeNotification (i=811), 60 bytes
    "0200 0000"
    "0500 0000 07 0b 0000 0000 0000 f83f 0000 9440 00c0a1f8ffb9da01"  # handle 5: 1.5, UncertainEngineeringUnitsExceeded
    "0600 0000 07 0b 0000 0000 0000 00c0 0000 0000 00c0a1f8ffb9da01"  # handle 6: -2, Good
    "ffffffff"  # no diagnostics
    "ffffffff ffffffff".replace(" ", "")
)


def published(items, **more):
    response = ua.PublishResponse()
    response.Parameters.SubscriptionId = 7
    response.Parameters.AvailableSequenceNumbers = [2, 3]
    message = response.Parameters.NotificationMessage
    message.SequenceNumber = 3
    message.NotificationData = [ua.DataChangeNotification(MonitoredItems=items, **more)]
    return struct_to_binary(response)


def item(handle, value, kind, **more):
    return ua.MonitoredItemNotification(handle, ua.DataValue(ua.Variant(value, kind), **more))


def one(value, kind, element=-1, **more):
    """(value, status, source_ns, text) of a notification with this one value."""
    change = decode_publish(published([item(0, value, kind, **more)]), np.array([element], np.int32)).message.changes[0]
    return change.value[0], int(change.status[0]), int(change.source_ns[0]), change.text.get(0)


def test_golden_bytes():
    found = decode_publish(GOLDEN, SCALARS)
    change = found.message.changes[0]
    assert (found.result, found.subscription, found.available, found.more, found.message.sequence) == (0, 7, (3,), False, 3)
    assert change.handle.tolist() == [5, 6]
    assert change.value.tolist() == [1.5, -2.0]
    assert change.status.tolist() == [0x4094_0000, 0]
    assert change.source_ns.tolist() == [1717891200_000000000] * 2


numbers = st.one_of(
    st.tuples(st.just(Kind.Double), st.floats()),
    st.tuples(st.just(Kind.Float), st.floats(width=32)),
    st.tuples(st.just(Kind.Boolean), st.booleans()),
    *(
        st.tuples(st.just(kind), st.integers(low, high))
        for kind, low, high in (
            (Kind.SByte, -128, 127),
            (Kind.Byte, 0, 255),
            (Kind.Int16, -(2**15), 2**15 - 1),
            (Kind.UInt16, 0, 2**16 - 1),
            (Kind.Int32, -(2**31), 2**31 - 1),
            (Kind.UInt32, 0, 2**32 - 1),
            (Kind.Int64, -(2**63), 2**63 - 1),
            (Kind.UInt64, 0, 2**64 - 1),
        )
    ),
)
texts = st.tuples(st.just(Kind.String), st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
times = st.none() | st.datetimes(datetime(1980, 1, 1), datetime(2200, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001 - made aware here
statuses = st.sampled_from([None, 0, 0x4000_0000, 0x4094_0000, 0x8000_0000, 0x803B_0000])
pico = st.none() | st.integers(0, 9999)


@st.composite
def items(draw):
    kind, value = draw(st.one_of(numbers, texts))
    status = draw(statuses)
    data = ua.DataValue(
        ua.Variant(value, kind),
        None if status is None else ua.StatusCode(status),
        draw(times),
        draw(times),
        draw(pico),
        draw(pico),
    )
    return draw(st.integers(1, 12)), data  # so many in a row: runs and singles alike


def plainest(data):
    """(value, status, source_ns, text) of one DataValue, by the rules of decode.DataChange."""
    status = 0 if data.StatusCode is None else data.StatusCode.value
    value, text = data.Value.Value, None
    if isinstance(value, str):
        value, text = math.nan, value
    elif not isinstance(value, float) and abs(value) > 2**53:
        value, status = math.nan, status if status >= 0x8000_0000 else 0x803C_0000  # what the server calls Bad stays what it said
    if status >= 0x8000_0000:
        value, text = math.nan, None
    since = timedelta(0) if data.SourceTimestamp is None else data.SourceTimestamp - EPOCH
    return float(value), status, (since.days * 86400 + since.seconds) * 10**9 + since.microseconds * 1000, text


@settings(max_examples=150, deadline=None)
@given(st.lists(items(), max_size=30))
def test_the_columns_hold_what_was_encoded(chosen):
    wanted = [data for times_, data in chosen for _ in range(times_)]
    encoded = published([ua.MonitoredItemNotification(place, data) for place, data in enumerate(wanted)])
    _same(decode_publish(encoded, SCALARS).message.changes[0], wanted)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(items(), max_size=12), st.booleans(), st.lists(st.integers(0, 2**32 - 1), max_size=5), st.binary(max_size=8), st.floats(0, 1)
)
def test_the_usual_answer_and_one_with_more_in_its_header_say_the_same(chosen, more, available, noise, share):
    """Whole or damaged: what is read in three steps, and what is read field by field because its header holds a string."""
    response = ua.PublishResponse()
    response.Parameters.SubscriptionId = 7
    response.Parameters.AvailableSequenceNumbers, response.Parameters.MoreNotifications = available, more
    notified = [ua.MonitoredItemNotification(place, data) for place, (_, data) in enumerate(chosen)]
    response.Parameters.NotificationMessage.NotificationData = [ua.DataChangeNotification(MonitoredItems=notified)]
    usual = struct_to_binary(response)
    response.ResponseHeader.StringTable = ["unusual"]
    unusual = struct_to_binary(response)
    behind = len(usual) - 1 - int(share * (len(usual) - 30))
    damaged = usual[:behind] + noise + usual[behind + len(noise) :]
    longer = unusual[: behind + len(unusual) - len(usual)] + damaged[behind:]
    assert _told(usual) == _told(unusual)
    assert _told(damaged) == _told(longer)


def _told(data):
    """All that an answer says, comparable."""
    try:
        found = decode_publish(data, SCALARS)
    except Malformed:
        return None
    message = found.message
    changes = [(c.handle.tolist(), c.value.tobytes(), c.status.tolist(), c.source_ns.tolist(), c.text, c.overflow) for c in message.changes]
    unread = message.malformed.partition(" at ")[0]  # the place differs
    return found[:4], message.sequence, changes, message.status_change, message.empty, bool(unread)


def _same(change, wanted):
    expected = [plainest(data) for data in wanted]
    assert change.handle.tolist() == list(range(len(wanted)))
    np.testing.assert_array_equal(change.value, [row[0] for row in expected])
    assert change.status.tolist() == [row[1] for row in expected]
    assert change.source_ns.tolist() == [row[2] for row in expected]
    assert change.text == {place: row[3] for place, row in enumerate(expected) if row[3] is not None}


@settings(max_examples=100, deadline=None)
@given(st.lists(items(), min_size=10, max_size=30), st.binary(min_size=1, max_size=12), st.floats(0, 1))
def test_a_damaged_mixture_is_malformed_or_columns_of_its_size(chosen, noise, share):
    """Layouts found where none are, sizes that run beyond the end: nothing but Malformed, told in the message or raised."""
    encoded = published([ua.MonitoredItemNotification(0, data) for times_, data in chosen for _ in range(times_ * 4)])
    place = int(share * len(encoded))
    for damaged in (encoded[:place] + noise + encoded[place + len(noise) :], encoded[:place]):
        try:
            found = decode_publish(damaged, SCALARS)
        except Malformed:
            continue
        assert all(change.handle.size == change.value.size == change.status.size for change in found.message.changes)


def test_a_text_among_thousands_of_numbers():
    """The chain of fixed sizes breaks at each text and is taken up behind it."""
    kinds = [Kind.String if k % 97 == 0 else (Kind.Double, Kind.Int32, Kind.Boolean, Kind.UInt64)[k * k % 4] for k in range(3000)]
    wanted = [
        ua.DataValue(ua.Variant("t" * (k % 5) if kind is Kind.String else k % 2 == 1 if kind is Kind.Boolean else k, kind))
        for k, kind in enumerate(kinds)
    ]
    for data in wanted:
        if data.Value.VariantType is Kind.Double:
            data.Value.Value = float(data.Value.Value)
    encoded = published([ua.MonitoredItemNotification(place, data) for place, data in enumerate(wanted)])
    _same(decode_publish(encoded, SCALARS).message.changes[0], wanted)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80), st.integers(0, len(GOLDEN)))
def test_damaged_bytes_are_malformed_and_nothing_else(noise, place):
    """A hostile length or type raises Malformed (or names it in the message): no other error, and nothing large is allocated."""
    for data in (GOLDEN[:place] + noise + GOLDEN[place + len(noise) :], GOLDEN[:place], noise):
        try:
            decode_publish(data, SCALARS)
        except Malformed:
            continue


@pytest.mark.parametrize(
    "body",
    [struct.pack("<iIBBi", 1, 0, 1, 0x80, 2**31 - 1), struct.pack("<i", 2**31 - 1), struct.pack("<iIBBi", 1, 0, 1, 12 | 0x80, 2**30)],
)
def test_a_length_beyond_the_message_costs_nothing(body):
    """An array of Null, two thousand million items, an array of so many strings: refused by the bytes that are there."""
    start = GOLDEN.index(bytes.fromhex("01002b0301"))
    data = GOLDEN[:start] + bytes.fromhex("01002b0301") + struct.pack("<i", len(body)) + body
    assert decode_publish(data, SCALARS).message.malformed


def test_a_service_fault_is_its_status():
    fault = ua.ServiceFault()
    fault.ResponseHeader.ServiceResult = ua.StatusCode(ua.StatusCodes.BadTooManyPublishRequests)
    assert decode_publish(struct_to_binary(fault), SCALARS).result == ua.StatusCodes.BadTooManyPublishRequests
    assert decode_republish(struct_to_binary(fault), SCALARS) == (ua.StatusCodes.BadTooManyPublishRequests, None)


def test_a_keep_alive_is_empty_and_a_status_change_is_told():
    response = ua.PublishResponse()
    response.Parameters.NotificationMessage.SequenceNumber = 9
    assert decode_publish(struct_to_binary(response), SCALARS).message.empty
    response.Parameters.NotificationMessage.NotificationData = [
        ua.StatusChangeNotification(Status=ua.StatusCode(ua.StatusCodes.BadTimeout))
    ]
    message = decode_publish(struct_to_binary(response), SCALARS).message
    assert (message.status_change, message.empty, message.sequence) == (ua.StatusCodes.BadTimeout, False, 9)


def test_one_element_of_an_array():
    """The whole array, only the element (IndexRange kept), no array, and an array that is too short."""
    assert one([1.0, 2.0, 3.0], Kind.Double, element=2)[0] == 3.0
    assert one([7.5], Kind.Double, element=2)[0] == 7.5
    assert one(["a", "b"], Kind.String, element=1)[3] == "b"
    assert one([1.0, 2.0], Kind.Double, element=5)[1] == ua.StatusCodes.BadIndexRangeNoData
    assert one([1.0, 2.0], Kind.Double)[1] == ua.StatusCodes.BadTypeMismatch


def test_what_is_no_number_and_no_text():
    assert one(None, Kind.Null)[1] == ua.StatusCodes.BadNoData
    assert one(ua.Argument(), Kind.ExtensionObject)[1] == ua.StatusCodes.BadTypeMismatch
    assert one(ua.NodeId(1, 2), Kind.NodeId)[1] == ua.StatusCodes.BadTypeMismatch
    assert one(ua.LocalizedText("warm", "en"), Kind.LocalizedText)[3] == "warm"
    assert one(datetime(2020, 1, 1, tzinfo=UTC), Kind.DateTime)[0] == 1577836800.0


def test_text_that_is_no_utf8_or_too_long():
    """A lone surrogate and 16 MB become a StatusCode; no such text goes on."""
    data = published([item(0, "AAA", Kind.String)])
    surrogate = data.replace(b"AAA", b"\xed\xa0\x80")
    change = decode_publish(surrogate, SCALARS).message.changes[0]
    assert (int(change.status[0]), change.text) == (ua.StatusCodes.BadDecodingError, {})
    assert one("x" * 16_000_000, Kind.String)[1] == ua.StatusCodes.BadEncodingLimitsExceeded


def test_overflow_bits_are_counted_and_taken_off():
    data = published(
        [item(0, 1.0, Kind.Double, StatusCode=ua.StatusCode(0x0480)), item(1, 1.0, Kind.Double, StatusCode=ua.StatusCode(0x4094_0480))]
    )
    change = decode_publish(data, SCALARS).message.changes[0]
    assert change.overflow == 2
    assert change.status.tolist() == [0, 0x4094_0000]


def test_a_bad_value_without_a_value():
    """Status alone, as servers send it for a broken sensor; the neighbours stay in place."""
    bare = ua.MonitoredItemNotification(1, ua.DataValue(None, ua.StatusCode(ua.StatusCodes.BadSensorFailure)))
    bare.Value.Value = None
    change = decode_publish(published([item(0, 1.0, Kind.Double), bare, item(2, 3, Kind.Int32)]), SCALARS).message.changes[0]
    assert change.status.tolist() == [0, ua.StatusCodes.BadSensorFailure, 0]
    np.testing.assert_array_equal(change.value, [1.0, math.nan, 3.0])


def test_read_responses_become_columns():
    response = ua.ReadResponse()
    response.Results = [ua.DataValue(ua.Variant(2.5, Kind.Double)), ua.DataValue(ua.Variant("on", Kind.String))]
    result, change = decode_read(struct_to_binary(response), np.array([4, 9], np.uint32), SCALARS)
    assert result == 0
    assert change.handle.tolist() == [4, 9]
    assert change.value[0] == 2.5
    assert change.text == {1: "on"}
