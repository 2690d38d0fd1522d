"""Requests whose content is none, too deep, too large or poison (Part 6, 5; Part 4, 7.38.2), before a session and in one."""

import asyncio
import math
import struct
import time

import pytest
from asyncua import ua

from support.opcua_raw import Ended, Raw, Refused, text
from support.waiting import eventually

CODES = ua.StatusCodes
MANY = 2**31 - 1
LEVEL = ua.NodeId("line.level", 2)


def extension(number: int, body: bytes) -> bytes:
    return b"\x01\x00" + struct.pack("<HB", number, 1) + text(body)


def literal(variant: bytes) -> bytes:
    """A LiteralOperand (Part 4, 7.4.4.3) around a Variant."""
    return extension(ua.ObjectIds.LiteralOperand_Encoding_DefaultBinary, variant)


def nested_variants(depth: int) -> bytes:
    """Arrays of one Variant each."""
    return (b"\x98" + struct.pack("<i", 1)) * depth + b"\x01\x01"


def nested_extensions(depth: int) -> bytes:
    made = b"\x01\x01"
    for _ in range(depth):
        made = b"\x16" + literal(made)
    return made


def nested_diagnostics(depth: int) -> bytes:
    return b"\x19" + b"\x40" * depth + b"\x00"


VARIANTS = {
    "array of nulls": b"\x80" + struct.pack("<i", MANY),
    "array of strings": b"\x8c" + struct.pack("<i", MANY),
    "strings of negative length": b"\x8c" + struct.pack("<i", 300_000) + struct.pack("<i", -4),
    "array of negative length": b"\x8c" + struct.pack("<i", -2),
    "string of negative length": b"\x0c" + struct.pack("<i", -7),
    "bytestring of 2 GB": b"\x0f" + struct.pack("<i", MANY),
    "dimensions beyond the elements": b"\xc6" + struct.pack("<ii", 1, 1) + struct.pack("<iii", 2, 65_536, 65_536),
    "dimensions that are negative": b"\xc6" + struct.pack("<ii", 1, 1) + struct.pack("<iii", 2, -1, -1),
    "dimensions without end": b"\xc6" + struct.pack("<ii", 1, 1) + struct.pack("<i", 9_000) + struct.pack("<i", 1) * 9_000,
    "Variants in Variants": nested_variants(10_000),
    "ExtensionObjects in ExtensionObjects": nested_extensions(3_000),
    "DiagnosticInfos in DiagnosticInfos": nested_diagnostics(10_000),
    "an unknown type": b"\x3f\x00",
}
variants = pytest.mark.parametrize("variant", [pytest.param(made, id=name) for name, made in VARIANTS.items()])
MALFORMED = (CODES.BadDecodingError, CODES.BadEncodingLimitsExceeded)


@variants
async def test_what_a_stranger_adds_to_a_header_is_not_even_decoded(plant, variant):
    """RequestHeader.AdditionalHeader may be anything: the endpoints are answered at once (Part 4, 7.33)."""
    async with Raw(plant.port, session=False) as raw:
        began = time.monotonic()
        await raw.ask_raw("GetEndpoints", text(b"") + struct.pack("<ii", 0, 0), addition=literal(variant))
        assert time.monotonic() - began < 0.5


@variants
async def test_what_cannot_be_decoded_in_a_sign_in_is_a_fault(plant, variant):
    """ActivateSession.UserIdentityToken, before anybody has signed in."""
    params = text(None) * 2 + struct.pack("<ii", 0, 0) + literal(variant) + text(None) * 2
    async with Raw(plant.port, session=False) as raw:
        raw.auth = (await raw.create()).AuthenticationToken
        with pytest.raises(Refused) as refused:
            await raw.ask_raw("ActivateSession", params)
        assert refused.value.code in (*MALFORMED, CODES.BadIdentityTokenInvalid, CODES.BadIdentityTokenRejected)


@variants
async def test_a_written_value_that_is_none_is_a_fault_and_the_session_goes_on(plant, variant):
    written = struct.pack("<i", 1) + b"\x03\x02\x00" + text(b"line.level") + struct.pack("<Ii", 13, -1) + b"\x01" + variant
    await refused_in_a_session(plant, "Write", written)


