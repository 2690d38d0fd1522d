"""The OPC UA face to an asyncua client: address space, reads, writes, subscriptions (Part 3, 4, 5, 8)."""

import asyncio
import math
import time
from datetime import UTC, datetime

import pytest
from asyncua import Client, ua
from asyncua.ua.uaerrors import UaStatusCodeError

from gateway.contracts import NotConnected
from gateway.model.batch import Origin
from gateway.model.tag import Tag, TagTable, TagType, WriteRule
from gateway.sinks.opcua.config import Config
from support.opcua_face import Face, opcua_face
from support.waiting import eventually

NS = 2
BAD_NO_COMMUNICATION = 0x80310000
MS = 1_000_000
TAGS = [
    Tag(0, "line.oven.temp", unit="Cel", eu_range=(0.0, 60.0), description="Oven temperature", sampling_interval_ns=10 * MS),
    Tag(1, "line.count", type=TagType.INT),
    Tag(2, "line.on", type=TagType.BOOL, labels={0: "stopped", 1: "running"}),
    Tag(3, "line.recipe", type=TagType.TEXT),
    Tag(4, "line.state", type=TagType.ENUM, labels={0: "idle", 1: "busy"}),
    Tag(5, "line.mode", type=TagType.ENUM, labels={1: "auto", 5: "hand"}),
    Tag(6, "line.ratio", eu_range=(0.0, 1.0)),
    Tag(7, "line.room", unit="Cel"),
    Tag(8, "free"),
    Tag(9, "line.setpoint", unit="Cel", eu_range=(0.0, 60.0), write_rule=WriteRule(low=18, high=30)),
    Tag(10, "line.locked", write_rule=WriteRule(role="engineer")),
]
VALUES = {
    "line.oven.temp": 22.5,
    "line.count": 2**53,
    "line.on": 1.0,
    "line.recipe": "blå",
    "line.state": 1.0,
    "line.mode": 5.0,
    "line.ratio": 0.25,
    "line.room": 21.0,
}
TYPES = {
    "line.oven.temp": 17570,
    "line.count": 63,
    "line.on": 2373,
    "line.recipe": 63,
    "line.state": 2376,
    "line.mode": 11238,
    "line.ratio": 2368,
    "line.room": 17497,
    "free": 63,
}


@pytest.fixture
async def face():
    async with opcua_face(TAGS) as running:
        await running.step(VALUES, at_ns=1_790_000_000_123_456_700)
        yield running


@pytest.fixture
async def client(face):
    async with Client(face.sink.url, timeout=10) as connected:
        yield connected


def tag(client, name):
    return client.get_node(ua.NodeId(name, NS))


class Heard:
    """What a subscription's client hears."""

    def __init__(self):
        self.changes, self.status = [], []

    def datachange_notification(self, node, value, data):
        got = data.monitored_item.Value
        self.changes.append((node.nodeid.Identifier, value, got.StatusCode.value if got.StatusCode else 0, got.SourceTimestamp))

    def status_change_notification(self, status):
        self.status.append(status.Status.value)

    def values(self, name):
        return [value for heard, value, _, _ in self.changes if heard == name]


# --- address space ---


async def test_the_tree_is_complete_and_each_reference_has_its_way_back(client):
    """Every node of ours is reached by hierarchical references, names its type, and its parent names it by the same reference inverted."""
    seen = {}
    await walk(client, client.get_node(ua.NodeId("/", NS)), seen)
    assert set(TYPES) <= set(seen)
    for name, definition in TYPES.items():
        assert seen[name] == definition
    assert "line.oven.temp/EURange" in seen
    assert "line.oven" in seen


async def walk(client, node, seen):
    references = await node.get_references()
    types = [ref for ref in references if ref.ReferenceTypeId == ua.NodeId(40)]
    assert len(types) == 1
    assert types[0].IsForward
    seen[node.nodeid.Identifier] = types[0].NodeId.Identifier
    assert await client.get_node(types[0].NodeId).read_node_class() in (ua.NodeClass.ObjectType, ua.NodeClass.VariableType)
    for ref in references:
        if not ref.IsForward or ref.ReferenceTypeId == ua.NodeId(40):
            continue
        child = client.get_node(ref.NodeId)
        assert await child.read_browse_name() == ref.BrowseName
        back = list(await child.get_references(refs=ref.ReferenceTypeId, direction=ua.BrowseDirection.Inverse))
        assert [r.NodeId for r in back] == [node.nodeid]
        await walk(client, child, seen)


