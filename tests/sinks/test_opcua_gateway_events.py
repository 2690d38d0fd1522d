"""What the gateway itself has to say to OPC UA clients (Part 5, 6.4), live and out of the journal."""

import asyncio
import time
from dataclasses import replace
from uuid import UUID

import pytest
from asyncua import Client, ua

from gateway.access.people import People
from gateway.events import Publisher, state_changed_event, threshold_event
from gateway.model.alarm import Action, AlarmRule, Level, Limit
from gateway.model.command import Caller
from gateway.model.event import Category, Event, Severity
from gateway.model.tag import Tag, TagTable, TagType
from gateway.sinks.opcua.condition_fields import shape_of, type_of
from gateway.sinks.opcua.condition_parts import now
from gateway.sinks.opcua.conditions import occurrence
from gateway.sinks.opcua.events import EVENT_TYPES, MODEL_CHANGES, ModelWatch, event_occurrence, model_change, plain
from gateway.wire.opcua.event_types import EventTypes
from gateway.wire.opcua.face import ModelChange, NodeClass
from gateway.wire.opcua.standard import StandardNodes, standard_file
from sinks.test_opcua_events import Listener, event_filter, operand
from support.opcua_face import CACHE, Face, opcua_face
from support.waiting import eventually

TAGS = [Tag(0, "line.oven.temp"), Tag(1, "hall")]
RULES = [
    AlarmRule(0, "line.oven.temp", Limit.HI, 50.0, severity=700, message="Oven is too hot", confirm=True),
    AlarmRule(1, "hall", Limit.LO, 5.0),
]
SERVER = ua.NodeId(ua.ObjectIds.Server)
FIELDS = ("EventId", "EventType", "SourceNode", "SourceName", "Time", "Message", "Severity", "ClientUserId", "Status", "ActionTimeStamp")


async def listening(client):
    listener = await Listener(client).open()
    result = await listener.item(SERVER, event_filter(*(operand(name) for name in FIELDS)))
    assert result.StatusCode.is_good()
    return listener


def said(listener):
    return [fields[5].Text for _, fields in listener.events]


async def test_what_the_gateway_says_is_heard_at_the_server_object():
    async with opcua_face(TAGS, RULES) as face, Client(face.sink.url, timeout=10) as client:
        listener = await listening(client)
        event = Publisher("plc1", face.live.publish, time.time_ns).error("NotConnected", "connection refused", Severity.CRITICAL)
        await eventually(lambda: listener.events)
        fields = dict(zip(FIELDS, listener.events[0][1], strict=True))
        assert fields["EventId"] == UUID(event.event_id).bytes
        assert fields["EventType"] == ua.NodeId(ua.ObjectIds.SystemEventType)
        assert (fields["SourceNode"], fields["SourceName"]) == (SERVER, "plc1")
        assert (fields["Message"].Text, fields["Severity"]) == ("NotConnected: connection refused", 900)
        assert fields["ClientUserId"] is None


class Managers(People):
    """Whoever signs in is one."""

    async def sign_in(self, user, password, origin):
        return Caller(user, "manager", origin)


@pytest.mark.parametrize("hears", [False, True])
async def test_who_did_what_is_for_those_who_may_read_the_audit(tmp_path, hears):
    async with opcua_face(TAGS, RULES, access=Managers(), folder=tmp_path) as face:
        client = Client(face.sink.url, timeout=10)
        if hears:
            client.set_user("mia")
            client.set_password("anything")
        await client.connect()
        listener = await listening(client)
        say = Publisher("gateway", face.live.publish, time.time_ns)
        say.user("tag.write by ann", command="tag.write", user="ann", origin="web:127.0.0.1")
        say.system("afterwards")
        await eventually(lambda: "afterwards" in said(listener))
        assert said(listener) == ["tag.write by ann", "afterwards"][not hears :]
        if hears:
            fields = dict(zip(FIELDS, listener.events[0][1], strict=True))
            assert fields["EventType"] == ua.NodeId(ua.ObjectIds.AuditEventType)
            assert (fields["ClientUserId"], fields["Status"]) == ("ann", True)
            assert fields["ActionTimeStamp"] == fields["Time"]
        await client.disconnect()


