"""What the server says of itself (Part 5, 6.3.3): counters, limits and its level of service, to an asyncua client."""

from asyncua import Client, ua

from gateway.model.tag import Tag
from gateway.wire.opcua import limits
from support.opcua_face import opcua_face
from support.waiting import eventually

TAGS = [Tag(n, f"line.t{n}") for n in range(4)]
_Ids = ua.ObjectIds


class Heard:
    def __init__(self):
        self.values = []

    def datachange_notification(self, _node, value, _data):
        self.values.append(value)


async def value(client, identifier):
    return await client.get_node(ua.NodeId(identifier, 0)).read_value()


async def test_sessions_subscriptions_and_refusals_are_counted():
    async with opcua_face(TAGS) as face, Client(face.sink.url) as client:
        async with Client(face.sink.url):
            summary = await value(client, _Ids.Server_ServerDiagnostics_ServerDiagnosticsSummary)
            assert (summary.CurrentSessionCount, summary.CumulatedSessionCount) == (2, 2)
        await client.create_subscription(100, Heard())
        await client.create_subscription(200, Heard())
        summary = await value(client, _Ids.Server_ServerDiagnostics_ServerDiagnosticsSummary)
        assert (summary.CurrentSessionCount, summary.CumulatedSessionCount) == (1, 2)
        assert (summary.CurrentSubscriptionCount, summary.PublishingIntervalCount) == (2, 2)
        single = _Ids.Server_ServerDiagnostics_ServerDiagnosticsSummary_CurrentSubscriptionCount
        assert await value(client, single) == 2
        assert await value(client, _Ids.Server_ServerDiagnostics_EnabledFlag) is True


async def test_each_session_shows_what_it_asked_for():
    async with opcua_face(TAGS) as face, Client(face.sink.url) as client:
        for _ in range(3):
            await client.get_node("ns=2;s=line.t0").read_data_value(raise_on_bad_status=False)
        (session,) = await value(client, _Ids.Server_ServerDiagnostics_SessionsDiagnosticsSummary_SessionDiagnosticsArray)
        assert session.ReadCount.TotalCount >= 3
        assert session.TotalRequestCount.TotalCount >= session.ReadCount.TotalCount
        assert session.ClientDescription.ApplicationUri == client.application_uri
        assert session.ClientLastContactTime >= session.ClientConnectionTime


async def test_each_subscription_shows_its_state_and_what_it_sent():
    async with opcua_face(TAGS) as face, Client(face.sink.url) as client:
        heard = Heard()
        subscription = await client.create_subscription(20, heard)
        await subscription.subscribe_data_change([client.get_node(f"ns=2;s=line.t{n}") for n in range(4)])
        await face.step({"line.t0": 1.0})
        await eventually(lambda: 1.0 in heard.values)
        (shown,) = await value(client, _Ids.Server_ServerDiagnostics_SubscriptionDiagnosticsArray)
        assert (shown.SubscriptionId, shown.MonitoredItemCount, shown.PublishingInterval) == (subscription.subscription_id, 4, 20.0)
        assert shown.DataChangeNotificationsCount == shown.NotificationsCount == len(heard.values)


async def test_the_limits_are_stated_as_they_are_enforced():
    async with opcua_face(TAGS, max_sessions=7) as face, Client(face.sink.url) as client:
        assert await value(client, _Ids.Server_ServerCapabilities_MaxSessions) == 7
        assert await value(client, _Ids.Server_ServerCapabilities_MaxSubscriptionsPerSession) == limits.SUBSCRIPTIONS_PER_SESSION
        assert await value(client, _Ids.Server_ServerCapabilities_LocaleIdArray) == ["en"]


async def test_the_level_of_service_falls_with_the_sources():
    """Part 4, 6.6.2.4.2: no data 1, degraded by the share of usable tags, healthy 255."""
    degraded = {"Gateway": {"Ready": True, "Degraded": ""}}
    async with opcua_face(TAGS, figures=lambda: degraded) as face, Client(face.sink.url) as client:
        assert await value(client, _Ids.Server_ServiceLevel) == 1
        await face.step({f"line.t{n}": 1.0 for n in range(4)})
        assert await value(client, _Ids.Server_ServiceLevel) == 255
        degraded["Gateway"]["Degraded"] = "source plc1 is away"
        await face.step({f"line.t{n}": 1.0 for n in range(2)}, status=0x8031_0000)
        assert await value(client, _Ids.Server_ServiceLevel) == 2 + round(197 * 0.5)