async def test_objects_shows_the_gateway_and_the_standard_server(client):
    names = {(await child.read_browse_name()).Name for child in await client.nodes.objects.get_children()}
    assert {"Server", "line1", "Twin", "Gateway"} <= names


async def test_the_properties_say_range_unit_and_states(client):
    """Part 8, 5.3; the unit's id is the UNECE code as a number (CEL)."""
    read = client.get_node
    span = await read("ns=2;s=line.oven.temp/EURange").read_value()
    assert (span.Low, span.High) == (0.0, 60.0)
    unit = await read("ns=2;s=line.oven.temp/EngineeringUnits").read_value()
    assert (unit.UnitId, unit.DisplayName.Text) == (4408652, "°C")
    assert unit.NamespaceUri == "http://www.opcfoundation.org/UA/units/un/cefact"
    assert (await read("ns=2;s=line.on/TrueState").read_value()).Text == "running"
    assert (await read("ns=2;s=line.on/FalseState").read_value()).Text == "stopped"
    assert [text.Text for text in await read("ns=2;s=line.state/EnumStrings").read_value()] == ["idle", "busy"]
    assert [(v.Value, v.DisplayName.Text) for v in await read("ns=2;s=line.mode/EnumValues").read_value()] == [(1, "auto"), (5, "hand")]
    assert (await read("ns=2;s=line.mode/ValueAsText").read_value()).Text == "hand"


async def test_a_variable_has_all_its_attributes(client):
    node = tag(client, "line.oven.temp")
    ids = ua.AttributeIds
    values = await node.read_attributes(
        [ids.DataType, ids.ValueRank, ids.AccessLevel, ids.UserAccessLevel, ids.Description, ids.MinimumSamplingInterval]
    )
    got = [value.Value.Value for value in values]
    assert got[:4] == [ua.NodeId(11), -1, 5, 5]  # CurrentRead, HistoryRead
    assert (got[4].Text, got[5]) == ("Oven temperature", 10.0)
    for name, user in (("line.setpoint", 7), ("line.locked", 5)):  # CurrentWrite is the tag's; whether this client may is UserAccessLevel
        values = await tag(client, name).read_attributes([ids.AccessLevel, ids.UserAccessLevel])
        assert [value.Value.Value for value in values] == [7, user]


async def test_a_path_of_names_leads_to_tags_and_their_properties(client):
    node = await client.nodes.objects.get_child(["2:line1", "2:line", "2:oven", "2:temp", "0:EURange"])
    assert node.nodeid == ua.NodeId("line.oven.temp/EURange", NS)
    with pytest.raises(UaStatusCodeError) as refused:
        await client.nodes.objects.get_child(["2:line1", "2:nothing"])
    assert refused.value.code == ua.StatusCodes.BadNoMatch


async def test_browsing_goes_on_where_a_page_ends(face, client):
    """Part 4, 5.8.3; a continuation point serves once."""
    wanted = ua.BrowseDescription(
        NodeId=ua.NodeId("line", NS), BrowseDirection=ua.BrowseDirection.Forward, IncludeSubtypes=True, ResultMask=63
    )
    page = await client.uaclient.session.browse(ua.BrowseParameters(RequestedMaxReferencesPerNode=4, NodesToBrowse=[wanted]))
    whole, points = list(page[0].References), []
    while page[0].ContinuationPoint:
        points.append(page[0].ContinuationPoint)
        page = await client.uaclient.session.browse_next(ua.BrowseNextParameters(False, [points[-1]]))
        assert len(page[0].References) <= 4
        whole += page[0].References
    assert len(whole) == 1 + 10  # the type, the folder and nine tags
    again = await client.uaclient.session.browse_next(ua.BrowseNextParameters(False, [points[0]]))
    assert again[0].StatusCode.value == ua.StatusCodes.BadContinuationPointInvalid


