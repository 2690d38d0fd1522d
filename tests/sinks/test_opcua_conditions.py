"""Alarm rules as conditions in the address space (Part 9): nodes, fields, types, and what clients may do to them."""

import asyncio
import time

import pytest
from asyncua import Client, ua
from asyncua.ua.uaerrors import UaStatusCodeError
from cryptography import x509

from gateway.model.alarm import SYSTEM_TAG, AlarmRule, Change, Level, Limit, Transition, event_id
from gateway.model.tag import Tag, TagType
from gateway.sinks.opcua.conditions import occurrence
from gateway.wire.opcua.face import Reading
from support.opcua_face import opcua_face

NS = 2
MINUTE_NS = 60_000_000_000
Codes = ua.StatusCodes
Type = ua.VariantType
Ids = ua.ObjectIds
TAGS = [
    Tag(0, "line.oven.temp", unit="Cel", eu_range=(0.0, 60.0)),
    Tag(1, "line.oven.setpoint", unit="Cel", eu_range=(0.0, 60.0)),
    Tag(2, "line.state", type=TagType.ENUM, labels={0: "idle", 1: "fault"}),
    Tag(3, "line.level"),
    Tag(4, "line.quiet"),
    Tag(5, "free"),
]
LEVELS = (Level(Limit.LO, 10.0, 500), Level(Limit.HI, 80.0, 500), Level(Limit.HIHI, 90.0, 900))
TEMP = "line.oven.temp"
RULES = [
    AlarmRule(0, TEMP, Limit.HI, 50.0, severity=500, message="Oven too hot", cause="fan", consequence="scrap", action="stop", confirm=True),
    AlarmRule(0, TEMP, Limit.HIHI, 55.0, severity=800, latch=True, on_delay_ns=0),
    AlarmRule(0, TEMP, Limit.LO, 5.0),
    AlarmRule(0, TEMP, Limit.DEV, 40.0, target_id=1),
    AlarmRule(0, TEMP, Limit.BAD, 0.0, severity=300, re_alarm_ns=10 * MINUTE_NS),
    AlarmRule(1, "line.oven.setpoint", Limit.DISC, 1.0, target_id=0, on_delay_ns=MINUTE_NS),
    AlarmRule(2, "line.state", Limit.STATE, 1.0),
    AlarmRule(3, "line.level", Limit.LEVEL, 0.0, levels=LEVELS),
    AlarmRule(3, "line.level", Limit.ROC, 100.0),
    AlarmRule(5, "free", Limit.LOLO, 1.0),
    AlarmRule(SYSTEM_TAG, "Gateway", Limit.SYSTEM, 0.0, subject="source.plc1", severity=700),
    AlarmRule(SYSTEM_TAG, "Gateway", Limit.SYSTEM, 0.0, subject="certificate"),
]
HI, HIHI = f"{TEMP}/Alarms/HI", f"{TEMP}/Alarms/HIHI"
DEFINITIONS = {
    HI: Ids.NonExclusiveLevelAlarmType,
    HIHI: Ids.NonExclusiveLevelAlarmType,
    f"{TEMP}/Alarms/LO": Ids.NonExclusiveLevelAlarmType,
    f"{TEMP}/Alarms/DEV": Ids.NonExclusiveDeviationAlarmType,
    f"{TEMP}/Alarms/BAD": Ids.SystemOffNormalAlarmType,
    "line.oven.setpoint/Alarms/DISC": Ids.DiscrepancyAlarmType,
    "line.state/Alarms/STATE": Ids.OffNormalAlarmType,
    "line.level/Alarms/LEVEL": Ids.ExclusiveLevelAlarmType,
    "line.level/Alarms/ROC": Ids.NonExclusiveRateOfChangeAlarmType,
    "free/Alarms/LOLO": Ids.NonExclusiveLevelAlarmType,
    "Gateway/Alarms/source.plc1": Ids.SystemOffNormalAlarmType,
    "Gateway/Alarms/certificate": Ids.CertificateExpirationAlarmType,
}
CALM = {TEMP: 20.0, "line.oven.setpoint": 20.0, "line.state": 0.0, "line.level": 50.0, "free": 5.0}


@pytest.fixture
async def face():
    async with opcua_face(TAGS, RULES) as running:
        await running.step(CALM)
        yield running


@pytest.fixture
async def client(face):
    async with Client(face.sink.url, timeout=10) as connected:
        yield connected


