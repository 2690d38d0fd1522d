"""What a broken or hostile peer gets from the OPC UA server: the right refusal, and nothing else happens."""

import asyncio
import logging
import math
import struct
import time

import pytest
from asyncua import Client, ua
from asyncua.common.utils import Buffer, NotEnoughData
from asyncua.ua.ua_binary import extensionobject_from_binary, struct_from_binary, struct_to_binary, variant_from_binary
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from gateway.model.tag import Tag
from gateway.wire.opcua import limits
from gateway.wire.opcua.guards import guard_codec
from support.opcua_face import opcua_face
from support.opcua_raw import connect, hello, said
from support.waiting import eventually

NS = 2
TAGS = [Tag(0, "a.x", sampling_interval_ns=10_000_000), Tag(1, "a.y")]


@pytest.fixture
async def face():
    async with opcua_face(TAGS, max_sessions=3) as running:
        await running.step({"a.x": 1.0, "a.y": 2.0})
        yield running


@pytest.fixture
async def client(face):
    async with Client(face.sink.url, timeout=10) as connected:
        yield connected


def port_of(face):
    return int(face.sink.url.split(":")[2].split("/")[0])


# --- the socket ---


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"MSGF" + struct.pack("<I", 0xFFFFFFFF), ua.StatusCodes.BadTcpMessageTooLarge),
        (b"HELF" + struct.pack("<I", 4_000_000_000), ua.StatusCodes.BadTcpMessageTooLarge),
        (b"HELF" + struct.pack("<I", 0), ua.StatusCodes.BadTcpMessageTooLarge),
        (b"HELF" + struct.pack("<I", 7), ua.StatusCodes.BadTcpMessageTooLarge),
        (b"GET / HTTP/1.1\r\n\r\n", ua.StatusCodes.BadTcpMessageTypeInvalid),
        (hello(receive=0), ua.StatusCodes.BadConnectionRejected),
        (hello(send=1), ua.StatusCodes.BadConnectionRejected),
        (b"MSGF" + struct.pack("<I", 12) + b"\x00" * 4, None),
        (b"ERRF" + struct.pack("<I", 16) + b"\xff" * 8, None),
    ],
)
async def test_what_is_no_message_of_the_protocol_ends_the_connection(face, sent, code):
    """Part 6, 7.1: said once, and closed; the other clients do not notice."""
    async with Client(face.sink.url) as good:
        reader, writer = await connect(port_of(face))
        writer.write(sent)
        writer.write_eof()
        got = await said(reader)
        assert code is None or got == code
        writer.close()
        assert await good.get_node(ua.NodeId("a.x", NS)).read_value() == 1.0