async def test_a_transition_is_heard_once_and_a_commit_not_at_all():
    async with opcua_face(TAGS, RULES) as face, Client(face.sink.url, timeout=10) as client:
        listener = await listening(client)
        update = await face.step({"line.oven.temp": 60.0})
        for transition in update.transitions:
            face.live.publish(threshold_event(transition))
        face.live.publish(state_changed_event(update, face.table))
        Publisher("gateway", face.live.publish, time.time_ns).system("afterwards")
        await eventually(lambda: "afterwards" in said(listener))
        assert said(listener) == ["Oven is too hot", "afterwards"]


async def test_another_tag_table_is_told_as_a_change_of_the_address_space():
    async with opcua_face(TAGS, RULES) as face, Client(face.sink.url, timeout=10) as client:
        listener = await Listener(client).open()
        await listener.item(SERVER, event_filter(operand("EventType"), operand("Changes", of=ua.ObjectIds.GeneralModelChangeEventType)))
        face.engine.retable(TagTable.of([TAGS[0], replace(TAGS[1], type=TagType.BOOL), Tag(2, "new", type=TagType.TEXT)]), RULES[:1], [])
        await face.sink.write(face.engine.tick(time.time_ns()))
        await eventually(lambda: len(listener.events) == 2)
        (_, (kind, changes)), (_, (refresh, _)) = listener.events
        assert kind == ua.NodeId(ua.ObjectIds.GeneralModelChangeEventType)
        assert [(one.Affected.Identifier, one.AffectedType.Identifier, one.Verb) for one in changes] == [
            ("new", 63, 1),
            ("hall", 63, 16),
        ]
        assert refresh == ua.NodeId(ua.ObjectIds.RefreshRequiredEventType)


def test_too_many_changes_to_name():
    changes = tuple(ModelChange(f"tag{number}", 63, 1) for number in range(MODEL_CHANGES + 1))
    assert model_change(changes, 1).type == ua.ObjectIds.BaseModelChangeEventType
    assert model_change(changes, 1).field(("Changes",)) is None


def test_a_table_that_stays_says_nothing():
    face = Face(TAGS, RULES)
    watch = ModelWatch(face.engine.view)
    assert list(watch.changes(1)) == []


# --- out of the journal ----------------------------------------------------------------------------------------------------------------

SEVERAL = AlarmRule(
    *(0, "line.oven.temp", Limit.LEVEL, 0.0),
    severity=800,
    confirm=True,
    re_alarm_ns=10**12,
    levels=(Level(Limit.HI, 50.0, 400), Level(Limit.HIHI, 55.0, 800)),
)
STEPS = [
    {"line.oven.temp": 52.0},
    (Action.COMMENT, "look at the fan"),
    {"line.oven.temp": 56.0},
    (Action.ACKNOWLEDGE, "seen"),
    (Action.SHELVE, None),
    (Action.SUPPRESS, None),
    (Action.UNSHELVE, ""),
    {"line.oven.temp": 20.0},
]


