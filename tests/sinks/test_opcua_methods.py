"""Methods on the OPC UA face: the Call service (Part 4, 5.11) and what the gateway itself offers (Part 3, 5.7)."""

import asyncio
import gc

import pytest
from asyncua import Client, ua
from asyncua.ua.uaerrors import UaStatusCodeError

from gateway.model.tag import Tag, WriteRule
from gateway.wire.opcua import limits
from support.opcua_face import opcua_face
from support.waiting import eventually

NS = 2
SERVER = ua.NodeId(ua.ObjectIds.Server)
TAGS = [Tag(0, "line.temp", unit="Cel", eu_range=(0.0, 60.0)), Tag(1, "free"), Tag(2, "setpoint", write_rule=WriteRule(low=0, high=50))]
Codes = ua.StatusCodes
Type = ua.VariantType


def ours(name):
    return ua.NodeId(name, NS)


@pytest.fixture
async def face():
    async with opcua_face(TAGS) as running:
        await running.step({"line.temp": 20.0, "free": 1.0})
        yield running


@pytest.fixture
async def client(face):
    async with Client(face.sink.url, timeout=10) as connected:
        yield connected


async def call(client, owner, method, *inputs):
    request = ua.CallMethodRequest(ObjectId=owner, MethodId=method, InputArguments=list(inputs))
    (result,) = await client.uaclient.call([request])
    return result


async def status(client, owner, method, *inputs):
    return (await call(client, owner, method, *inputs)).StatusCode.value


def as_role(face, role):
    """What the clients may do from now on."""
    for session in face.sink._server.interior._external_sessions.values():
        session.caller = type(session.caller)("anonymous", role, session.caller.origin)


def text(value):
    return ua.Variant(value, Type.String)


OVERRIDE = (text("free"), ua.Variant(2.5, Type.Double), text("sensor broken"))


async def test_a_method_is_a_node_with_its_arguments_described(client):
    method = client.get_node(ours("Twin/Override"))
    assert await method.read_node_class() == ua.NodeClass.Method
    assert (await method.read_browse_name()) == ua.QualifiedName("Override", NS)
    assert "by hand" in (await method.read_description()).Text
    arguments = await client.get_node(ours("Twin/Override/InputArguments")).read_value()
    assert [(one.Name, one.DataType.Identifier, one.ValueRank) for one in arguments] == [
        ("tag", 12, -1),
        ("value", 24, -1),
        ("reason", 12, -1),
    ]
    assert all(one.Description.Text and one.Description.Locale == "en" for one in arguments)
    outputs = await client.get_node(ours("Twin/Release/OutputArguments")).read_value()
    assert [(one.Name, one.DataType.Identifier, one.ValueRank) for one in outputs] == [("released", 12, 1)]
    names = {name.Name for name in [await node.read_browse_name() for node in await client.get_node(ours("Gateway")).get_methods()]}
    assert names == {"Reload", "StartRecording", "StopRecording"}


async def test_a_method_becomes_one_command_of_the_caller(face, client):
    as_role(face, "engineer")
    assert await status(client, ours("Twin"), ours("Twin/Override"), *OVERRIDE) == Codes.Good
    (command,) = face.commands.asked
    assert (command.kind, dict(command.args)) == ("tag.override", {"tag": "free", "value": 2.5, "reason": "sensor broken"})
    assert (command.caller.role, command.caller.origin) == ("engineer", "opcua:127.0.0.1")


async def test_a_result_comes_as_output_arguments(face, client):
    as_role(face, "admin")
    face.commands.result = {"released": ["free", "line.temp"]}
    names = ua.Variant(["free", "line.temp"], Type.String, is_array=True)
    result = await call(client, ours("Twin"), ours("Twin/Release"), names)
    assert result.OutputArguments[0].Value == ["free", "line.temp"]
    face.commands.result = {"differences": [{"what": "changed", "path": "tags.0"}]}
    result = await call(client, ours("Gateway"), ours("Gateway/Reload"), ua.Variant(True, Type.Boolean))
    assert result.OutputArguments[0].Value == ["what=changed path=tags.0"]
    assert face.commands.asked[-1].args == {"dry_run": True}
    face.commands.result = {"path": "/x/a.etrec", "seconds": None}
    result = await call(client, ours("Gateway"), ours("Gateway/StartRecording"), text("a.etrec"), ua.Variant(0.0, Type.Double))
    assert (result.OutputArguments[0].Value, face.commands.asked[-1].args) == ("/x/a.etrec", {"path": "a.etrec", "seconds": None})
    face.commands.result = {"state_version": 7}
    result = await call(client, ours("Twin"), ours("Twin/Commit"))
    assert (result.OutputArguments[0].Value, result.OutputArguments[0].VariantType) == (7, Type.Int64)