async def test_the_server_says_who_it_is_and_when(client):
    before = datetime.now(UTC)
    status = await client.get_node(ua.NodeId(2256)).read_value()
    assert abs((status.CurrentTime - before).total_seconds()) < 5
    assert status.StartTime <= status.CurrentTime
    assert status.State == ua.ServerState.Running
    assert status.BuildInfo.ProductName == "Edgetwin"
    namespaces = await client.get_namespace_array()
    assert namespaces[2] == "urn:edgetwin:line1"
    assert namespaces[1] == (await client.get_node(ua.NodeId(2254)).read_value())[0]


async def test_the_standard_types_are_there(client):
    """A client that asks for a type's structure finds it, with its supertypes."""
    found = await client.get_node(ua.NodeId(17570)).get_children()
    assert {(await child.read_browse_name()).Name for child in found} >= {"EngineeringUnits"}
    assert (await client.get_node(ua.NodeId(2368)).get_parent()).nodeid == ua.NodeId(15318)


# --- reads ---


async def test_a_value_comes_with_the_device_s_time_and_status(client):
    got = await tag(client, "line.oven.temp").read_data_value()
    assert (got.Value.Value, got.StatusCode.value if got.StatusCode else 0) == (22.5, 0)
    assert got.SourceTimestamp.timestamp() == pytest.approx(1_790_000_000.123456, abs=1e-6)
    values = await client.read_values([tag(client, name) for name in VALUES])
    assert values == [22.5, 2**53, True, "blå", 1, 5, 0.25, 21.0]


async def test_what_never_had_a_value_is_null_and_a_bad_one_keeps_its_last(face, client):
    free = await tag(client, "free").read_data_value(raise_on_bad_status=False)
    assert (free.Value and free.Value.Value, free.StatusCode.value) == (None, ua.StatusCodes.BadWaitingForInitialData)
    await face.step({"line.oven.temp": math.nan}, status=BAD_NO_COMMUNICATION, origin=Origin.GATEWAY)
    lost = await tag(client, "line.oven.temp").read_data_value(raise_on_bad_status=False)
    assert (lost.Value.Value, lost.StatusCode.value) == (22.5, BAD_NO_COMMUNICATION)


@pytest.mark.parametrize("stamps", [0, 1, 2, 3])
@pytest.mark.parametrize("names", [("line.oven.temp", "line.room"), ("line.recipe", "line.count", "free", "line.on", "line.state")])
async def test_the_fast_road_of_a_read_says_what_the_slow_one_says(client, names, stamps):
    """Reads of tags' Values only are answered from packed columns; one foreign node in the request takes the general road."""
    fast = ua.ReadParameters(TimestampsToReturn=ua.TimestampsToReturn(stamps))
    fast.NodesToRead = [ua.ReadValueId(ua.NodeId(name, NS), ua.AttributeIds.Value) for name in names]
    slow = ua.ReadParameters(TimestampsToReturn=ua.TimestampsToReturn(stamps))
    slow.NodesToRead = [*fast.NodesToRead, ua.ReadValueId(ua.NodeId(2254), ua.AttributeIds.Value)]
    by_column, by_node = await client.uaclient.session.read(fast), (await client.uaclient.session.read(slow))[:-1]
    assert [typed(value) for value in by_column] == [typed(value) for value in by_node]
    for column, node in zip(by_column, by_node, strict=True):
        assert (column.StatusCode.value if column.StatusCode else 0) == (node.StatusCode.value if node.StatusCode else 0)
        assert (column.SourceTimestamp is None) == (node.SourceTimestamp is None)
        assert column.SourceTimestamp == node.SourceTimestamp
    assert [(v.ServerTimestamp is not None) for v in by_column if v.Value] == [stamps in (1, 2)] * len([v for v in by_column if v.Value])
    assert await client.uaclient.session.read(fast)  # from the remembered plan


def typed(value):
    known = value.Value is not None and value.Value.Value is not None
    return (value.Value.Value, value.Value.VariantType) if known else None