async def test_a_transition_reads_the_same_as_it_happens_out_of_the_journal_and_refreshed_after_a_restart():
    """Every field of the condition's type."""
    face, at_ns = Face(TAGS, [SEVERAL]), 1_790_000_000_000_000_000
    for what in STEPS:
        at_ns += 1_000_000_000
        if isinstance(what, dict):
            update = await face.step(what, at_ns=at_ns)
        else:
            update = face.engine.operate(SEVERAL.condition, what[0], at_ns, user="ann", comment=what[1], duration_ns=10**12)
        (transition,) = update.transitions
        restarted = Face(TAGS, [SEVERAL]).engine
        restarted.restore(face.engine.snapshot())
        live = occurrence(transition, face.table, at_ns)
        recorded = event_occurrence(threshold_event(transition), face.engine.view)
        assert (recorded.type, recorded.source, recorded.time_ns, recorded.permission) == (live.type, live.source, live.time_ns, "")
        refreshed = now(restarted.condition(SEVERAL.condition), face.table, at_ns)
        for path, field in shape_of(SEVERAL).fields.items():
            if field.of is not None:
                wanted, found = live.field(path), recorded.field(path)
                text = getattr(wanted.content, "text", wanted.content)
                assert (getattr(found.content, "text", found.content), found.status) == (text, wanted.status), (what, path)
                assert replace(field.read(refreshed), source_ns=0) == replace(wanted, source_ns=0), (what, path)


async def test_a_record_whose_rule_is_gone_or_that_is_older_is_a_plain_event():
    face = Face(TAGS, RULES)
    update = await face.step({"line.oven.temp": 60.0})
    event = threshold_event(update.transitions[0])
    face.engine.retable(face.table, RULES[1:], [])
    assert event_occurrence(event, face.engine.view).type == ua.ObjectIds.BaseEventType
    older = Event(event.event_id, 1, Category.THRESHOLD, 700, "hall", "low", {"condition": "hall/Alarms/LO", "change": "active"})
    found = event_occurrence(older, face.engine.view)
    assert (found.type, found.source) == (ua.ObjectIds.BaseEventType, "hall")


def test_a_user_event_out_of_the_journal_needs_the_same_permission():
    face = Face(TAGS, RULES)
    event = Event(str(UUID(int=7)), 1, Category.USER, 200, "gateway", "tag.write by ann", {"user": "ann"})
    assert plain(event, face.engine.view).permission == event_occurrence(event, face.engine.view).permission == "audit:read"


# --- fields ----------------------------------------------------------------------------------------------------------------------------

EVERY_KIND = [
    *(AlarmRule(0, "a", limit, 50.0, confirm=True, latch=True, re_alarm_ns=1, on_delay_ns=1, off_delay_ns=1) for limit in Limit),
    AlarmRule(0, "a", Limit.HI, 50.0, cause="c", consequence="d", action="e"),
    AlarmRule(0, "a", Limit.LEVEL, 0.0, levels=tuple(Level(limit, 1.0, 1) for limit in (Limit.LOLO, Limit.LO, Limit.HI, Limit.HIHI))),
]


@pytest.mark.parametrize("rule", EVERY_KIND, ids=lambda rule: f"{rule.limit.value}{'-' * bool(rule.cause or rule.levels)}")
def test_every_field_that_a_condition_has_can_be_selected(rule):
    """By the condition's own type, and by BaseEventType."""
    types = EventTypes(StandardNodes(asyncio.run(standard_file(CACHE))), EVENT_TYPES)
    kind = type_of(rule)
    assert types.is_a(kind, ua.ObjectIds.AlarmConditionType)
    variables = [path for path, field in shape_of(rule).fields.items() if field.of is not None]
    assert [path for path in variables if types.field(kind, path) is not NodeClass.VARIABLE] == []
    assert [path for path in variables if types.field(2041, path) is not NodeClass.VARIABLE] == []


async def test_what_nobody_heard_is_remembered_all_the_same():
    """LastSeverity of a condition with several limits, which changed before anybody listened."""
    levels = (Level(Limit.HI, 50.0, 400), Level(Limit.HIHI, 55.0, 800))
    rule = AlarmRule(0, "line.oven.temp", Limit.LEVEL, 50.0, levels=levels)
    async with opcua_face(TAGS, [rule]) as face:
        await face.step({"line.oven.temp": 52.0})
        await face.step({"line.oven.temp": 56.0})
        (found,) = face.sink.retained()
        assert (found.field(("LastSeverity",)).content, found.field(("Severity",)).content) == (400, 800)