@variants
async def test_a_method_s_argument_that_is_none_is_a_fault(plant, variant):
    call = (
        struct.pack("<i", 1) + b"\x03\x02\x00" + text(b"Twin") + b"\x03\x02\x00" + text(b"Twin/Override") + struct.pack("<i", 1) + variant
    )
    await refused_in_a_session(plant, "Call", call)


@variants
async def test_a_where_clause_that_is_none_is_a_fault(plant, variant):
    """A literal in an EventFilter of a monitored item, and in one of HistoryRead."""
    operand = literal(variant)
    element = struct.pack("<Ii", 0, 1) + operand
    event_filter = struct.pack("<i", 0) + struct.pack("<i", 1) + element
    item = b"\x01\x00" + struct.pack("<HIi", 2253, 12, -1) + b"\x00\x00" + text(None)
    asked = (
        struct.pack("<iId", 2, 1, 0.0)
        + extension(ua.ObjectIds.EventFilter_Encoding_DefaultBinary, event_filter)
        + struct.pack("<I?", 1, True)
    )
    async with Raw(plant.port) as raw:
        made = ua.CreateSubscriptionRequest()
        made.Parameters = ua.CreateSubscriptionParameters(1000.0, 100, 10, 0, True, 0)
        subscription = (await raw.ask(made)).Parameters.SubscriptionId
        await expect_fault(raw, "CreateMonitoredItems", struct.pack("<Iii", subscription, 2, 1) + item + asked)
        details = struct.pack("<Iqq", 1, 0, 0) + event_filter
        node = b"\x01\x00" + struct.pack("<Hi", 2253, -1) + b"\x00\x00" + text(None) + text(None)
        history = extension(ua.ObjectIds.ReadEventDetails_Encoding_DefaultBinary, details) + struct.pack("<i?i", 2, False, 1) + node
        await expect_fault(raw, "HistoryRead", history)


@pytest.mark.parametrize("length", [MANY, -2, 50_000_000])
@pytest.mark.parametrize(
    ("service", "before"),
    [
        ("Read", struct.pack("<di", 0.0, 2)),
        ("Write", b""),
        ("Browse", b"\x00\x00" + struct.pack("<qII", 0, 0, 0)),
        ("BrowseNext", b"\x00"),
        ("TranslateBrowsePathsToNodeIds", b""),
        ("RegisterNodes", b""),
        ("Call", b""),
        ("CreateMonitoredItems", struct.pack("<Ii", 1, 2)),
        ("ModifyMonitoredItems", struct.pack("<Ii", 1, 2)),
        ("SetMonitoringMode", struct.pack("<Ii", 1, 2)),
        ("DeleteMonitoredItems", struct.pack("<I", 1)),
        ("SetTriggering", struct.pack("<II", 1, 1)),
        ("SetPublishingMode", b"\x01"),
        ("DeleteSubscriptions", b""),
        ("TransferSubscriptions", b""),
        ("Publish", b""),
        ("HistoryRead", b"\x00\x00\x00" + struct.pack("<i?", 2, False)),
    ],
)
async def test_lengths_of_arrays_are_checked_before_anything_is_made(plant, service, before, length):
    async with Raw(plant.port) as raw:
        with pytest.raises(Refused) as refused:
            await raw.ask_raw(service, before + struct.pack("<i", length))
        null = (CODES.BadHistoryOperationInvalid, CODES.BadSubscriptionIdInvalid, CODES.BadNothingToDo, CODES.BadNoSubscription)
        assert refused.value.code in (*MALFORMED, CODES.BadTooManyOperations, *null)
        assert await raw.read(LEVEL)


async def refused_in_a_session(plant, service, params):
    async with Raw(plant.port) as raw:
        await expect_fault(raw, service, params)
        assert await raw.read(LEVEL)


async def expect_fault(raw, service, params):
    """BadDecodingError within a moment; a null, deeply nested or odd but possible value may be refused as such."""
    began = time.monotonic()
    assert await answered(raw, service, params) in (0, *MALFORMED, CODES.BadTooManyOperations)
    assert time.monotonic() - began < 0.5


async def answered(raw, service, params):
    """0, or the code of a fault."""
    try:
        await raw.ask_raw(service, params)
    except Refused as refused:
        return refused.code
    return 0


