"""Roles on the OPC UA face: what is served of them, and that every service keeps to them."""

import asyncio

import pytest
from asyncua import Client, ua
from asyncua.ua.uaerrors import BadUserAccessDenied

from gateway.model.command import Caller
from gateway.model.tag import Tag, WriteRule
from support.opcua_face import opcua_face
from support.waiting import eventually

TAGS = (
    Tag(0, "line.temperature", "plc1", unit="Cel"),
    Tag(1, "line.setpoint", "plc1", write_rule=WriteRule(role="operator")),
    Tag(2, "line.limit", "plc1", write_rule=WriteRule(role="engineer")),
)
TEMPERATURE, SETPOINT, LIMIT = (ua.NodeId(tag.name, 2) for tag in TAGS)
SECURITY = ua.NodeId(ua.ObjectIds.Server_ServerDiagnostics_SessionsDiagnosticsSummary_SessionSecurityDiagnosticsArray)
DENIED = ua.StatusCodes.BadUserAccessDenied


@pytest.fixture
async def face():
    async with opcua_face(TAGS, anonymous="viewer") as made:
        await made.step({"line.temperature": 20.0, "line.setpoint": 1.0, "line.limit": 2.0})
        yield made


class Person:
    """A client whose session the test gives a role."""

    def __init__(self, client, session):
        self.client, self._session = client, session

    def become(self, role, user="ann"):
        self._session.caller = Caller(user, role, "opcua:127.0.0.1")
        return self

    async def attribute(self, nodeid, attribute):
        answer = await self.client.uaclient.read_attributes([nodeid], attribute)
        return answer[0]

    async def write(self, nodeid, value):
        wanted = ua.WriteValue(nodeid, ua.AttributeIds.Value, Value=ua.DataValue(ua.Variant(value, ua.VariantType.Double)))
        return (await self.client.uaclient.write(ua.WriteParameters([wanted])))[0].value


@pytest.fixture
async def person(face):
    async with Client(face.sink.url) as client:
        (session,) = face.sink._server.interior.sessions()
        yield Person(client, session)


def table(value):
    return {entry.RoleId.Identifier: int(entry.Permissions) for entry in value.Value.Value}


async def test_the_user_access_level_and_the_write_follow_the_session_and_not_the_server(face, person):
    expected = {"viewer": (1, 1), "operator": (3, 1), "engineer": (3, 3), "admin": (3, 3)}
    for role, levels in expected.items():
        person.become(role)
        shown = [(await person.attribute(nodeid, ua.AttributeIds.UserAccessLevel)).Value.Value & 3 for nodeid in (SETPOINT, LIMIT)]
        assert tuple(shown) == levels
        written = [await person.write(nodeid, 3.0) for nodeid in (SETPOINT, LIMIT)]
        assert written == [0 if level & 2 else DENIED for level in levels]
        assert (await person.attribute(SETPOINT, ua.AttributeIds.AccessLevel)).Value.Value & 2
    assert await person.write(TEMPERATURE, 3.0) == ua.StatusCodes.BadNotWritable
    assert {command.caller.role for command in face.commands.asked} == {"operator", "engineer", "admin"}


async def test_role_permissions_are_for_an_administrator_and_ones_own_for_everybody(person):
    assert (await person.become("manager").attribute(LIMIT, ua.AttributeIds.RolePermissions)).StatusCode.value == DENIED
    whole = table(await person.become("admin").attribute(LIMIT, ua.AttributeIds.RolePermissions))
    assert set(whole) == {15644, 15656, 15668, 15680, 16036, 15692, 15716, 15704}
    assert [bool(whole[number] & 64) for number in (15644, 15668, 15680, 16036, 15692, 15704)] == [False, False, False, True, True, True]
    own = table(await person.become("operator").attribute(SETPOINT, ua.AttributeIds.UserRolePermissions))
    assert set(own) == {15644, 15656, 15668, 15680}
    assert own[15680] & 64
    assert set(table(await person.become("viewer", "anonymous").attribute(SETPOINT, ua.AttributeIds.UserRolePermissions))) == {15644}


@pytest.mark.parametrize("nodeid", [ua.NodeId(85), ua.NodeId(2253), ua.NodeId(58), ua.NodeId("line", 2), ua.NodeId(9111), SECURITY])
async def test_every_kind_of_node_says_who_may_what(person, nodeid):
    assert table(await person.become("admin").attribute(nodeid, ua.AttributeIds.RolePermissions))
    assert (await person.attribute(nodeid, ua.AttributeIds.AccessRestrictions)).Value.Value == (3 if nodeid == SECURITY else 0)


