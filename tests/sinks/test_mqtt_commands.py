"""Commands over MQTT, against Mosquitto: who may, once only, and in time; whatever else comes is refused in words."""

import asyncio
import json
import time

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from pydantic import ValidationError

from gateway.access.people import People
from gateway.access.roles import allowed
from gateway.model.instant import iso
from gateway.operations import Door, Operation
from gateway.sinks.mqtt.commands import AT_ONCE, SLOTS, Unfit, Used
from gateway.sinks.mqtt.config import Config
from gateway.wire.mqtt import packets
from support.mqtt_face import PATH, TAGS, MqttFace, connected, subscriber
from support.waiting import eventually

SECOND = 1_000_000_000
CMD, REPLY = f"{PATH}/_cmd/simulation.run", f"{PATH}/_cmd/simulation.run/reply"


class Memory(dict):
    """A unit's few words."""

    def put(self, key, value):
        self[key] = value


class Room:
    """A sink that takes commands, its people, its door, and what the door was asked."""

    def __init__(self, url, memory=None):
        self.asked, self.records = [], []
        self.held = asyncio.Event()
        self.held.set()
        self.people = People(now_ns=time.time_ns)
        self.memory = Memory() if memory is None else memory
        table = {
            "simulation.run": Operation("sim:run", self._do, "a what-if"),
            "token.add": Operation("user:manage", self._do, "a token"),
        }
        context = {
            "access": self.people,
            "memory": self.memory,
            "commands": Door(table, allowed, self._audit),
            "record": self._audit,
        }
        self.face = MqttFace(url, TAGS, context=context, commands=True)

    async def _do(self, args, caller):
        self.asked.append((dict(args), caller.user, caller.origin))
        await self.held.wait()
        return {"run": "r1"}

    async def _audit(self, command, outcome):
        self.records.append((command.kind, command.caller.user, outcome.status))

    async def token(self, role="operator", owner=""):
        return (await self.people.tokens.create("line2", role, None, owner))[1]


@pytest.fixture
async def room(mosquitto):
    made = Room(mosquitto.url)
    sink = await connected(made.face)
    listening = asyncio.create_task(sink.gone())
    yield made
    listening.cancel()
    await asyncio.wait([listening])
    await sink.close()


@pytest.fixture
async def heard(mosquitto, room):
    async with subscriber(mosquitto.port, f"{PATH}/_cmd/+/reply", "plant/#") as one:
        yield one


@pytest.fixture
async def client(mosquitto):
    async with aiomqtt.Client("127.0.0.1", mosquitto.port, protocol=aiomqtt.ProtocolVersion.V5) as one:
        yield one


def ahead(seconds=60.0):
    return iso(time.time_ns() + int(seconds * SECOND))


async def send(client, document, topic=CMD, **how):
    payload = document if isinstance(document, bytes) else json.dumps(document).encode()
    await client.publish(topic, payload, qos=1, **how)


async def answers(heard, n, topic=REPLY):
    return await eventually(lambda: len(heard.on(topic)) >= n and heard.on(topic))


async def test_a_command_of_a_machine_is_done_and_answered(room, heard, client):
    token = await room.token()
    await send(client, {"id": "a1", "token": token, "expires": ahead(), "args": {"parameters": {"line.sp": 26}}})
    (answer,) = await answers(heard, 1)
    assert answer.pop("timestamp").endswith("Z")
    assert answer == {"id": "a1", "command": "simulation.run", "status": "Good", "code": 0, "message": "done", "result": {"run": "r1"}}
    assert room.asked == [({"parameters": {"line.sp": 26}}, "token:line2", "mqtt")]
    assert token not in str(heard.messages)


async def test_an_id_is_used_once_also_after_a_restart(room, heard, client, mosquitto):
    token, expires = await room.token(), ahead()
    command = {"id": "a1", "token": token, "expires": expires}
    await send(client, command)
    await send(client, command)
    found = await answers(heard, 2)
    assert sorted(one["status"] for one in found) == ["BadNonceInvalid", "Good"]
    other = await room.people.tokens.create("line3", "operator", None)
    await send(client, command | {"token": other[1]})  # another's id is another id
    assert (await answers(heard, 3))[-1]["status"] == "Good"
    await room.face.sink.close()
    sink = MqttFace(mosquitto.url, TAGS, context={"access": room.people, "memory": room.memory, "record": room._audit}, commands=True).sink
    await sink.connect()
    listening = asyncio.create_task(sink.gone())
    await send(client, command)
    assert (await answers(heard, 4))[-1]["status"] == "BadNonceInvalid"
    listening.cancel()
    await asyncio.wait([listening])
    await sink.close()
    assert len(room.asked) == 2