async def answered_to(raw, request):
    """Likewise, to a request of the library's."""
    try:
        await raw.ask(request)
    except Refused as refused:
        return refused.code
    return 0


# --- poison values ---


@pytest.mark.parametrize(
    ("key", "value", "codes"),
    [
        ("line.level", ua.Variant(1e39, ua.VariantType.Double), {CODES.BadOutOfRange}),
        ("line.level", ua.Variant(math.nan, ua.VariantType.Double), {CODES.BadOutOfRange}),
        ("line.level", ua.Variant(-math.inf, ua.VariantType.Double), {CODES.BadOutOfRange}),
        ("line.level", ua.Variant("5", ua.VariantType.String), {CODES.BadTypeMismatch}),
        ("line.level", ua.Variant([1.0] * 50_000, ua.VariantType.Double), {CODES.BadTypeMismatch}),
        ("line.level", ua.Variant(), {CODES.BadTypeMismatch}),
        ("line.count", ua.Variant(2**64 - 1, ua.VariantType.UInt64), {CODES.BadTypeMismatch, CODES.BadOutOfRange}),
        ("line.count", ua.Variant(2**63 - 1, ua.VariantType.Int64), {CODES.BadOutOfRange}),
        ("line.on", ua.Variant(7, ua.VariantType.Byte), {CODES.BadTypeMismatch}),
        ("line.name", ua.Variant(b"\xff", ua.VariantType.ByteString), {CODES.BadTypeMismatch}),
        ("line.name", ua.Variant("x" * 3_000_000, ua.VariantType.String), {CODES.BadOutOfRange, CODES.BadEncodingLimitsExceeded}),
    ],
)
async def test_a_poisonous_value_is_refused_and_the_item_on_its_tag_goes_on(plant, key, value, codes):
    plant.grows_mb = 16.0  # the allocator keeps some of a message of 3 MB
    nodeid = ua.NodeId(key, 2)
    async with Raw(plant.port) as raw:
        before = (await raw.read(nodeid))[0]
        write = ua.WriteRequest()
        write.Parameters.NodesToWrite = [ua.WriteValue(nodeid, ua.AttributeIds.Value, None, ua.DataValue(value))]
        result = (await raw.ask(write)).Results[0].value
        assert result in codes, ua.status_codes.get_name_and_doc(result)
        after = (await raw.read(nodeid))[0]
        assert (after.Value, after.StatusCode) == (before.Value, before.StatusCode)


POISON = (b"\xff\xfe\xed", b"\xed\xa0\x80", b"a\x00b", b"\xf8\x88\x80\x80\x80", b'\x1b[2J\r\n"}')


@pytest.mark.parametrize("poison", POISON)
async def test_text_that_is_no_utf_8_is_refused_or_kept_whole_everywhere(plant, poison):
    """In names of sessions and nodes, written texts, comments and locales: REST, journal and audit stay valid JSON."""
    async with Raw(plant.port, session=False) as raw:
        params = text(poison) * 2 + b"\x02" + text(poison) + struct.pack("<i", 1) + text(poison) * 2 + struct.pack("<i", 1) + text(poison)
        created = params + text(None) + text(poison) + text(poison) + text(b"") + text(b"") + struct.pack("<dI", 1e4, 0)
        assert await answered(raw, "CreateSession", created) in (0, CODES.BadDecodingError)
    async with Raw(plant.port) as raw:
        codes = [await answered(raw, service, params) for service, params in with_text(poison)]
        await raise_alarm(raw)
        condition = b"\x03\x02\x00" + text(b"line.level/Alarms/HI")
        for method in (ua.ObjectIds.AcknowledgeableConditionType_Acknowledge, ua.ObjectIds.ConditionType_AddComment):
            event_id = (await raw.read(ua.NodeId("line.level/Alarms/HI/EventId", 2)))[0].Value.Value
            arguments = struct.pack("<i", 2) + b"\x0f" + text(event_id) + b"\x15\x02" + text(poison)
            called = condition + b"\x01\x00" + struct.pack("<H", method) + arguments
            codes.append(await answered(raw, "Call", struct.pack("<i", 1) + called))
        assert set(codes) <= {0, CODES.BadDecodingError}
    for path in ("/events", "/alarms", "/status", "/audit"):
        answer = await asyncio.to_thread(plant.gateway.http.get, f"/api/v1{path}")
        assert answer.status_code == 200
        assert answer.json() is not None
        answer.content.decode()