def as_role(face, role):
    for session in face.sink._server.interior._external_sessions.values():
        session.caller = type(session.caller)("kim", role, session.caller.origin)


def node(client, key):
    return client.get_node(ua.NodeId(key, NS))


async def value(client, key):
    read = await node(client, key).read_value()
    return read.Text if isinstance(read, ua.LocalizedText) else read


async def values(client, condition, *paths):
    return [await value(client, f"{condition}/{path}") for path in paths]


async def status_of(client, key):
    return (await node(client, key).read_data_value(raise_on_bad_status=False)).StatusCode.value


async def call(client, owner, method, *inputs):
    """StatusCode of the operation; method: a number of the standard or a key."""
    nodeid = ua.NodeId(method) if isinstance(method, int) else ua.NodeId(method, NS)
    owner_id = ua.NodeId(owner) if isinstance(owner, int) else ua.NodeId(owner, NS)
    (result,) = await client.uaclient.call([ua.CallMethodRequest(ObjectId=owner_id, MethodId=nodeid, InputArguments=list(inputs))])
    return result.StatusCode.value


def comment(text, locale="en"):
    return ua.Variant(ua.LocalizedText(text, locale), Type.LocalizedText)


def event(identifier):
    return ua.Variant(identifier, Type.ByteString)


NO_COMMENT = ua.Variant(ua.LocalizedText(), Type.LocalizedText)
STATES = ("EnabledState/Id", "ActiveState/Id", "AckedState/Id", "ConfirmedState/Id", "Retain")


# --- nodes -------------------------------------------------------------------------------------------------------------------------------


async def test_every_rule_is_an_object_of_the_type_that_the_standard_has_for_it(client):
    for key, definition in DEFINITIONS.items():
        condition = node(client, key)
        assert await condition.read_node_class() == ua.NodeClass.Object
        assert (await condition.read_type_definition()).Identifier == definition, key
        assert (await value(client, f"{key}/EventType")).Identifier == definition


async def test_a_condition_has_every_mandatory_part_of_its_type_and_of_all_types_above(face, client):
    """By the declarations in namespace 0: name, place, class, type and DataType of each (Part 3, 6.4.4)."""
    standard = face.sink._server.interior.nodes.standard
    checked = 0
    for key, definition in DEFINITIONS.items():
        kind = definition
        while kind != Ids.BaseObjectType:
            checked += await same_parts(client, standard, ua.NodeId(key, NS), kind)
            (kind,) = (r.NodeId.Identifier for r in standard.get(kind).references if r.ReferenceTypeId.Identifier == 45 and not r.IsForward)
    assert checked > 300


async def same_parts(client, standard, instance, declaration):
    """How many parts of a declaration were compared with the instance's."""
    references = await client.get_node(instance).get_references(refs=Ids.Aggregates, direction=ua.BrowseDirection.Forward)
    there = {reference.BrowseName.Name: reference for reference in references if reference.BrowseName.NamespaceIndex == 0}
    checked = 0
    for part in standard.get(declaration).references:
        if not part.IsForward or part.ReferenceTypeId.Identifier not in (46, 47):
            continue
        declared = standard.get(part.NodeId.Identifier)
        rules = [reference.NodeId.Identifier for reference in declared.references if reference.ReferenceTypeId.Identifier == 37]
        own = there.get(part.BrowseName.Name)
        if own is None:
            assert 78 not in rules, f"{instance.Identifier} has no {part.BrowseName.Name}"
            continue
        checked += 1
        assert (own.ReferenceTypeId, own.NodeClass, own.TypeDefinition) == (part.ReferenceTypeId, part.NodeClass, part.TypeDefinition), own
        if own.NodeClass == ua.NodeClass.Variable:
            data_type = declared.attributes[ua.AttributeIds.DataType].value.Value.Value
            assert await client.get_node(own.NodeId).read_data_type() == data_type, own
            read = await client.get_node(own.NodeId).read_data_value(raise_on_bad_status=False)
            assert read.Value.Value is None or read.Value.VariantType != Type.Null
        if part.BrowseName.Name in ("InputArguments", "OutputArguments"):
            ours, theirs = [await client.get_node(one).read_value() for one in (own.NodeId, part.NodeId)]
            assert [(a.Name, a.DataType, a.ValueRank) for a in ours] == [(a.Name, a.DataType, a.ValueRank) for a in theirs], own
        checked += await same_parts(client, standard, own.NodeId, part.NodeId.Identifier)
    return checked


