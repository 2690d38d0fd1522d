"""Requests as a real client sends them, changed at random: each is answered, refused, or ends its own connection, and nothing else."""

import asyncio
import logging
import struct
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from asyncua import Client, ua
from asyncua.common.utils import Buffer
from asyncua.ua.uaerrors import UaError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.model.tag import Tag, TagType
from gateway.wire.opcua.heads import request_head
from support.opcua_raw import Ended, Raw, connect, hello
from support.past import NOON, SECOND, past

CODES = ua.StatusCodes
TAGS = [Tag(0, "a.x"), Tag(1, "a.y", type=TagType.INT), Tag(2, "a.name", type=TagType.TEXT)]
X = ua.NodeId("a.x", 2)
SERVICES = 26
SUBSCRIPTION, ITEM = 0x5AB5_AB5A, 0x17E1_7E17
"""In what is recorded; each session has its own."""
MODEST = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
NUMBERS = st.sampled_from([0, 1, 2, 7, -1, -2, -4, 255, 65_535, 2**31 - 1, -(2**31), 100_000, 4_000_000])


class Recorder:
    """Requests, type and parameters, that pass a client's connection."""

    def __init__(self):
        self.seen = {}

    def listen(self, client):
        connection = client.uaclient.protocol._connection
        send = connection.message_to_binary

        def recording(message, *args, **kwargs):
            body = Buffer(message)
            kind, _ = request_head(body)
            self.seen.setdefault((kind.Identifier, len(body)), bytes(body))
            return send(message, *args, **kwargs)

        connection.message_to_binary = recording


async def every_service(url):
    """What a client of the library's says in a session that uses everything."""
    recorder, client = Recorder(), Client(url, timeout=5)
    await client.connect_socket()
    await client.send_hello()
    recorder.listen(client)
    await client.open_secure_channel()
    await client.create_session()
    await client.activate_session()
    link, session = client.uaclient, client.uaclient.session
    for attempt in (
        link.find_servers(ua.FindServersParameters()),
        link.get_endpoints(ua.GetEndpointsParameters(EndpointUrl=url)),
        session.read(ua.ReadParameters(NodesToRead=[ua.ReadValueId(X, 13), ua.ReadValueId(ua.NodeId(2256), 13), ua.ReadValueId(X, 24)])),
        session.write(ua.WriteParameters([ua.WriteValue(X, 13, None, ua.DataValue(ua.Variant([1.0, 2.0])))])),
        session.browse(ua.BrowseParameters(RequestedMaxReferencesPerNode=1, NodesToBrowse=[ua.BrowseDescription(ua.NodeId(2253), 2)])),
        session.browse_next(ua.BrowseNextParameters(False, [b"12345678"])),
        client.nodes.root.get_child(["0:Objects", "0:Server"]),
        session.register_nodes([X]),
        session.unregister_nodes([X]),
        session.call([ua.CallMethodRequest(ua.NodeId("Twin", 2), ua.NodeId("Twin/Override", 2), [ua.Variant("a.x"), ua.Variant(1.0)])]),
        session.transfer_subscriptions(ua.TransferSubscriptionsParameters([1], True)),
    ):
        with suppress(UaError):
            await attempt
    await subscriptions(link)
    for details in histories():
        with suppress(UaError):
            await link.history_read(ua.HistoryReadParameters(details, ua.TimestampsToReturn.Source, False, [ua.HistoryReadValueId(X)]))
    with suppress(UaError):
        await client.close_session()
    client.uaclient.disconnect_socket()
    return [
        (number, params)
        for (number, _), params in recorder.seen.items()
        if number != ua.ObjectIds.OpenSecureChannelRequest_Encoding_DefaultBinary
    ]