def with_text(poison):
    """Requests with that text in them."""
    node = b"\x03\x02\x00" + text(poison)
    yield "Read", struct.pack("<dii", 0.0, 2, 1) + node + struct.pack("<Ii", 13, -1) + b"\x00\x00" + text(None)
    path = b"\x00\x55" + struct.pack("<i", 1) + b"\x00\x00\x00\x01\x00\x00" + text(poison)
    yield "TranslateBrowsePathsToNodeIds", struct.pack("<i", 1) + path
    written = b"\x03\x02\x00" + text(b"line.name") + struct.pack("<Ii", 13, -1) + b"\x01\x0c" + text(poison)
    yield "Write", struct.pack("<i", 1) + written


async def raise_alarm(raw):
    write = ua.WriteRequest()
    for value in (0.0, 60.0):
        write.Parameters.NodesToWrite = [
            ua.WriteValue(LEVEL, ua.AttributeIds.Value, None, ua.DataValue(ua.Variant(value, ua.VariantType.Double)))
        ]
        assert (await raw.ask(write)).Results[0].is_good()

    async def active():
        return (await raw.read(ua.NodeId("line.level/Alarms/HI/ActiveState/Id", 2)))[0].Value.Value

    await eventually(active)


# --- numbers that are none ---


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, -5.0, 0.0, 1e-300, 1e300])
async def test_a_duration_that_is_none_is_revised(plant, number):
    """Session timeouts, publishing and sampling intervals; MaxAge is refused where it is none."""
    async with Raw(plant.port, session=False) as raw:
        made = await raw.create(number)
        assert 5_000 <= made.RevisedSessionTimeout <= 600_000
        raw.auth = made.AuthenticationToken
        await raw.activate()
        request = ua.CreateSubscriptionRequest()
        request.Parameters = ua.CreateSubscriptionParameters(number, 100, 10, 0, True, 0)
        revised = (await raw.ask(request)).Parameters
        assert 10.0 <= revised.RevisedPublishingInterval <= 3_600_000.0
        item = ua.MonitoredItemCreateRequest(
            ua.ReadValueId(LEVEL, ua.AttributeIds.Value),
            ua.MonitoringMode.Reporting,
            ua.MonitoringParameters(1, number, None, 2**32 - 1, True),
        )
        items = ua.CreateMonitoredItemsRequest()
        items.Parameters = ua.CreateMonitoredItemsParameters(revised.SubscriptionId, ua.TimestampsToReturn.Both, [item])
        created = (await raw.ask(items)).Results[0]
        assert created.StatusCode.is_good()
        assert math.isfinite(created.RevisedSamplingInterval)
        assert created.RevisedQueueSize <= 10_000
        modify = ua.ModifySubscriptionRequest()
        modify.Parameters = ua.ModifySubscriptionParameters(revised.SubscriptionId, number, 2**32 - 1, 2**32 - 1, 0, 0)
        assert 10.0 <= (await raw.ask(modify)).Parameters.RevisedPublishingInterval <= 3_600_000.0
        read = ua.ReadRequest()
        read.Parameters.NodesToRead, read.Parameters.MaxAge = [ua.ReadValueId(LEVEL, ua.AttributeIds.Value)], number
        assert await answered_to(raw, read) == (0 if number >= 0 else CODES.BadMaxAgeInvalid)


async def test_requests_that_end_in_the_middle_are_faults(plant):
    """Each service, cut after each byte of a plain request."""
    request = ua.ReadRequest()
    request.Parameters.NodesToRead = [ua.ReadValueId(LEVEL, ua.AttributeIds.Value)]
    async with Raw(plant.port) as raw:
        whole = raw.encoded(request)
        header = len(raw.body_of("Read", b""))
        for cut in range(header, len(whole)):
            with pytest.raises(Refused) as refused:
                await raw.raw(whole[:cut])
            assert refused.value.code == CODES.BadDecodingError
    async with Raw(plant.port) as raw:
        with pytest.raises((Ended, Refused)):
            await raw.raw(whole[: header // 2])
