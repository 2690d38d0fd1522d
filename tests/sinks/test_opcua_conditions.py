"""Alarm rules as conditions in the address space (Part 9): nodes, types, fields, events."""

import asyncio
import time

import pytest
from asyncua import Client, ua
from asyncua.ua.uaerrors import UaStatusCodeError
from cryptography import x509

from gateway.model.alarm import AlarmRule, Change, Limit, Transition, event_id
from gateway.model.tag import Tag, TagTable
from gateway.sinks.opcua.conditions import occurrence
from gateway.wire.opcua.face import Reading
from support.opcua_conditions import (
    CALM,
    DEFINITIONS,
    HI,
    HIHI,
    NS,
    RULES,
    STATES,
    TAGS,
    TEMP,
    Codes,
    Ids,
    Type,
    node,
    status_of,
    value,
    values,
)
from support.opcua_face import opcua_face


@pytest.fixture
async def face():
    async with opcua_face(TAGS, RULES) as running:
        await running.step(CALM)
        yield running


@pytest.fixture
async def client(face):
    async with Client(face.sink.url, timeout=10) as connected:
        yield connected


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


async def test_conditions_come_and_go_with_a_reload(face, client):
    assert await names_below(client, "/Alarms") == {"free": "free/Alarms"}
    rules = [rule for rule in RULES if rule.tag != "free"] + [AlarmRule(4, "line.quiet", Limit.HI, 1.0)]
    face.engine.retable(TagTable.of(TAGS), rules, [])
    assert "Alarms" not in await names_below(client, "/")
    with pytest.raises(UaStatusCodeError) as unknown:
        await node(client, "free/Alarms/LOLO").read_node_class()
    assert unknown.value.code == Codes.BadNodeIdUnknown
    assert await names_below(client, "line.quiet", Ids.HasCondition) == {"HI": "line.quiet/Alarms/HI"}
    assert (await names_below(client, "line/Alarms"))["quiet"] == "line.quiet/Alarms"
    assert await value(client, "line.quiet/Alarms/HI/HighLimit") == 1.0


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