async def test_a_refused_command_is_the_status_of_the_operation(face, client):
    as_role(face, "engineer")
    face.commands.status = Codes.BadOutOfRange
    assert await status(client, ours("Twin"), ours("Twin/Override"), *OVERRIDE) == Codes.BadOutOfRange


async def test_who_may_not_call_is_denied_and_can_read_that_beforehand(face, client):
    method = client.get_node(ours("Twin/Override"))

    async def executable():
        values = await method.read_attributes([ua.AttributeIds.Executable, ua.AttributeIds.UserExecutable])
        return [value.Value.Value for value in values]

    assert await executable() == [True, False]
    assert await status(client, ours("Twin"), ours("Twin/Override"), *OVERRIDE) == Codes.BadUserAccessDenied
    as_role(face, "engineer")
    assert await executable() == [True, True]
    assert face.commands.asked == []
    with pytest.raises(UaStatusCodeError) as refused:
        await client.get_node(ours("Twin")).read_attribute(ua.AttributeIds.Executable)
    assert refused.value.code == Codes.BadAttributeIdInvalid


async def test_arguments_are_counted_and_their_types_compared(face, client):
    as_role(face, "engineer")
    twin, override, release = ours("Twin"), ours("Twin/Override"), ours("Twin/Release")
    assert await status(client, twin, override, *OVERRIDE[:2]) == Codes.BadArgumentsMissing
    assert await status(client, twin, override, *OVERRIDE, text("more")) == Codes.BadTooManyArguments
    result = await call(client, twin, override, ua.Variant(5, Type.Int32), *OVERRIDE[1:])
    assert result.StatusCode.value == Codes.BadInvalidArgument
    assert [one.value for one in result.InputArgumentResults] == [Codes.BadTypeMismatch, 0, 0]
    for wrong in (
        text("free"),
        ua.Variant([1], Type.Int32, is_array=True),
        ua.Variant([["a"]], Type.String, Dimensions=[1, 1], is_array=True),
    ):
        result = await call(client, twin, release, wrong)
        assert [one.value for one in result.InputArgumentResults] == [Codes.BadTypeMismatch]
    long = ua.Variant("x" * (limits.ARGUMENT_LENGTH + 1), Type.String)
    result = await call(client, twin, override, OVERRIDE[0], OVERRIDE[1], long)
    assert [one.value for one in result.InputArgumentResults] == [0, 0, Codes.BadOutOfRange]
    not_utf8 = ua.Variant("\udcff", Type.String)
    result = await call(client, twin, override, not_utf8, *OVERRIDE[1:])
    assert [one.value for one in result.InputArgumentResults] == [Codes.BadOutOfRange, 0, 0]
    assert face.commands.asked == []


async def test_a_null_text_is_an_empty_one_and_a_null_array_has_no_elements(face, client):
    as_role(face, "engineer")
    face.commands.result = {"released": []}
    assert await status(client, ours("Twin"), ours("Twin/Override"), OVERRIDE[0], OVERRIDE[1], ua.Variant(None, Type.String)) == Codes.Good
    assert face.commands.asked[-1].args["reason"] == ""
    assert await status(client, ours("Twin"), ours("Twin/Release"), ua.Variant()) == Codes.Good
    assert face.commands.asked[-1].args == {"tag": []}


async def test_what_is_no_method_of_that_object_is_refused(client):
    twin, override = ours("Twin"), ours("Twin/Override")
    assert await status(client, ours("nowhere"), override, *OVERRIDE) == Codes.BadNodeIdUnknown
    assert await status(client, ours("Gateway"), override, *OVERRIDE) == Codes.BadMethodInvalid
    assert await status(client, twin, ours("Twin/Nothing")) == Codes.BadMethodInvalid
    assert await status(client, twin, ours("Twin/StateVersion")) == Codes.BadMethodInvalid
    assert await status(client, twin, ua.NodeId()) == Codes.BadMethodInvalid
    assert await status(client, ua.NodeId(1, 7), override) == Codes.BadNodeIdUnknown
    assert await status(client, SERVER, ua.NodeId(ua.ObjectIds.ConditionType_Enable)) == Codes.BadMethodInvalid


async def test_a_standard_method_that_the_server_cannot_do_says_that_it_is_not_executable(client):
    change = ua.NodeId(ua.ObjectIds.Server_RequestServerStateChange)
    assert await status(client, SERVER, change, *[ua.Variant(0, Type.Int32)] * 5) == Codes.BadNotExecutable
    items = ua.NodeId(ua.ObjectIds.Server_GetMonitoredItems)
    declared = ua.NodeId(ua.ObjectIds.AcknowledgeableConditionType_Acknowledge)
    for method, executable in ((change, False), (items, True), (declared, True)):
        values = await client.get_node(method).read_attributes([ua.AttributeIds.Executable, ua.AttributeIds.UserExecutable])
        assert [value.Value.Value for value in values] == [executable, executable]