async def subscriptions(link):
    async def ask(request, **params):
        for name, value in params.items():
            setattr(request.Parameters, name, value)
        with suppress(UaError):
            return await link.protocol.send_request(request, timeout=5)

    made = ua.CreateSubscriptionRequest()
    made.Parameters = ua.CreateSubscriptionParameters(1000.0, 100, 10, 0, True, 0)
    await ask(made)
    literal = ua.LiteralOperand(ua.Variant(ua.NodeId(2782)))
    where = ua.ContentFilter([ua.ContentFilterElement(ua.FilterOperator.OfType, [literal])])
    select = ua.SimpleAttributeOperand(ua.NodeId(2041), [ua.QualifiedName("EventId", 0)], ua.AttributeIds.Value)
    number = SUBSCRIPTION
    filters = (None, ua.DataChangeFilter(ua.DataChangeTrigger.StatusValue, 1, 0.5), ua.EventFilter([select], where))
    for node, attribute, asked in zip((X, X, ua.NodeId(2253)), (13, 13, 12), filters, strict=True):
        item = ua.MonitoredItemCreateRequest(
            ua.ReadValueId(node, attribute), ua.MonitoringMode.Reporting, ua.MonitoringParameters(1, 0.0, asked, 10, True)
        )
        await ask(
            ua.CreateMonitoredItemsRequest(), SubscriptionId=number, TimestampsToReturn=ua.TimestampsToReturn.Both, ItemsToCreate=[item]
        )
    modified = [ua.MonitoredItemModifyRequest(ITEM, ua.MonitoringParameters(1, 0.0, None, 10, True))]
    await ask(
        ua.ModifyMonitoredItemsRequest(), SubscriptionId=number, TimestampsToReturn=ua.TimestampsToReturn.Both, ItemsToModify=modified
    )
    await ask(ua.SetMonitoringModeRequest(), SubscriptionId=number, MonitoringMode=ua.MonitoringMode.Sampling, MonitoredItemIds=[ITEM])
    await ask(ua.SetTriggeringRequest(), SubscriptionId=number, TriggeringItemId=ITEM, LinksToAdd=[ITEM], LinksToRemove=[3])
    await ask(ua.SetPublishingModeRequest(), PublishingEnabled=True, SubscriptionIds=[number])
    await ask(ua.ModifySubscriptionRequest(), SubscriptionId=number, RequestedPublishingInterval=500.0)
    await ask(ua.RepublishRequest(), SubscriptionId=number, RetransmitSequenceNumber=1)
    await ask(ua.PublishRequest(), SubscriptionAcknowledgements=[ua.SubscriptionAcknowledgement(number, 1)])
    await ask(ua.DeleteMonitoredItemsRequest(), SubscriptionId=number, MonitoredItemIds=[ITEM])
    await ask(ua.DeleteSubscriptionsRequest(), SubscriptionIds=[number])


def histories():
    begin, end = (datetime.fromtimestamp((NOON + seconds * SECOND) / 1e9, UTC) for seconds in (0, 60))
    yield ua.ReadRawModifiedDetails(IsReadModified=False, StartTime=begin, EndTime=end, NumValuesPerNode=10, ReturnBounds=True)
    yield ua.ReadProcessedDetails(begin, end, 1000.0, [ua.NodeId(ua.ObjectIds.AggregateFunction_Average)])
    yield ua.ReadAtTimeDetails([begin, end], True)
    literal = ua.LiteralOperand(ua.Variant(5))
    where = ua.ContentFilter([ua.ContentFilterElement(ua.FilterOperator.Equals, [literal, literal])])
    yield ua.ReadEventDetails(10, begin, end, ua.EventFilter([], where))