async def names_below(client, key, refs=Ids.HierarchicalReferences):
    found = await node(client, key).get_references(refs=refs, direction=ua.BrowseDirection.Forward)
    return {one.BrowseName.Name: one.NodeId.Identifier for one in found}


async def test_conditions_are_found_from_their_tag_and_by_walking_down_the_tree(client):
    assert await names_below(client, TEMP, Ids.HasCondition) == {
        limit: f"{TEMP}/Alarms/{limit}" for limit in ("HI", "HIHI", "LO", "DEV", "BAD")
    }
    assert (await names_below(client, "line.oven"))["Alarms"] == "line.oven/Alarms"
    assert await names_below(client, "line.oven/Alarms") == {"temp": f"{TEMP}/Alarms", "setpoint": "line.oven.setpoint/Alarms"}
    assert (await names_below(client, f"{TEMP}/Alarms"))["HI"] == HI
    assert await names_below(client, "/Alarms") == {"free": "free/Alarms"}
    assert (await names_below(client, "/"))["Alarms"] == "/Alarms"
    assert (await names_below(client, "Gateway/Alarms"))["source.plc1"] == "Gateway/Alarms/source.plc1"
    assert (await names_below(client, "Gateway"))["Alarms"] == "Gateway/Alarms"
    inverse = await node(client, HI).get_references(refs=Ids.References, direction=ua.BrowseDirection.Inverse)
    assert {one.NodeId.Identifier for one in inverse} == {f"{TEMP}/Alarms", TEMP}


async def test_the_alarm_of_the_certificate_shows_the_certificate(face, client):
    der, expires_ns = face.sink._server.certificate
    key = "Gateway/Alarms/certificate"
    assert x509.load_der_x509_certificate(await value(client, f"{key}/Certificate")).not_valid_after_utc.timestamp() == expires_ns / 1e9
    assert (await value(client, f"{key}/ExpirationDate")).timestamp() == expires_ns / 1e9
    assert (await value(client, f"{key}/CertificateType")).Identifier == Ids.RsaSha256ApplicationCertificateType
    assert der


async def test_what_has_no_rule_has_no_alarm_nodes(client):
    assert await names_below(client, "line.quiet", Ids.HasCondition) == {}
    for key in ("line.quiet/Alarms", f"{TEMP}/Alarms/LOLO", f"{HI}/LowState", f"{HI}/LatchedState", f"{HIHI}/ConfirmedState", f"{HI}/"):
        with pytest.raises(UaStatusCodeError) as unknown:
            await node(client, key).read_node_class()
        assert unknown.value.code == Codes.BadNodeIdUnknown
    assert "Confirm" not in await names_below(client, HIHI)
    assert "Reset" not in await names_below(client, HI)
    assert "HighState" not in await names_below(client, "line.level/Alarms/LEVEL")


async def test_a_client_that_browses_every_part_finds_each_at_its_identifier(client):
    """What a reference says of its other end is what that end says of itself, down to the last property; no part leads elsewhere."""
    todo, seen = [ua.NodeId(HI, NS), ua.NodeId("line.level/Alarms/LEVEL", NS)], 0
    while todo:
        above = todo.pop()
        for reference in await client.get_node(above).get_references(refs=Ids.Aggregates, direction=ua.BrowseDirection.Forward):
            part = client.get_node(reference.NodeId)
            assert (await part.read_browse_name(), await part.read_node_class()) == (reference.BrowseName, reference.NodeClass)
            back = await part.get_references(refs=Ids.Aggregates, direction=ua.BrowseDirection.Inverse)
            assert [one.NodeId for one in back] == [above]
            todo.append(reference.NodeId)
            seen += 1
    assert seen > 120


# --- values ------------------------------------------------------------------------------------------------------------------------------