async def test_the_reply_goes_where_mqtt_5_asks_for_it_but_never_onto_the_gateways_own_topics(room, heard, client):
    token = await room.token()
    for n, topic in enumerate(("plant/answers", f"{PATH}/_status", "$SYS/x", "")):
        properties = Properties(PacketTypes.PUBLISH)
        if topic:
            properties.ResponseTopic = topic
        properties.CorrelationData = b"\x01\x02"
        properties.MessageExpiryInterval = 30
        properties.UserProperty = ("a", "b")
        await send(client, {"id": f"a{n}", "token": token, "expires": ahead()}, properties=properties)
    await answers(heard, 4)
    assert [one["id"] for one in heard.on("plant/answers")] == ["a0"]
    assert {topic for topic, _, _ in heard.messages} == {REPLY, "plant/answers"}


async def test_a_stranger_is_answered_on_the_usual_topic_only(room, heard, client):
    properties = Properties(PacketTypes.PUBLISH)
    properties.ResponseTopic = "plant/answers"
    await send(client, {"id": "a1", "token": "edgetwin_wrong", "expires": ahead()}, properties=properties)
    (answer,) = await answers(heard, 1)
    assert (answer["id"], answer["status"]) == ("a1", "BadUserAccessDenied")
    assert heard.on("plant/answers") == []
    assert room.asked == []


@pytest.mark.parametrize(
    ("document", "status"),
    [
        (b"", "BadDecodingError"),
        (b"{", "BadDecodingError"),
        (b"\xff\xfe", "BadDecodingError"),
        (b"[]", "BadDecodingError"),
        (b"null", "BadDecodingError"),
        (b"[" * 50_000, "BadDecodingError"),
        (b'{"id": "a", "token": TOKEN, "expires": EXPIRES, "args": {"x": NaN}}', "BadDecodingError"),
        (b'{"id": "a", "token": TOKEN, "expires": EXPIRES, "args": {"x": "\\ud800"}}', "BadDecodingError"),
        (b'{"id": "a", "token": TOKEN, "expires": EXPIRES, "args": {"x": 1' + b"0" * 400 + b"}}", "BadDecodingError"),
        (b'{"id": "a", "token": TOKEN, "expires": EXPIRES, "args": ' + b'{"a":' * 400 + b"1" + b"}" * 401, "BadDecodingError"),
        (b'{"id": "a", "token": TOKEN, "expires": EXPIRES, "more": 1}', "BadDecodingError"),
        (b'{"id": 7, "token": TOKEN, "expires": EXPIRES}', "BadDecodingError"),
        (b'{"id": "", "token": TOKEN, "expires": EXPIRES}', "BadDecodingError"),
        (b'{"id": "a", "token": TOKEN, "expires": true}', "BadDecodingError"),
        (b'{"id": "a", "token": TOKEN, "expires": EXPIRES, "args": []}', "BadDecodingError"),
        (b'{"id": "a", "token": TOKEN}', "BadDecodingError"),
        (b'{"id": "a", "token": TOKEN, "expires": "soon"}', "BadInvalidTimestamp"),
        (b'{"id": "a", "token": TOKEN, "expires": "2020-01-01T00:00:00Z"}', "BadInvalidTimestamp"),
        (b'{"id": "a", "token": TOKEN, "expires": "2200-01-01T00:00:00Z"}', "BadInvalidTimestamp"),
        (b'{"id": "a", "token": TOKEN, "expires": 1e400}', "BadDecodingError"),
        (b'{"id": "a", "token": TOKEN, "expires": 1e300}', "BadInvalidTimestamp"),
        (b'{"id": "a", "token": "x", "expires": EXPIRES}', "BadUserAccessDenied"),
        (b'{"id": "a", "token": TOKEN, "expires": EXPIRES, "args": {"x": "' + b"y" * 70_000 + b'"}}', "BadRequestTooLarge"),
    ],
)
async def test_what_cannot_be_is_refused(room, heard, client, document, status):
    token = json.dumps(await room.token()).encode()
    await send(client, document.replace(b"TOKEN", token).replace(b"EXPIRES", json.dumps(ahead()).encode()))
    (answer,) = await answers(heard, 1)
    assert answer["status"] == status
    assert answer["message"]
    assert room.asked == []