@pytest.mark.parametrize(
    ("wanted", "status"),
    [
        (ua.ReadValueId(ua.NodeId("no.such", NS), ua.AttributeIds.Value), ua.StatusCodes.BadNodeIdUnknown),
        (ua.ReadValueId(ua.NodeId("line.room/EURange", NS), ua.AttributeIds.Value), ua.StatusCodes.BadNodeIdUnknown),
        (ua.ReadValueId(ua.NodeId("free", NS), ua.AttributeIds.InverseName), ua.StatusCodes.BadAttributeIdInvalid),
        (ua.ReadValueId(ua.NodeId("line.room", NS), ua.AttributeIds.Value, "0"), ua.StatusCodes.BadIndexRangeNoData),
        (ua.ReadValueId(ua.NodeId("line.room", NS), ua.AttributeIds.Value, "2:1"), ua.StatusCodes.BadIndexRangeInvalid),
        (ua.ReadValueId(ua.NodeId("line.room", NS), ua.AttributeIds.Value, "x"), ua.StatusCodes.BadIndexRangeInvalid),
        (
            ua.ReadValueId(ua.NodeId("line.room", NS), ua.AttributeIds.Value, None, ua.QualifiedName("Default XML", 0)),
            ua.StatusCodes.BadDataEncodingInvalid,
        ),
    ],
)
async def test_what_cannot_be_read_says_why(client, wanted, status):
    (got,) = await client.uaclient.session.read(ua.ReadParameters(NodesToRead=[wanted]))
    assert got.StatusCode.value == status


@pytest.mark.parametrize(
    ("params", "status"),
    [
        (ua.ReadParameters(), ua.StatusCodes.BadNothingToDo),
        (
            ua.ReadParameters(MaxAge=-1.0, NodesToRead=[ua.ReadValueId(ua.NodeId("free", NS), ua.AttributeIds.Value)]),
            ua.StatusCodes.BadMaxAgeInvalid,
        ),
        (
            ua.ReadParameters(NodesToRead=[ua.ReadValueId(ua.NodeId(85), ua.AttributeIds.NodeId)] * 10_001),
            ua.StatusCodes.BadTooManyOperations,
        ),
    ],
)
async def test_a_read_beyond_its_rules_is_refused_whole(client, params, status):
    with pytest.raises(UaStatusCodeError) as refused:
        await client.uaclient.session.read(params)
    assert refused.value.code == status


async def test_a_registered_node_is_read_as_before(client):
    (alias,) = await client.uaclient.session.register_nodes([ua.NodeId("line.room", NS)])
    assert await client.get_node(alias).read_value() == 21.0
    await client.uaclient.session.unregister_nodes([alias])


# --- writes ---


async def test_a_write_goes_through_the_one_door_and_its_answer_is_the_client_s(face, client):
    node = tag(client, "line.setpoint")
    await node.write_value(ua.Variant(21.5, ua.VariantType.Double))
    (asked,) = face.commands.asked
    assert (asked.kind, dict(asked.args)) == ("tag.write", {"tag": "line.setpoint", "value": 21.5})
    assert (asked.caller.user, asked.caller.role, asked.caller.origin) == ("anonymous", "operator", "opcua:127.0.0.1")
    face.commands.status = ua.StatusCodes.BadOutOfRange
    with pytest.raises(UaStatusCodeError) as refused:
        await node.write_value(ua.Variant(99.0, ua.VariantType.Double))
    assert refused.value.code == ua.StatusCodes.BadOutOfRange