async def test_a_condition_follows_its_tag(face, client):
    assert await values(client, HI, *STATES) == [True, False, True, True, False]
    update = await face.step({TEMP: 52.0}, at_ns=1_790_000_000_000_000_000 + time.time_ns() % 1)
    assert await values(client, HI, *STATES) == [True, True, False, False, True]
    assert await values(client, HI, "ActiveState", "AckedState", "HighState", "Message", "ConditionName", "SourceName") == [
        *("Active", "Unacknowledged", "High active", "Oven too hot", "HI", TEMP)
    ]
    assert await values(client, HI, "Severity", "HighLimit", "Cause", "Consequence", "Action") == [500, 50.0, "fan", "scrap", "stop"]
    assert (await value(client, f"{HI}/SourceNode"), await value(client, f"{HI}/InputNode")) == (ua.NodeId(TEMP, NS), ua.NodeId(TEMP, NS))
    assert (await value(client, f"{HI}/BranchId")).is_null()
    assert await value(client, f"{HI}/EventId") == update.transitions[0].condition.event_id
    text = await node(client, f"{HI}/ActiveState").read_value()
    assert text.Locale == "en"
    await face.step({TEMP: 20.0})
    assert await values(client, HI, *STATES) == [True, False, False, False, True]


async def test_an_exclusive_condition_shows_the_one_limit_that_holds(face, client):
    level = "line.level/Alarms/LEVEL"
    assert await status_of(client, f"{level}/LimitState/CurrentState") == Codes.BadStateNotActive
    assert await values(client, level, "HighHighLimit", "HighLimit", "LowLimit") == [90.0, 80.0, 10.0]
    for reading, word, number, severity in ((85.0, "High", 9331, 500), (95.0, "HighHigh", 9329, 900), (5.0, "Low", 9333, 500)):
        await face.step({"line.level": reading})
        assert await values(client, level, "LimitState/CurrentState", "Severity") == [word, severity]
        assert (await value(client, f"{level}/LimitState/CurrentState/Id")).Identifier == number
    assert await value(client, f"{level}/ActiveState/EffectiveDisplayName") == "Active | Low"
    assert await value(client, f"{level}/LastSeverity") == 900


async def test_a_deviation_knows_its_setpoint_and_on_which_side_it_is(face, client):
    deviation = f"{TEMP}/Alarms/DEV"
    assert await values(client, deviation, "SetpointNode", "HighLimit", "LowLimit") == [ua.NodeId("line.oven.setpoint", NS), 40.0, -40.0]
    await face.step({"line.oven.setpoint": 65.0})
    assert await values(client, deviation, "LowState/Id", "HighState/Id", "LowState") == [True, False, "Low active"]
    discrepancy = "line.oven.setpoint/Alarms/DISC"
    assert await values(client, discrepancy, "TargetValueNode", "ExpectedTime", "Tolerance") == [ua.NodeId(TEMP, NS), 60_000.0, 1.0]


async def test_what_concerns_a_source_or_the_gateway_is_of_the_system_class(face, client):
    bad, plc = f"{TEMP}/Alarms/BAD", "Gateway/Alarms/source.plc1"
    await face.step({TEMP: 20.0}, status=Codes.BadSensorFailure)
    assert await values(client, bad, "ActiveState/Id", "ConditionClassName", "ReAlarmTime") == [True, "SystemConditionClassType", 600_000.0]
    assert (await value(client, f"{bad}/Quality")).value == Codes.BadSensorFailure
    assert (await value(client, f"{bad}/NormalState")).is_null()
    await face.sink.write(face.engine.system(plc, True, time.time_ns(), "plc1 is not connected"))
    assert await values(client, plc, "ActiveState/Id", "SourceName", "Severity") == [True, "Gateway", 700]
    assert (await value(client, f"{plc}/InputNode")).is_null()
    assert "plc1 is not connected" in await value(client, f"{plc}/Message")
    assert await value(client, f"{HI}/ConditionClassName") == "ProcessConditionClassType"


# --- Methods -----------------------------------------------------------------------------------------------------------------------------


async def raised(face, client, **step):
    """A temperature that is too high; the EventId."""
    await face.step(step or {TEMP: 52.0})
    return event(await value(client, f"{HI}/EventId"))


@pytest.mark.parametrize(
    "method", [Ids.AcknowledgeableConditionType_Acknowledge, f"{HI}/Acknowledge"], ids=["of the type", "of the instance"]
)
async def test_acknowledge_and_confirm_with_user_and_comment(face, client, method):
    identifier = await raised(face, client)
    as_role(face, "operator")
    assert await call(client, HI, method, identifier, comment("seen")) == Codes.Good
    assert await values(client, HI, *STATES) == [True, True, True, False, True]
    assert await values(client, HI, "Comment", "ClientUserId") == ["seen", "kim"]
    assert await call(client, HI, method, event(await value(client, f"{HI}/EventId")), NO_COMMENT) == Codes.BadConditionBranchAlreadyAcked
    assert await call(client, HI, Ids.AcknowledgeableConditionType_Confirm, identifier, comment("fan repaired")) == Codes.Good
    assert await values(client, HI, "ConfirmedState", "Comment") == ["Confirmed", "fan repaired"]
    again = await call(client, HI, Ids.AcknowledgeableConditionType_Confirm, identifier, NO_COMMENT)
    assert again == Codes.BadConditionBranchAlreadyConfirmed