async def test_a_message_that_never_ends_is_not_kept(face):
    """Chunks without a final one, up to the limit: refused, and what was kept is given back."""
    client = Client(face.sink.url)
    await client.connect()
    channel = client.uaclient.protocol._connection
    transport = client.uaclient.protocol.transport
    number = 1000
    chunk = b"\x00" * 60_000
    for sent in range(limits.MESSAGE_BYTES // len(chunk) + 2):
        sequence = channel._sequence_number + 1 + sent
        body = struct.pack("<II", channel.security_token.TokenId, sequence) + struct.pack("<I", number) + chunk
        transport.write(b"MSGC" + struct.pack("<II", 12 + len(body), channel.security_token.ChannelId) + body)
        if sent % 16 == 0:
            await asyncio.sleep(0)
    await eventually(transport.is_closing, within=10)
    async with Client(face.sink.url) as good:
        assert await good.get_node(ua.NodeId("a.x", NS)).read_value() == 1.0
    await client.disconnect()


async def test_of_who_has_not_signed_in_little_is_kept(face):
    """The same before a session: a fraction of it, and the connection ends."""
    client = Client(face.sink.url)
    await client.connect_sessionless()
    channel, transport = client.uaclient.protocol._connection, client.uaclient.protocol.transport
    chunk = b"\x00" * 60_000
    for sent in range(limits.STRANGER_BYTES // len(chunk) + 1):
        head = struct.pack("<III", channel.security_token.TokenId, channel._sequence_number + 1 + sent, 1000)
        transport.write(b"MSGC" + struct.pack("<II", 24 + len(chunk), channel.security_token.ChannelId) + head + chunk)
    await eventually(transport.is_closing)
    client.disconnect_socket()


async def test_a_client_that_asks_faster_than_it_is_answered_is_not_read_meanwhile(face, client, monkeypatch):
    """And gets all its answers all the same."""
    monkeypatch.setattr(limits, "WAITING_MESSAGES", 3)
    held = []
    connection = next(iter(face.sink._server._listener.clients))
    connection.transport = Watched(connection.transport, held)
    node = client.get_node(ua.NodeId("a.x", NS))
    assert await asyncio.gather(*(node.read_value() for _ in range(60))) == [1.0] * 60
    assert held


class Watched:
    """A transport that notes when it is not read."""

    def __init__(self, transport, held):
        self._transport, self._held = transport, held

    def pause_reading(self):
        self._held.append(True)
        self._transport.pause_reading()

    def __getattr__(self, name):
        return getattr(self._transport, name)


async def test_a_wrong_sequence_number_ends_the_connection(face):
    """Part 6, 6.7.2.4."""
    client = Client(face.sink.url)
    await client.connect()
    client.uaclient.protocol._connection._sequence_number += 7
    with pytest.raises((UaError, ConnectionError, asyncio.CancelledError, TimeoutError)):
        await asyncio.wait_for(client.get_node(ua.NodeId("a.x", NS)).read_value(), 3)
    await eventually(lambda: not face.sink._server.interior._external_sessions)
    await client.disconnect()


# --- the codec ---


@pytest.mark.parametrize(
    "sent",
    [
        b"\x80" + struct.pack("<i", 2**31 - 1),  # an array of nulls
        b"\x8c" + struct.pack("<i", 2**31 - 1) + struct.pack("<i", -4),  # strings of negative length
        b"\x8c" + struct.pack("<i", -2),
        b"\x8b" + struct.pack("<i", 1_000_000),
        b"\x0c" + struct.pack("<i", -7),
        b"\xc6" + struct.pack("<ii", 1, 1) + struct.pack("<iii", 2, 1000, 1000),  # dimensions beyond the elements
    ],
)
def test_a_length_that_cannot_be_is_refused_at_once(sent):
    guard_codec()
    started = time.perf_counter()
    with pytest.raises((NotEnoughData, UaError, ValueError)):
        variant_from_binary(Buffer(sent))
    assert time.perf_counter() - started < 0.01


def test_the_guarded_codec_still_reads_what_it_should():
    guard_codec()
    guard_codec()
    for value in ([], [1.0, 2.0], ["a", None, ""], [True], [ua.LocalizedText("x")]):
        kind = {float: ua.VariantType.Double, str: ua.VariantType.String, bool: ua.VariantType.Boolean}.get(
            type(value[0] if value else 0.0)
        )
        variant = ua.Variant(value, kind or ua.VariantType.LocalizedText, is_array=True)
        got = struct_from_binary(ua.DataValue, Buffer(struct_to_binary(ua.DataValue(variant))))
        assert got.Value.Value == value


def test_deep_nesting_is_refused_and_harms_nobody():
    guard_codec()
    nested = b"\x98" + struct.pack("<i", 1)
    with pytest.raises((RecursionError, UaError)):
        variant_from_binary(Buffer(nested * 20_000 + b"\x00" * 20_000))
    assert extensionobject_from_binary(Buffer(b"\x00\x00\x00")) is not None


async def test_a_request_that_cannot_be_decoded_is_a_fault_and_the_session_lives(face, client):
    """BadDecodingError (Part 4, 7.38.2), counted."""
    request = ua.ReadRequest()
    data = bytearray(struct_to_binary(request))
    data[-4:] = struct.pack("<i", limits.NODES_PER_READ)  # NodesToRead of so many elements, and no bytes
    with pytest.raises(UaStatusCodeError) as refused:
        await send_raw(client, bytes(data))
    assert refused.value.code == ua.StatusCodes.BadDecodingError
    assert face.report.counts["malformed_requests"] == 1
    assert await client.get_node(ua.NodeId("a.x", NS)).read_value() == 1.0


async def send_raw(client, data):
    """A request as given, but with this session's token: the answer's fault is raised."""
    protocol = client.uaclient.protocol
    request = struct_from_binary(ua.RequestHeader, Buffer(data[4:]))
    rest = data[4 + len(struct_to_binary(request)) :]
    request.AuthenticationToken = protocol.authentication_token
    protocol._request_handle += 1
    request.RequestHandle = protocol._request_handle
    protocol._request_id += 1
    future = asyncio.get_running_loop().create_future()
    protocol._callbackmap[protocol._request_id] = future
    whole = data[:4] + struct_to_binary(request) + rest
    protocol.transport.write(protocol._connection.message_to_binary(whole, request_id=protocol._request_id))
    answer = await asyncio.wait_for(future, 5)
    protocol.check_answer(answer, " to a raw request")


# --- sessions ---


@pytest.mark.parametrize("asked", [math.nan, math.inf, -1.0, 0.0, 1e300])
async def test_a_session_timeout_that_is_none_is_revised(face, asked):
    client = Client(face.sink.url)
    client.session_timeout = asked
    async with client:
        assert 5_000 <= client.session_timeout <= 600_000
        assert math.isfinite(client.session_timeout)


async def test_tokens_cannot_be_counted_up(face):
    """Part 4, 5.6.2: 32 random bytes; another connection with a guessed one gets nothing."""
    async with Client(face.sink.url) as one, Client(face.sink.url) as two:
        tokens = [client.uaclient.protocol.authentication_token for client in (one, two)]
        assert all(token.NodeIdType is ua.NodeIdType.ByteString and len(token.Identifier) == 32 for token in tokens)
        assert tokens[0] != tokens[1]
        two.uaclient.protocol.authentication_token = ua.NodeId(1001)
        with pytest.raises(UaStatusCodeError) as refused:
            await two.get_node(ua.NodeId("a.x", NS)).read_value()
        assert refused.value.code == ua.StatusCodes.BadSessionIdInvalid
        two.uaclient.protocol.authentication_token = tokens[1]


async def test_sessions_are_limited_and_given_back(face):
    """One for each connection, max_sessions in all; a dropped connection leaves none behind."""
    async with Client(face.sink.url) as first:
        with pytest.raises(UaStatusCodeError) as refused:
            await first.uaclient.session.create_session(ua.CreateSessionParameters())
        assert refused.value.code == ua.StatusCodes.BadTooManySessions
        async with Client(face.sink.url), Client(face.sink.url):
            fourth = Client(face.sink.url)
            with pytest.raises(UaStatusCodeError) as full:
                await fourth.connect()
            assert full.value.code == ua.StatusCodes.BadTooManySessions
            await fourth.disconnect()
    registry = face.sink._server.interior._external_sessions
    await eventually(lambda: not registry)
    dropped = Client(face.sink.url)
    await dropped.connect_sessionless()
    await dropped.uaclient.create_session(ua.CreateSessionParameters(RequestedSessionTimeout=5000.0))
    assert len(registry) == 1
    dropped.uaclient.protocol.transport.abort()
    await eventually(lambda: not registry)


async def test_clients_that_vanish_do_not_lock_others_out(face):
    """A session outlives its connection so that its client may come back to it; where all are taken, the oldest such gives way."""
    for _ in range(3):
        lost = Client(face.sink.url)
        await lost.connect()
        await lost.create_subscription(1000, None)
        lost.uaclient.protocol.transport.abort()
        await lost.disconnect()
    registry = face.sink._server.interior._external_sessions
    await eventually(lambda: len(registry) == 3 and not any(session.connected for session in registry.values()))
    async with Client(face.sink.url) as there:
        assert await there.get_node(ua.NodeId("a.x", NS)).read_value() == 1.0
    assert face.report.counts["sessions_evicted"] == 1


async def test_a_client_comes_back_to_its_session_and_misses_nothing(face):
    """Part 4, 6.7: another connection, the same session: the subscription goes on and brings what happened meanwhile."""
    heard = []

    class Listener:
        def datachange_notification(self, node, value, data):
            heard.append(value)

        def status_change_notification(self, status):
            heard.append(status)

    async with Client(face.sink.url, auto_reconnect=True, reconnect_max_delay=1) as client:
        subscription = await client.create_subscription(50, Listener())
        await subscription.subscribe_data_change(client.get_node(ua.NodeId("a.x", NS)), queuesize=50, sampling_interval=0.0)
        await eventually(lambda: heard == [1.0])
        client.uaclient.protocol.transport.abort()
        for value in range(2, 12):
            await face.step({"a.x": float(value)})
        await eventually(lambda: heard[-1:] == [11.0], within=15)
        assert heard == [float(value) for value in range(1, 12)]


async def test_services_that_are_not_served_say_so(face, client):
    """BadServiceUnsupported, also for what needs no session (RegisterServer would let anybody write here)."""
    session = client.uaclient
    server = ua.RegisteredServer(ServerUri="urn:x", ServerNames=[ua.LocalizedText("x")], DiscoveryUrls=["opc.tcp://x"])
    for attempt in (
        session.register_server(server),
        session.session.add_nodes([ua.AddNodesItem()]),
        session.protocol.send_request(ua.HistoryUpdateRequest()),
    ):
        with pytest.raises(UaStatusCodeError) as refused:
            await attempt
        assert refused.value.code == ua.StatusCodes.BadServiceUnsupported
    found = [one.ApplicationUri for one in await client.uaclient.find_servers(ua.FindServersParameters())]
    assert found == [(await client.get_namespace_array())[1]]


# --- limits ---


async def test_subscriptions_are_limited_for_each_session(client):
    session = client.uaclient.session
    wanted = ua.CreateSubscriptionParameters(1000.0, 100, 10)
    made = [await session.create_subscription(wanted, lambda _: None) for _ in range(limits.SUBSCRIPTIONS_PER_SESSION)]
    with pytest.raises(UaStatusCodeError) as refused:
        await session.create_subscription(wanted, lambda _: None)
    assert refused.value.code == ua.StatusCodes.BadTooManySubscriptions
    await session.delete_subscriptions([subscription.SubscriptionId for subscription in made])
    assert await session.create_subscription(ua.CreateSubscriptionParameters(1000.0, 100, 10), lambda _: None)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda session: session.browse(ua.BrowseParameters(NodesToBrowse=[ua.BrowseDescription()] * (limits.NODES_PER_BROWSE + 1))),
        lambda session: session.translate_browsepaths_to_nodeids([ua.BrowsePath()] * (limits.NODES_PER_TRANSLATE + 1)),
        lambda session: session.write(ua.WriteParameters([ua.WriteValue()] * (limits.NODES_PER_WRITE + 1))),
        lambda session: session.register_nodes([ua.NodeId(85)] * (limits.NODES_PER_REGISTER + 1)),
        lambda session: session.unregister_nodes([ua.NodeId(85)] * (limits.NODES_PER_REGISTER + 1)),
        lambda session: session.call([ua.CallMethodRequest()] * (limits.METHODS_PER_CALL + 1)),
        lambda session: session.translate_browsepaths_to_nodeids(
            [ua.BrowsePath(ua.NodeId(85), ua.RelativePath([ua.RelativePathElement(TargetName=ua.QualifiedName("x"))] * 20_000))]
        ),
    ],
)
async def test_more_operations_than_advertised_are_refused_whole(client, attempt):
    with pytest.raises(UaStatusCodeError) as refused:
        await attempt(client.uaclient.session)
    assert refused.value.code == ua.StatusCodes.BadTooManyOperations