@pytest.mark.parametrize(
    ("name", "variant", "status"),
    [
        ("line.room", ua.Variant(1.0, ua.VariantType.Double), ua.StatusCodes.BadNotWritable),
        ("line.locked", ua.Variant(1.0, ua.VariantType.Double), ua.StatusCodes.BadUserAccessDenied),
        ("line.setpoint", ua.Variant(1, ua.VariantType.Int32), ua.StatusCodes.BadTypeMismatch),
        ("line.setpoint", ua.Variant([1.0], ua.VariantType.Double), ua.StatusCodes.BadTypeMismatch),
        ("line.setpoint/EURange", ua.Variant(1.0, ua.VariantType.Double), ua.StatusCodes.BadNotWritable),
        ("nothing", ua.Variant(1.0, ua.VariantType.Double), ua.StatusCodes.BadNodeIdUnknown),
    ],
)
async def test_a_write_that_may_not_be_reaches_nobody(face, client, name, variant, status):
    with pytest.raises(UaStatusCodeError) as refused:
        await tag(client, name).write_attribute(ua.AttributeIds.Value, ua.DataValue(variant))
    assert refused.value.code == status
    assert not face.commands.asked


# --- subscriptions ---


async def test_a_subscription_hears_first_values_then_each_change(face, client):
    heard = Heard()
    subscription = await client.create_subscription(20, heard)
    await subscription.subscribe_data_change([tag(client, name) for name in VALUES], queuesize=100)
    await eventually(lambda: len(heard.changes) >= len(VALUES))
    assert {name: value for name, value, _, _ in heard.changes} == {
        "line.oven.temp": 22.5,
        "line.count": 2**53,
        "line.on": True,
        "line.recipe": "blå",
        "line.state": 1,
        "line.mode": 5,
        "line.ratio": 0.25,
        "line.room": 21.0,
    }
    for value in range(50):
        await face.step({"line.room": 100.0 + value, "line.recipe": f"r{value}"})
    await eventually(lambda: len(heard.values("line.room")) == 51)
    assert heard.values("line.room")[1:] == [100.0 + value for value in range(50)]
    assert heard.values("line.recipe")[1:] == [f"r{value}" for value in range(50)]


async def test_a_lost_link_is_heard_as_a_status_and_so_is_its_return(face, client):
    heard = Heard()
    subscription = await client.create_subscription(20, heard)
    await subscription.subscribe_data_change(tag(client, "line.room"), queuesize=10)
    await eventually(lambda: heard.changes)
    await face.step({"line.room": math.nan}, status=BAD_NO_COMMUNICATION, origin=Origin.GATEWAY)
    await face.step({"line.room": 21.0})
    await eventually(lambda: len(heard.changes) == 3)
    assert [(value, status) for _, value, status, _ in heard.changes] == [(21.0, 0), (21.0, BAD_NO_COMMUNICATION), (21.0, 0)]


async def test_items_beside_the_tags_are_heard_as_well(face, client):
    """The server's clock, the twin's version, an attribute and a property."""
    heard = Heard()
    subscription = await client.create_subscription(20, heard)
    await subscription.subscribe_data_change([client.get_node(ua.NodeId(2258)), client.get_node("ns=2;s=line.room/EngineeringUnits")])
    await subscription.subscribe_data_change(client.get_node("ns=2;s=Twin/StateVersion"))
    await subscription.subscribe_data_change([client.get_node("ns=2;s=Gateway/Tags"), tag(client, "line.count")])
    await subscription.subscribe_data_change(tag(client, "line.room"), attr=ua.AttributeIds.DisplayName)
    await eventually(lambda: len(heard.values(2258)) > 3 and heard.values("Twin/StateVersion") and heard.values("line.room"))
    await eventually(lambda: heard.values("Gateway/Tags") == [len(TAGS)] and heard.values("line.count") == [2**53])
    assert heard.values("line.room")[0].Text == "room"


async def test_an_item_on_nothing_is_refused_and_its_neighbours_are_made(face, client):
    heard = Heard()
    subscription = await client.create_subscription(20, heard)
    made = await subscription.subscribe_data_change([tag(client, "no.such"), tag(client, "line.count")])
    assert made[0].value == ua.StatusCodes.BadNodeIdUnknown
    await eventually(lambda: heard.values("line.count") == [2**53])