async def test_an_event_id_must_be_of_this_condition_and_of_its_present_alarm(face, client):
    first = await raised(face, client)
    await face.step({TEMP: 20.0})
    returned = event(await value(client, f"{HI}/EventId"))
    acknowledge = Ids.AcknowledgeableConditionType_Acknowledge
    serial = face.engine.condition(HI).serial
    for wrong in (b"", b"x" * 16, event_id(HIHI, serial), event_id(HI, serial + 1), event_id(HI, 0)):
        assert await call(client, HI, acknowledge, event(wrong), NO_COMMENT) == Codes.BadEventIdUnknown
    assert await call(client, HI, acknowledge, ua.Variant(None, Type.ByteString), NO_COMMENT) == Codes.BadEventIdUnknown
    second = await raised(face, client)
    for old in (first, returned):
        assert await call(client, HI, acknowledge, old, NO_COMMENT) == Codes.BadEventIdUnknown
    assert await call(client, HI, acknowledge, second, NO_COMMENT) == Codes.Good


async def test_who_may_not_is_denied(face, client):
    identifier = await raised(face, client)
    as_role(face, "viewer")
    assert await call(client, HI, Ids.AcknowledgeableConditionType_Acknowledge, identifier, NO_COMMENT) == Codes.BadUserAccessDenied
    as_role(face, "operator")
    assert await call(client, HI, Ids.ConditionType_Disable) == Codes.BadUserAccessDenied
    assert await call(client, HI, Ids.AlarmConditionType_Suppress) == Codes.BadUserAccessDenied
    assert face.commands.asked == []
    assert (await node(client, f"{HI}/Disable").read_attribute(ua.AttributeIds.UserExecutable)).Value.Value is False


async def test_a_method_that_this_condition_has_not_is_invalid(face, client):
    as_role(face, "admin")
    identifier = await raised(face, client)
    assert await call(client, HIHI, Ids.AcknowledgeableConditionType_Confirm, identifier, NO_COMMENT) == Codes.BadMethodInvalid
    assert await call(client, HI, Ids.AlarmConditionType_Reset) == Codes.BadMethodInvalid
    assert await call(client, HIHI, f"{HI}/Acknowledge", identifier, NO_COMMENT) == Codes.BadMethodInvalid
    assert await call(client, TEMP, Ids.AcknowledgeableConditionType_Acknowledge, identifier, NO_COMMENT) == Codes.BadMethodInvalid
    gone = f"{TEMP}/Alarms/LOLO"
    assert await call(client, gone, Ids.AcknowledgeableConditionType_Acknowledge, identifier, NO_COMMENT) == Codes.BadNodeIdUnknown


async def test_comments_are_kept_with_their_user_and_an_empty_one_without_locale_is_ignored(face, client):
    identifier = await raised(face, client)
    as_role(face, "operator")
    add = Ids.ConditionType_AddComment
    assert await call(client, HI, add, identifier, comment("look at the fan")) == Codes.Good
    assert await values(client, HI, "Comment", "ClientUserId") == ["look at the fan", "kim"]
    before = await value(client, f"{HI}/EventId")
    assert before != identifier.Value
    assert await call(client, HI, add, event(before), NO_COMMENT) == Codes.Good
    assert await values(client, HI, "Comment", "EventId") == ["look at the fan", before]
    assert await call(client, HI, add, event(b"never"), comment("x")) == Codes.BadEventIdUnknown