async def test_roles_are_of_the_token_and_people_sign_in_elsewhere(room, heard, client):
    await room.people.users.add("ola", "operator", "Correct-Horse-7-Battery")
    own = await room.token(owner="ola")
    for identifier, token in (("viewer", await room.token("viewer")), ("person", own)):
        await send(client, {"id": identifier, "token": token, "expires": ahead()})
    found = {one["id"]: one["status"] for one in await answers(heard, 2)}
    assert found == {"viewer": "BadUserAccessDenied", "person": "BadUserAccessDenied"}
    assert room.asked == []


async def test_what_is_for_one_person_only_is_not_told_to_all_who_hear_the_reply(room, heard, client):
    await send(client, {"id": "a", "token": await room.token("admin"), "expires": ahead()}, f"{PATH}/_cmd/token.add")
    (answer,) = await answers(heard, 1, f"{PATH}/_cmd/token.add/reply")
    assert answer["status"] == "BadNotSupported"
    await send(client, {"id": "b", "token": await room.token("admin"), "expires": ahead()}, f"{PATH}/_cmd/no.such")
    (answer,) = await answers(heard, 1, f"{PATH}/_cmd/no.such/reply")
    assert answer["status"] == "BadNotSupported"
    assert room.asked == []
    assert ("token.add", "token:line2", 0x803D_0000) in room.records


async def test_a_retained_command_is_none(mosquitto, client):
    """It would come again with each connection."""
    made = Room(mosquitto.url)
    await send(client, {"id": "a", "token": await made.token(), "expires": ahead()}, retain=True)
    async with subscriber(mosquitto.port, REPLY) as heard:
        sink = await connected(made.face)
        listening = asyncio.create_task(sink.gone())
        (answer,) = await answers(heard, 1)
        assert answer["status"] == "BadNotSupported"
        listening.cancel()
        await asyncio.wait([listening])
        await sink.close()
    assert made.asked == []


async def test_only_so_many_are_under_way(room, heard, client):
    token = await room.token()
    room.held.clear()
    for n in range(AT_ONCE + 1):
        await send(client, {"id": f"a{n}", "token": token, "expires": ahead()})
    (busy,) = await answers(heard, 1)
    assert busy["status"] == "BadTooManyOperations"
    assert len(room.asked) == AT_ONCE
    room.held.set()
    await answers(heard, AT_ONCE + 1)


def test_an_id_is_remembered_until_it_expires_and_only_so_many_are():
    used = Used(memory := Memory())
    for n in range(SLOTS):
        used.take(f"id{n}", 100 + n, 0)
    with pytest.raises(Unfit, match="1000 commands"):
        used.take("one more", 100, 50)
    with pytest.raises(Unfit, match="used already"):
        Used(memory).take("id5", 105, 104)
    used.take("one more", 200, 100)  # id0 has expired
    used.take("id0", 300, 101)  # ... and says nothing any more
    assert len(memory) == SLOTS


async def test_commands_are_off_unless_the_configuration_says_so(mosquitto):
    """The broker is not even asked for them."""
    sink = await connected(MqttFace(mosquitto.url, TAGS))
    await sink.close()
    assert "SUBSCRIBE" not in mosquitto.log


def test_tokens_do_not_go_in_clear_beyond_this_machine():
    with pytest.raises(ValidationError, match="mqtts"):
        Config(url="mqtt://10.0.0.5", commands=True)
    assert Config(url="mqtts://10.0.0.5", commands=True).commands
    assert Config(url="mqtt://127.0.0.1", commands=True).commands


@pytest.mark.parametrize("properties", [b"\x08", b"\x08\x00", b"\x08\x00\x09ab", b"\x26\x00\x01a", b"\x7f"])
def test_a_block_of_properties_that_is_none_is_malformed(properties):
    with pytest.raises(packets.Malformed):
        packets.reply_to(properties)