async def test_modify_mode_and_delete_are_heeded(face, client):
    heard = Heard()
    subscription = await client.create_subscription(20, heard)
    handle = await subscription.subscribe_data_change(tag(client, "line.room"), queuesize=10)
    await eventually(lambda: heard.changes)
    await subscription.set_monitoring_mode(ua.MonitoringMode.Disabled)
    await face.step({"line.room": 30.0})
    await subscription.set_monitoring_mode(ua.MonitoringMode.Reporting)
    await eventually(lambda: heard.values("line.room") == [21.0, 30.0])
    await subscription.set_publishing_mode(False)
    await face.step({"line.room": 31.0})
    await subscription.set_publishing_mode(True)
    await eventually(lambda: heard.values("line.room") == [21.0, 30.0, 31.0])
    await subscription.unsubscribe(handle)
    await face.step({"line.room": 32.0})
    other = await subscription.subscribe_data_change(tag(client, "line.ratio"))
    await eventually(lambda: heard.values("line.ratio") == [0.25])
    assert heard.values("line.room") == [21.0, 30.0, 31.0]
    assert other
    changed = await client.uaclient.modify_subscription(
        ua.ModifySubscriptionParameters(
            SubscriptionId=subscription.subscription_id,
            RequestedPublishingInterval=math.nan,
            RequestedLifetimeCount=10,
            RequestedMaxKeepAliveCount=5,
        )
    )
    assert (changed.RevisedPublishingInterval, changed.RevisedLifetimeCount, changed.RevisedMaxKeepAliveCount) == (10.0, 15, 5)


@pytest.mark.parametrize("interval", [math.nan, math.inf, -1.0, 0.0])
async def test_a_publishing_interval_that_is_none_is_revised(client, interval):
    made = await client.uaclient.session.create_subscription(
        ua.CreateSubscriptionParameters(RequestedPublishingInterval=interval), lambda _: None
    )
    assert made.RevisedPublishingInterval == 10.0


async def test_another_session_cannot_touch_a_subscription(face, client):
    """Not delete, not modify, not republish, not create items: BadSubscriptionIdInvalid."""
    subscription = await client.create_subscription(50, Heard())
    sid = subscription.subscription_id
    async with Client(face.sink.url) as stranger:
        session = stranger.uaclient.session
        assert [code.value for code in await session.delete_subscriptions([sid])] == [ua.StatusCodes.BadSubscriptionIdInvalid]
        for attempt in (
            session.modify_subscription(ua.ModifySubscriptionParameters(SubscriptionId=sid)),
            session.create_monitored_items(ua.CreateMonitoredItemsParameters(SubscriptionId=sid)),
        ):
            with pytest.raises(UaStatusCodeError) as refused:
                await attempt
            assert refused.value.code == ua.StatusCodes.BadSubscriptionIdInvalid
        taken = await session.transfer_subscriptions(ua.TransferSubscriptionsParameters([sid, 4711], True))
        assert [one.StatusCode.value for one in taken] == [ua.StatusCodes.BadUserAccessDenied, ua.StatusCodes.BadSubscriptionIdInvalid]
    assert await subscription.subscribe_data_change(tag(client, "line.room"))


async def test_a_big_update_comes_in_messages_of_the_size_asked_for(face):
    """MaxNotificationsPerPublish with MoreNotifications (Part 4, 5.13.5): nothing is lost, nothing is out of order."""
    async with Client(face.sink.url) as client:
        heard, sizes = Heard(), []

        def notified(result):
            got = result.NotificationMessage.NotificationData or ()
            sizes.extend((len(one.MonitoredItems), result.MoreNotifications) for one in got if isinstance(one, ua.DataChangeNotification))

        params = ua.CreateSubscriptionParameters(50.0, 100, 10, 3, True, 0)
        made = await client.uaclient.session.create_subscription(params, notified)
        wanted = [
            ua.MonitoredItemCreateRequest(
                ua.ReadValueId(ua.NodeId(name, NS), ua.AttributeIds.Value),
                ua.MonitoringMode.Reporting,
                ua.MonitoringParameters(n, 0.0, None, 1, True),
            )
            for n, name in enumerate(VALUES)
        ]
        await client.uaclient.session.create_monitored_items(
            ua.CreateMonitoredItemsParameters(made.SubscriptionId, ua.TimestampsToReturn.Both, wanted)
        )
        await eventually(lambda: sum(size for size, _ in sizes) == len(VALUES))
        assert max(size for size, _ in sizes) <= 3
        assert heard.changes == []