async def test_the_advertised_limits_are_the_enforced_ones(client):
    for identifier, enforced in (
        (ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead, limits.NODES_PER_READ),
        (ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse, limits.NODES_PER_BROWSE),
        (ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall, limits.ITEMS_PER_CALL),
    ):
        assert await client.get_node(ua.NodeId(identifier)).read_value() == enforced


async def test_a_client_that_does_not_read_is_cut_off(face, monkeypatch):
    """Answers wait for it up to a limit, not for ever (counted)."""
    monkeypatch.setattr(limits, "UNREAD_BYTES", 200_000)
    client = Client(face.sink.url)
    await client.connect()
    transport = client.uaclient.protocol.transport
    transport.pause_reading()
    wanted = ua.ReadParameters(NodesToRead=[ua.ReadValueId(ua.NodeId("a.x", NS), ua.AttributeIds.Value)] * 5000)
    asked = [asyncio.ensure_future(client.uaclient.session.read(wanted)) for _ in range(90)]
    await eventually(lambda: face.report.counts["slow_clients_closed"] == 1, within=15)
    for one in asked:
        one.cancel()
    transport.abort()
    await asyncio.gather(*asked, return_exceptions=True)
    await client.disconnect()


# --- subscriptions ---


async def test_a_subscription_nobody_asks_about_ends_and_says_so(face):
    """Lifetime (Part 4, 5.13.1.2 row 27): the next Publish request hears StatusChange(BadTimeout), the one after BadNoSubscription."""
    async with Client(face.sink.url) as client:
        session = client.uaclient.session
        server = face.sink._server.interior.subscription_service
        params = ua.CreateSubscriptionParameters(10.0, 3, 1, 0, True, 0)
        request = ua.CreateSubscriptionRequest()
        request.Parameters = params
        await session._send_request(request)  # without the client's own loop of Publish requests
        await eventually(lambda: face.report.counts["subscriptions_expired"] == 1)
        assert not server.subscriptions
        heard = struct_from_binary(ua.PublishResponse, await session._send_request(ua.PublishRequest(), timeout=5))
        (last,) = heard.Parameters.NotificationMessage.NotificationData
        assert last.Status.value == ua.StatusCodes.BadTimeout
        with pytest.raises(UaStatusCodeError) as refused:
            struct_from_binary(ua.PublishResponse, await session._send_request(ua.PublishRequest(), timeout=5))
        assert refused.value.code == ua.StatusCodes.BadNoSubscription