@pytest.mark.parametrize("where", [HI, f"{HI}/ShelvingState"], ids=["of the condition", "of its state machine"])
async def test_shelving_for_a_while_or_until_it_returns(face, client, where):
    await raised(face, client)
    as_role(face, "operator")
    timed, once, ends = (getattr(Ids, f"AlarmConditionType_ShelvingState_{name}") for name in ("TimedShelve", "OneShotShelve", "Unshelve"))
    state = ("ShelvingState/CurrentState", "SuppressedOrShelved")
    assert await call(client, where, ends) == Codes.BadConditionNotShelved
    for wrong in (0.0, -1.0, float("nan"), float("inf"), 1e300, 9 * 3_600_000.0):
        assert await call(client, where, timed, ua.Variant(wrong, Type.Double)) == Codes.BadShelvingTimeOutOfRange
    assert await call(client, where, timed, ua.Variant(60_000.0, Type.Double)) == Codes.Good
    assert await values(client, HI, *state) == ["Timed Shelved", True]
    assert 0 < await value(client, f"{HI}/ShelvingState/UnshelveTime") <= 60_000.0
    assert (await value(client, f"{HI}/ShelvingState/CurrentState/Id")).Identifier == Ids.ShelvedStateMachineType_TimedShelved
    assert await call(client, where, timed, ua.Variant(60_000.0, Type.Double)) == Codes.BadConditionAlreadyShelved
    assert await call(client, where, ends) == Codes.Good
    assert await call(client, where, once) == Codes.Good
    assert await values(client, HI, *state) == ["One Shot Shelved", True]
    await face.step({TEMP: 20.0})
    assert await values(client, HI, *state) == ["Unshelved", False]
    assert await value(client, f"{HI}/ShelvingState/UnshelveTime") == 0.0


async def test_the_second_forms_of_methods_take_a_comment(face, client):
    as_role(face, "admin")
    await raised(face, client)
    shelving = f"{HI}/ShelvingState"
    for owner, method, inputs, state, word in (
        (shelving, "TimedShelve2", [ua.Variant(1000.0, Type.Double)], "ShelvingState/CurrentState", "Timed Shelved"),
        (shelving, "OneShotShelve2", [], "ShelvingState/CurrentState", "One Shot Shelved"),
        (shelving, "Unshelve2", [], "ShelvingState/CurrentState", "Unshelved"),
        (HI, "Suppress2", [], "SuppressedState", "Suppressed"),
        (HI, "Unsuppress2", [], "SuppressedState", "Unsuppressed"),
        (HI, "RemoveFromService2", [], "OutOfServiceState", "Out of Service"),
        (HI, "PlaceInService2", [], "OutOfServiceState", "In Service"),
    ):
        assert await call(client, owner, f"{owner}/{method}", *inputs, comment(f"said at {method}")) == Codes.Good
        assert await values(client, HI, state, "Comment") == [word, f"said at {method}"]


async def test_suppressed_out_of_service_and_in_service_again(face, client):
    as_role(face, "engineer")
    for method, state, word in (
        (Ids.AlarmConditionType_Suppress, "SuppressedState", "Suppressed"),
        (Ids.AlarmConditionType_Unsuppress, "SuppressedState", "Unsuppressed"),
        (Ids.AlarmConditionType_RemoveFromService, "OutOfServiceState", "Out of Service"),
        (Ids.AlarmConditionType_PlaceInService, "OutOfServiceState", "In Service"),
    ):
        assert await call(client, HI, method) == Codes.Good
        assert await values(client, HI, state) == [word]
        assert await value(client, f"{HI}/SuppressedOrShelved") is (word in ("Suppressed", "Out of Service"))


async def test_a_latched_condition_stays_until_its_reset(face, client):
    as_role(face, "admin")
    await face.step({TEMP: 58.0})
    identifier = event(await value(client, f"{HIHI}/EventId"))
    await face.step({TEMP: 20.0})
    assert await values(client, HIHI, "ActiveState/Id", "LatchedState") == [True, "Latched"]
    assert await call(client, HIHI, Ids.AlarmConditionType_Reset) == Codes.BadInvalidState
    assert await call(client, HIHI, Ids.AcknowledgeableConditionType_Acknowledge, identifier, NO_COMMENT) == Codes.Good
    assert await call(client, HIHI, Ids.AlarmConditionType_Reset) == Codes.Good
    assert await values(client, HIHI, "ActiveState/Id", "LatchedState", "Retain") == [False, "Unlatched", False]