async def test_who_is_signed_out_in_the_middle_of_a_write_writes_no_more(face, person):
    """And what was asked before another signed in to the session is done in the name of who asked."""
    face.commands.held.clear()
    session = face.sink._server.interior.sessions()[0]
    person.become("operator")
    wanted = [ua.WriteValue(SETPOINT, ua.AttributeIds.Value, Value=ua.DataValue(ua.Variant(1.0, ua.VariantType.Double)))] * 3
    writing = asyncio.create_task(person.client.uaclient.write(ua.WriteParameters(wanted)))
    await eventually(lambda: face.commands.asked)
    person.become("viewer", "eve")
    face.commands.held.set()
    assert [code.value for code in await writing] == [0, 0, 0]
    assert {command.caller.user for command in face.commands.asked} == {"ann"}

    face.commands.held.clear()
    face.commands.asked.clear()
    person.become("operator")
    writing = asyncio.create_task(session.write(ua.WriteParameters(wanted)))
    await eventually(lambda: face.commands.asked)
    assert await face.sink.sign_out("ann") == 1
    face.commands.held.set()
    assert [code.value for code in await writing] == [0, *[ua.StatusCodes.BadSessionClosed] * 2]


async def test_the_namespace_says_what_its_nodes_have_by_default(person):
    role, own, restrictions = (ua.NodeId(number) for number in (16134, 16135, 16136))
    assert (await person.become("manager").attribute(role, ua.AttributeIds.Value)).StatusCode.value == DENIED
    assert set(table(await person.attribute(own, ua.AttributeIds.Value))) == {15644, 15656, 15668, 15680, 16036, 15692}
    assert (await person.attribute(restrictions, ua.AttributeIds.Value)).Value.Value == 0
    assert table(await person.become("admin").attribute(role, ua.AttributeIds.Value))[15656] & 33 == 33


async def test_a_node_that_is_not_there_has_no_permissions(person):
    for attribute in (ua.AttributeIds.RolePermissions, ua.AttributeIds.UserRolePermissions, ua.AttributeIds.AccessRestrictions):
        answer = await person.become("admin").attribute(ua.NodeId("nothing", 2), attribute)
        assert answer.StatusCode.value == ua.StatusCodes.BadNodeIdUnknown


async def test_how_others_signed_in_is_for_an_administrator_over_an_encrypted_channel(person):
    assert (await person.become("manager").attribute(SECURITY, ua.AttributeIds.Value)).StatusCode.value == DENIED
    insufficient = ua.StatusCodes.BadSecurityModeInsufficient
    assert (await person.become("admin").attribute(SECURITY, ua.AttributeIds.Value)).StatusCode.value == insufficient


async def test_an_item_on_what_may_not_be_read_is_refused_and_its_neighbours_are_made(person):
    value, level = ua.AttributeIds.Value, ua.AttributeIds.UserAccessLevel
    wanted = [(TEMPERATURE, value), (SECURITY, value), (TEMPERATURE, level), (ua.NodeId(2258), value)]
    subscription = await person.client.create_subscription(1000, None)
    made = await person.client.uaclient.create_monitored_items(
        ua.CreateMonitoredItemsParameters(
            SubscriptionId=subscription.subscription_id,
            ItemsToCreate=[
                ua.MonitoredItemCreateRequest(
                    ua.ReadValueId(nodeid, attribute),
                    ua.MonitoringMode.Reporting,
                    ua.MonitoringParameters(ClientHandle=place, SamplingInterval=1000.0, QueueSize=1, DiscardOldest=True),
                )
                for place, (nodeid, attribute) in enumerate(wanted)
            ],
        )
    )
    assert [result.StatusCode.value for result in made] == [0, DENIED, ua.StatusCodes.BadNotSupported, 0]


async def test_a_caller_without_a_role_gets_nothing_of_any_service(person):
    client = person.client
    subscription = await client.create_subscription(1000, None)
    person.become("none")
    uaclient = client.uaclient
    item = ua.MonitoredItemCreateRequest(
        ua.ReadValueId(TEMPERATURE, ua.AttributeIds.Value),
        ua.MonitoringMode.Reporting,
        ua.MonitoringParameters(ClientHandle=1, SamplingInterval=1000.0, QueueSize=1, DiscardOldest=True),
    )
    everything = (
        client.get_node(TEMPERATURE).read_value(),
        client.get_node(ua.NodeId(2258)).read_value(),
        client.get_node(TEMPERATURE).read_attribute(ua.AttributeIds.DisplayName),
        uaclient.write(ua.WriteParameters([ua.WriteValue(SETPOINT, ua.AttributeIds.Value, Value=ua.DataValue(ua.Variant(1.0)))])),
        client.get_node(ua.NodeId(85)).get_children(),
        client.get_node(ua.NodeId(85)).get_child("0:Server"),
        client.get_node(TEMPERATURE).read_raw_history(),
        client.get_node(ua.NodeId(2253)).call_method(ua.NodeId(11492), ua.Variant(1, ua.VariantType.UInt32)),
        client.create_subscription(1000, None),
        uaclient.create_monitored_items(ua.CreateMonitoredItemsParameters(subscription.subscription_id, ItemsToCreate=[item])),
    )
    for service in everything:
        with pytest.raises(BadUserAccessDenied):
            await service