async def test_republish_gives_back_what_was_not_acknowledged_as_often_as_asked(face):
    """Part 4, 5.13.6; after the acknowledgement BadMessageNotAvailable."""
    async with Client(face.sink.url) as client:
        session = client.uaclient.session
        create = ua.CreateSubscriptionRequest()
        create.Parameters = ua.CreateSubscriptionParameters(10.0, 1000, 100, 0, True, 0)
        made = struct_from_binary(ua.CreateSubscriptionResponse, await session._send_request(create)).Parameters
        item = ua.MonitoredItemCreateRequest(
            ua.ReadValueId(ua.NodeId("a.x", NS), ua.AttributeIds.Value),
            ua.MonitoringMode.Reporting,
            ua.MonitoringParameters(5, 0.0, None, 1, True),
        )
        await session.create_monitored_items(ua.CreateMonitoredItemsParameters(made.SubscriptionId, ua.TimestampsToReturn.Both, [item]))
        first = struct_from_binary(ua.PublishResponse, await session._send_request(ua.PublishRequest(), timeout=5)).Parameters
        while not first.NotificationMessage.NotificationData:
            first = struct_from_binary(ua.PublishResponse, await session._send_request(ua.PublishRequest(), timeout=5)).Parameters
        number = first.NotificationMessage.SequenceNumber
        assert list(first.AvailableSequenceNumbers) == [number]
        for _ in range(2):
            again = ua.RepublishRequest()
            again.Parameters = ua.RepublishParameters(made.SubscriptionId, number)
            message = struct_from_binary(ua.RepublishResponse, await session._send_request(again)).NotificationMessage
            assert message.NotificationData == first.NotificationMessage.NotificationData
        acknowledge = ua.PublishRequest()
        acknowledge.Parameters.SubscriptionAcknowledgements = [
            ua.SubscriptionAcknowledgement(made.SubscriptionId, number),
            ua.SubscriptionAcknowledgement(made.SubscriptionId, 999),
        ]
        pending = asyncio.ensure_future(session._send_request(acknowledge, timeout=5))
        await face.step({"a.x": 5.0})
        got = struct_from_binary(ua.PublishResponse, await pending).Parameters
        assert [code.value for code in got.Results] == [0, ua.StatusCodes.BadSequenceNumberUnknown]
        with pytest.raises(UaStatusCodeError) as gone:
            await session._send_request(again)
        assert gone.value.code == ua.StatusCodes.BadMessageNotAvailable


async def test_a_subscription_leaves_nothing_behind(client):
    """The library gives each one a logger, which would stay for good."""
    session = client.uaclient.session
    for _ in range(3):
        before = len(logging.Logger.manager.loggerDict)
        made = await session.create_subscription(ua.CreateSubscriptionParameters(1000.0, 100, 10), lambda _: None)
        await session.delete_subscriptions([made.SubscriptionId])
    assert len(logging.Logger.manager.loggerDict) == before


async def test_publish_requests_beyond_the_limit_push_out_the_oldest(face):
    async with Client(face.sink.url) as client:
        session = client.uaclient.session
        create = ua.CreateSubscriptionRequest()
        create.Parameters = ua.CreateSubscriptionParameters(3_000_000.0, 1000, 100, 0, True, 0)
        await session._send_request(create)
        asked = [
            asyncio.ensure_future(session._send_request(ua.PublishRequest(), timeout=10))
            for _ in range(limits.PUBLISH_REQUESTS_PER_SESSION + 3)
        ]
        await eventually(lambda: sum(one.done() for one in asked) >= 3)
        codes = [one.exception().code for one in asked if one.done() and one.exception()]
        assert set(codes) == {ua.StatusCodes.BadTooManyPublishRequests}
        for one in asked:
            one.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