# --- the server's life ---


async def test_a_taken_port_is_said_in_clear(face):
    port = int(face.sink.url.split(":")[2].split("/")[0])
    second = Face(TAGS, port=port)
    with pytest.raises(NotConnected, match=rf"127\.0\.0\.1:{port}.*in use"):
        await second.sink.connect()
    await second.sink.close()


async def test_a_reload_shows_new_tags_to_clients_that_are_there(face, client):
    """The table is another one: the tree, reads and subscriptions follow it; what was there goes on."""
    heard = Heard()
    subscription = await client.create_subscription(20, heard)
    await subscription.subscribe_data_change(tag(client, "line.room"))
    table = TagTable.of([*TAGS, Tag(len(TAGS), "line.new", unit="Cel")])
    face.engine.retable(table, [], [])
    face.table = table
    await subscription.subscribe_data_change(tag(client, "line.new"))
    await face.step({"line.new": 5.0, "line.room": 22.0})
    await eventually(lambda: heard.values("line.new")[-1:] == [5.0] and heard.values("line.room") == [21.0, 22.0])
    found = await client.nodes.objects.get_child(["2:line1", "2:line", "2:new"])
    assert await found.read_value() == 5.0


async def test_it_stops_at_once_with_clients_connected_and_starts_again(face):
    client = Client(face.sink.url)
    await client.connect()
    subscription = await client.create_subscription(50, Heard())
    await subscription.subscribe_data_change(tag(client, "line.room"))
    started = time.perf_counter()
    await face.sink.close()
    assert time.perf_counter() - started < 1.0
    await face.sink.close()
    await face.sink.connect()
    async with Client(face.sink.url) as again:
        assert await tag(again, "line.room").read_value() == 21.0
    await client.disconnect()


async def test_fifty_thousand_tags_are_there_in_a_second():
    """Start, browse to the last one and read it."""
    tags = [Tag(n, f"area{n // 1000}.unit{n // 100 % 10}.t{n}", unit="Cel", eu_range=(0.0, 1.0)) for n in range(50_000)]
    face = Face(tags)
    started = time.perf_counter()
    await face.sink.connect()
    ready = time.perf_counter() - started
    try:
        async with Client(face.sink.url) as client:
            started = time.perf_counter()
            last = await client.nodes.objects.get_child(["2:line1", "2:area49", "2:unit9", "2:t49999"])
            assert await last.read_data_type() == ua.NodeId(11)
            found = time.perf_counter() - started
    finally:
        await face.sink.close()
    assert ready + found < 1.0


def test_an_open_endpoint_must_be_meant_and_stay_on_this_machine():
    for wrong, said in (
        ({"anonymous": "viewer"}, "insecure"),
        ({"insecure": True, "anonymous": "viewer", "host": "0.0.0.0"}, "outside"),
        ({"insecure": True, "host": "10.0.0.1"}, "outside"),
        ({"anonymous": "viewer", "host": "10.0.0.1"}, "loopback"),
        ({"security": []}, "no endpoint"),
        ({"security": ["Basic128Rsa15"]}, "Basic256Sha256"),
        ({"security": ["Basic256Sha256/None"]}, "SignAndEncrypt"),
    ):
        with pytest.raises(ValueError, match=said):
            Config(**wrong)
    assert Config(insecure=True, anonymous="viewer", host="::1").port == 4840
    assert Config(host="0.0.0.0").security == ("Aes256_Sha256_RsaPss", "Aes128_Sha256_RsaOaep", "Basic256Sha256")
    assert Config(security=["Basic256Sha256/Sign", "Aes128Sha256RsaOaep"]).security == ("Basic256Sha256/Sign", "Aes128_Sha256_RsaOaep")


async def test_nobody_signs_in_with_a_name(face):
    """Where there are no users, a name and password are refused, not ignored."""
    client = Client(face.sink.url)
    client.set_user("admin")
    client.set_password("admin")
    with pytest.raises((UaStatusCodeError, ua.UaError)):
        await client.connect()
    await asyncio.wait_for(client.disconnect(), 5)
