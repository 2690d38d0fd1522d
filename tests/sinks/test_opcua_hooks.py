"""The places where we reach into the library, each pinned: a version that no longer calls them must fail here, not in the field."""

from importlib.metadata import version

import pytest
from asyncua import Client, ua
from asyncua.server.internal_server import InternalServer
from asyncua.ua import ua_binary
from asyncua.ua.ua_binary import struct_to_binary

from gateway.contracts import NotConnected
from gateway.model.tag import Tag
from gateway.wire.opcua import channel, chunks, guards, items, listener, processor, publishing, reads, server, sessions, standard, views
from support.opcua_face import CACHE, opcua_face
from support.waiting import eventually

NS = 2
TAGS = [Tag(0, "a.x", sampling_interval_ns=10_000_000), Tag(1, "a.y")]


def test_the_library_is_the_version_the_hooks_were_written_for():
    assert version("asyncua") == "2.1.0"


HOOKS = [
    (listener.Connection, "connection_made"),
    (listener.Listener, "_make_protocol"),
    (server.Interior, "create_session"),
    (server.Anonymous, "get_user"),
    (guards.GuardedProtocol, "data_received"),
    (guards.GuardedProtocol, "_process_one_msg"),
    (channel.Channel, "open"),
    (channel.Channel, "select_policy"),
    (channel.Channel, "_check_sym_header"),
    (channel.Channel, "receive_from_header_and_body"),
    (chunks.Chunked, "message_to_binary"),
    (chunks.Chunked, "receive_from_header_and_body"),
    (processor.Processor, "process"),
    (processor.Processor, "process_message"),
    (processor.Processor, "_process_message"),
    (processor.Processor, "close"),
    (sessions.Session, "create_session"),
    (sessions.Session, "read"),
    (sessions.Session, "write"),
    (sessions.Session, "translate_browsepaths_to_nodeids"),
    (sessions.Session, "create_monitored_items"),
    (sessions.Session, "modify_monitored_items"),
    (sessions.Session, "set_monitoring_mode"),
    (sessions.Session, "set_publishing_mode"),
    (sessions.Session, "modify_subscription"),
    (sessions.Session, "delete_monitored_items"),
    (sessions.Session, "delete_subscriptions"),
    (publishing.Publishing, "create_subscription"),
    (publishing.Publishing, "delete_subscriptions"),
    (publishing.Subscription, "start"),
    (items.MonitoredItems, "create_monitored_items"),
    (items.MonitoredItems, "modify_monitored_items"),
    (items.MonitoredItems, "set_monitoring_mode"),
    (items.MonitoredItems, "delete_monitored_items"),
    (reads.Reads, "answer"),
    (views.Views, "browse"),
]


@pytest.fixture
def called(monkeypatch):
    """Names of hooks that were called, by class and method; each still does its work."""
    seen = set()
    for owner, name in HOOKS:
        original = owner.__dict__[name]

        def noting(*args, _original=original, _key=(owner.__name__, name), **kwargs):
            seen.add(_key)
            return _original(*args, **kwargs)

        monkeypatch.setattr(owner, name, noting)
    return seen


async def test_every_hook_is_still_called(called):
    """One client that uses each service once passes through all of our overrides."""
    async with opcua_face(TAGS) as face:
        await face.step({"a.x": 1.0})
        client = Client(face.sink.url)
        async with client:
            await use_everything(face, client)
        await eventually(lambda: ("Processor", "close") in called)
    assert called == {(owner.__name__, name) for owner, name in HOOKS}


async def use_everything(face, client):
    node = client.get_node(ua.NodeId("a.x", NS))
    session = client.uaclient.session
    assert await node.read_value() == 1.0
    await client.get_node(ua.NodeId(2254)).read_value()
    await session.write(ua.WriteParameters([ua.WriteValue(node.nodeid, ua.AttributeIds.Value, None, ua.DataValue(ua.Variant(1.0)))]))
    await client.nodes.objects.get_child(["2:line1", "2:a", "2:x"])
    await node.get_references()
    await session.browse_next(ua.BrowseNextParameters(True, [b"x"]))
    heard = []
    subscription = await client.create_subscription(20, Heard(heard))
    handle = await subscription.subscribe_data_change(node)
    await subscription.subscribe_data_change(client.get_node(ua.NodeId(2258)))
    await eventually(lambda: heard)
    await subscription.modify_monitored_item(handle, 10.0, 5)
    await subscription.set_monitoring_mode(ua.MonitoringMode.Sampling)
    await subscription.set_publishing_mode(False)
    await client.uaclient.modify_subscription(ua.ModifySubscriptionParameters(subscription.subscription_id, 100.0, 100, 10))
    await subscription.unsubscribe(handle)
    await subscription.delete()


class Heard:
    def __init__(self, heard):
        self._heard = heard

    def datachange_notification(self, node, value, data):
        self._heard.append(value)

    def status_change_notification(self, status):
        pass


def test_the_codec_guards_are_what_the_library_decodes_with():
    guards.guard_codec()
    assert ua_binary._create_uatype_array_deserializer is guards._checked_array
    assert ua_binary._create_list_deserializer is guards._checked_list
    assert ua_binary.Buffer.read is guards._checked_read


def test_our_response_head_is_the_library_s():
    """Publish and Read answers are packed by hand: the header must be byte for byte the library's."""
    header = ua.ResponseHeader(RequestHandle=7)
    ticks = ua.datetime_to_win_epoch(header.Timestamp)
    assert processor._RESPONSE_HEAD.pack(ticks, 7, 0, 0, -1, 0, 0, 0)[:17] == struct_to_binary(header)[:17]
    assert processor._RESPONSE_HEAD.size == len(struct_to_binary(header))


async def test_the_file_of_standard_nodes_is_found_or_made_or_its_lack_is_said(tmp_path, monkeypatch):
    """Where the code folder may not be written it goes to the data; where that fails too, NotConnected."""
    monkeypatch.setattr(standard, "file_name", lambda: "opcua-standard-of-this-test.bin")
    monkeypatch.setattr(standard.sys, "dont_write_bytecode", True)
    made = await standard.standard_file(tmp_path / "cache")
    assert made == tmp_path / "cache" / "opcua-standard-of-this-test.bin"
    assert len(standard.StandardNodes(made)) > 6000
    (tmp_path / "a file").write_text("")
    with pytest.raises(NotConnected, match="standard nodes"):
        await standard.standard_file(tmp_path / "a file")
    (tmp_path / "other.bin").write_bytes(b"not that" + bytes(100))
    with pytest.raises(ValueError, match="not a file of standard nodes"):
        standard.StandardNodes(tmp_path / "other.bin")


async def test_the_file_of_standard_nodes_holds_every_node_as_the_library_builds_it():
    """All attributes and references of all 6 000 nodes, by their encoding; also what is there only now and then."""
    nodes = standard.StandardNodes(await standard.standard_file(CACHE))
    library = InternalServer()
    await library.load_standard_address_space()
    await library._address_space_fixes()
    assert len(nodes) == len(library.aspace._nodes)
    for nodeid, expected in library.aspace._nodes.items():
        assert standard._encode(nodes.get(nodeid.Identifier)) == standard._encode(expected)
    assert nodes.get(4_000_000) is None
    assert nodes.get(-1) is None