async def test_of_a_disabled_condition_little_is_known(face, client):
    """Part 9, 5.5.2: not retained, and its states are BadConditionDisabled; Enable brings it back as it is then."""
    as_role(face, "admin")
    await raised(face, client)
    assert await call(client, HI, Ids.ConditionType_Enable) == Codes.BadConditionAlreadyEnabled
    assert await call(client, HI, Ids.ConditionType_Disable) == Codes.Good
    assert await call(client, HI, f"{HI}/Disable") == Codes.BadConditionAlreadyDisabled
    assert await values(client, HI, "EnabledState", "EnabledState/Id", "Retain", "ConditionName") == ["Disabled", False, False, "HI"]
    for state in ("ActiveState/Id", "AckedState", "ShelvingState/CurrentState", "HighState/Id", "Quality"):
        assert await status_of(client, f"{HI}/{state}") == Codes.BadConditionDisabled
    assert await call(client, HI, Ids.AlarmConditionType_Suppress) == Codes.BadConditionDisabled
    assert await call(client, HI, Ids.ConditionType_Enable) == Codes.Good
    assert await values(client, HI, "EnabledState", "ActiveState/Id") == ["Enabled", True]


# --- events ------------------------------------------------------------------------------------------------------------------------------


def fields(found, *paths):
    readings = [found.field(tuple(path.split("/")) if path else ()) for path in paths]
    assert all(isinstance(reading, Reading) for reading in readings)
    return [getattr(reading.content, "text", reading.content) for reading in readings]


async def test_a_transition_is_an_event_with_the_fields_of_its_type(face):
    at_ns = time.time_ns()
    update = await face.step({TEMP: 52.0}, at_ns=at_ns)
    (transition,) = update.transitions
    found = occurrence(transition, face.table, at_ns + 5)
    assert (found.type, found.source, found.time_ns) == (Ids.NonExclusiveLevelAlarmType, TEMP, at_ns)
    assert fields(found, "", "EventId", "EventType", "SourceNode", "Time", "ReceiveTime") == [
        *(HI, event_id(HI, transition.condition.serial), Ids.NonExclusiveLevelAlarmType, TEMP, at_ns, at_ns + 5)
    ]
    assert fields(found, "Message", "Severity", "Retain", "ActiveState", "ActiveState/Id", "AckedState/Id", "HighState/Id", "2:Cause") == [
        *("Oven too hot", 500, True, "Active", True, False, True, "fan")
    ]
    assert found.field(("LowState",)) is None
    assert found.field(("Cause",)) is None
    assert found.field(("ShelvingState",)) is None  # an Object


async def test_conditions_of_interest_are_told_as_they_stand(face):
    await face.step({TEMP: 52.0, "free": 0.5})
    found = {one.field(()).content: one for one in face.sink.retained()}
    assert set(found) == {HI, "free/Alarms/LOLO"}
    assert found[HI].field(("EventId",)).content == face.engine.condition(HI).event_id
    assert found[HI].time_ns == face.engine.condition(HI).since_ns
    assert fields(found[HI], "Retain", "ActiveState/Id", "Message") == [True, True, "Oven too hot"]


async def test_a_disabled_condition_is_reported_with_what_is_known_of_it(face):
    condition = face.engine.condition(HI)
    disabled = type(condition)(condition.rule, active=False, acknowledged=True, since_ns=1, value=0.0, enabled=False)
    found = occurrence(Transition(disabled, Change.DISABLED, 1), face.table, 2)
    assert fields(found, "EnabledState/Id", "Retain", "SourceName") == [False, False, TEMP]
    assert found.field(("ActiveState", "Id")).status == Codes.BadConditionDisabled


async def test_two_hundred_thousand_conditions_are_there_without_being_made():
    """50 000 tags with four limits each: nothing is kept per condition, and each is found at once."""
    tags = [Tag(k, f"area{k // 100}.t{k}") for k in range(50_000)]
    limits = ((Limit.HIHI, 9.0), (Limit.HI, 8.0), (Limit.LO, 2.0), (Limit.LOLO, 1.0))
    rules = [AlarmRule(k, tag.name, limit, threshold) for k, tag in enumerate(tags) for limit, threshold in limits]
    async with opcua_face(tags, rules) as face:
        space = face.sink.space
        began = time.perf_counter()
        assert len(space.node("area7/Alarms").references) == 101
        assert time.perf_counter() - began < 2.0
        began = time.perf_counter()
        for k in range(0, 50_000, 100):
            assert space.node(f"area{k // 100}.t{k}/Alarms/HI/ActiveState/Id").read().content is False
        assert (time.perf_counter() - began) / 500 < 0.005
        async with Client(face.sink.url, timeout=10) as client:
            assert await asyncio.wait_for(value(client, "area499.t49999/Alarms/LOLO/LowLowLimit"), 5) == 1.0