class Prey:
    """The server and a hostile client's session on it, made anew where the last one ended."""

    def __init__(self, face, corpus):
        self.port, self.corpus = int(face.sink.url.split(":")[2].split("/")[0]), corpus
        self._raw, self._used = None, 0
        self.codes, self._own = Counter(), {}
        self._plain = ua.ReadRequest()
        self._plain.Parameters.NodesToRead = [ua.ReadValueId(X, ua.AttributeIds.Value)]

    async def raw(self):
        if self._raw is None or self._used >= 40:
            await self.drop()
            self._raw = await Raw(self.port).__aenter__()
            made = ua.CreateSubscriptionRequest()
            made.Parameters = ua.CreateSubscriptionParameters(20.0, 100, 10, 0, True, 0)
            own = (await self._raw.ask(made)).Parameters.SubscriptionId
            item = ua.MonitoredItemCreateRequest(
                ua.ReadValueId(X, 13), ua.MonitoringMode.Reporting, ua.MonitoringParameters(1, 0.0, None, 1, True)
            )
            create = ua.CreateMonitoredItemsRequest()
            create.Parameters = ua.CreateMonitoredItemsParameters(own, ua.TimestampsToReturn.Both, [item])
            self._own = {SUBSCRIPTION: own, ITEM: (await self._raw.ask(create)).Results[0].MonitoredItemId}
        self._used += 1
        return self._raw

    async def drop(self):
        if self._raw is not None:
            self._raw.writer.transport.abort()
        self._raw, self._used = None, 0

    async def bite(self, body):
        """Sends it, then asks something plain: answered, or the connection or session has ended."""
        raw = await self.raw()
        for recorded, own in self._own.items():
            body = body.replace(struct.pack("<I", recorded), struct.pack("<I", own))
        raw.writer.write(raw.chunks(body))
        raw.writer.write(raw.chunks(raw.encoded(self._plain)))
        asked, codes = raw.request, {}
        try:
            while asked not in codes:
                number, got = await raw.answer()
                codes[number] = struct.unpack_from("<I", got, 16)[0]
        except Ended:
            await self.drop()
        assert CODES.BadInternalError not in codes.values()
        self.codes.update(codes.values())
        if codes.get(asked):
            assert codes[asked] in (CODES.BadSessionIdInvalid, CODES.BadSessionNotActivated)
            await self.drop()


@pytest.fixture
async def prey(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    async with past(TAGS, tmp_path) as kept:
        await kept.keep(0, [NOON + n * SECOND for n in range(60)], range(60))
        await kept.face.step({"a.x": 1.0, "a.y": 1.0, "a.name": "n"})
        corpus = await every_service(kept.face.sink.url)
        assert len({number for number, _ in corpus}) >= SERVICES
        caplog.clear()
        one = Prey(kept.face, corpus)
        async with Client(kept.face.sink.url) as witness:
            yield one
            assert await witness.get_node(X).read_value() == 1.0
        await one.drop()
    faults = [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR]
    assert not faults, faults


@st.composite
def changes(draw):
    """Functions on bytes: numbers overwritten, bits turned, pieces cut out, doubled and put in."""
    kind, where, much = draw(st.sampled_from("nbcdi")), draw(st.floats(0, 1, exclude_max=True)), draw(st.integers(1, 40))
    number, extra = draw(NUMBERS), draw(st.binary(min_size=1, max_size=20))

    def change(data):
        at = int(where * max(len(data), 1))
        if kind == "n":
            return data[:at] + struct.pack("<q" if much == 1 else "<i", number) + data[at + 4 :]
        if kind == "b":
            return data[:at] + bytes(byte ^ extra[0] for byte in data[at : at + 1]) + data[at + 1 :]
        if kind == "c":
            return data[:at] + data[at + much :]
        return data[:at] + (data[at : at + much] * (much if kind == "d" else 1) if kind == "d" else extra) + data[at:]

    return change


@MODEST
@given(which=st.integers(0, 10_000), changed=st.lists(changes(), min_size=1, max_size=4), whole=st.booleans())
async def test_a_request_of_any_service_changed_anywhere(prey, which, changed, whole):
    """Its parameters, or its header with them."""
    number, params = prey.corpus[which % len(prey.corpus)]
    raw = await prey.raw()
    body = raw.body_of(number, params) if whole else params
    for change in changed:
        body = change(body)
    await prey.bite(body if whole else raw.body_of(number, body))


@settings(MODEST, max_examples=150)
@given(changed=st.lists(changes(), min_size=1, max_size=3), opened=st.booleans())
async def test_a_frame_changed_anywhere(prey, changed, opened):
    """Hello, opening or message, with their headers."""
    if opened:
        raw = await Raw(prey.port, session=False).__aenter__()
        frame, reader, writer = raw.message(raw.body_of("GetEndpoints", prey.corpus[0][1])), raw.reader, raw.writer
    else:
        reader, writer = await connect(prey.port)
        frame = hello()
    for change in changed:
        frame = change(frame)
    writer.write(frame)
    writer.write_eof()
    with suppress(ConnectionError):
        await asyncio.wait_for(reader.read(), 10)
    writer.transport.abort()