async def test_each_operation_of_a_call_has_its_own_result_and_there_are_not_more_than_advertised(face, client):
    as_role(face, "engineer")
    good = ua.CallMethodRequest(ObjectId=ours("Twin"), MethodId=ours("Twin/Override"), InputArguments=list(OVERRIDE))
    bad = ua.CallMethodRequest(ObjectId=ours("Twin"), MethodId=ours("Twin/Override"), InputArguments=[])
    results = await client.uaclient.call([good, bad, good])
    assert [one.StatusCode.value for one in results] == [0, Codes.BadArgumentsMissing, 0]
    most = await client.get_node(ua.NodeId(ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerMethodCall)).read_value()
    assert len(await client.uaclient.call([bad] * most)) == most
    with pytest.raises(UaStatusCodeError) as refused:
        await client.uaclient.call([bad] * (most + 1))
    assert refused.value.code == Codes.BadTooManyOperations
    with pytest.raises(UaStatusCodeError) as refused:
        await client.uaclient.call([])
    assert refused.value.code == Codes.BadNothingToDo


class Heard:
    """What a subscription's client hears."""

    def __init__(self):
        self.values, self.came = [], asyncio.Event()

    def datachange_notification(self, _node, value, _data):
        self.values.append(value)
        self.came.set()


async def test_a_client_learns_its_items_and_gets_their_values_again(client, face):
    """GetMonitoredItems and ResendData (Part 5, 9.1 and 9.2), for subscriptions of the calling session only."""
    heard = Heard()
    subscription = await client.create_subscription(20, heard)
    tag, other = client.get_node(ours("line.temp")), client.get_node(ours("line.temp/EURange"))
    handles = [await subscription.subscribe_data_change(node) for node in (tag, other)]
    get, resend = (ua.NodeId(getattr(ua.ObjectIds, f"Server_{name}")) for name in ("GetMonitoredItems", "ResendData"))
    number = ua.Variant(subscription.subscription_id, Type.UInt32)
    result = await call(client, SERVER, get, number)
    assert result.OutputArguments[0].Value == sorted(handles)
    assert len(result.OutputArguments[1].Value) == 2
    while len(heard.values) < 2:
        await asyncio.wait_for(heard.came.wait(), 5)
        heard.came.clear()
    assert (await call(client, SERVER, resend, number)).StatusCode.value == Codes.Good
    while len(heard.values) < 4:
        await asyncio.wait_for(heard.came.wait(), 5)
        heard.came.clear()
    assert heard.values[2:] == [20.0, heard.values[1]] or heard.values[2:] == [heard.values[1], 20.0]
    assert await status(client, SERVER, get, ua.Variant(99_999, Type.UInt32)) == Codes.BadSubscriptionIdInvalid
    async with Client(face.sink.url, timeout=10) as stranger:
        assert await status(stranger, SERVER, get, number) == Codes.BadUserAccessDenied
        assert await status(stranger, SERVER, resend, number) == Codes.BadUserAccessDenied


class Slow:
    """Commands that wait for the plant until it goes on."""

    def __init__(self, face, monkeypatch):
        self.asked, self.go_on = [], asyncio.Event()
        quick = face.commands.execute

        async def execute(command):
            self.asked.append(command.kind)
            await self.go_on.wait()
            return await quick(command)

        monkeypatch.setattr(face.commands, "execute", execute)


async def test_a_call_or_write_that_waits_for_the_plant_holds_up_nothing_else(face, client, monkeypatch):
    """The same connection's reads are answered meanwhile, and the answers come when the plant has spoken."""
    as_role(face, "engineer")
    slow = Slow(face, monkeypatch)
    called = asyncio.create_task(status(client, ours("Twin"), ours("Twin/Override"), *OVERRIDE))
    written = asyncio.create_task(client.get_node(ours("setpoint")).write_value(21.0, Type.Double))
    await eventually(lambda: slow.asked == ["tag.override", "tag.write"])
    assert await asyncio.wait_for(client.get_node(ours("Twin/StateVersion")).read_value(), 5) > 0
    assert not called.done()
    assert not written.done()
    slow.go_on.set()
    assert await called == Codes.Good
    await written


async def test_what_a_method_of_ours_does_wrong_is_no_decoding_error(face, client, caplog):
    """A result without what the Method is to answer with is a fault of the gateway, and is told to the log."""
    as_role(face, "engineer")
    face.commands.result = {}
    with pytest.raises(UaStatusCodeError) as fault:
        await call(client, ours("Twin"), ours("Twin/Commit"))
    assert fault.value.code == Codes.BadInternalError
    gc.collect()
    await eventually(lambda: "state_version" in caplog.text)
