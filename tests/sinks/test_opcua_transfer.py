"""Subscriptions that outlive or change their session, and items that let others go (Part 4, 5.12.5 and 5.13.7), to an asyncua client."""

import asyncio

import pytest
from asyncua import Client, ua
from asyncua.ua.uaerrors import UaStatusCodeError

from gateway.model.tag import Tag
from gateway.wire.opcua import limits
from gateway.wire.opcua.transfer import Owner, may_take
from gateway.wire.opcua.triggers import Triggers
from support.opcua_face import opcua_face
from support.waiting import eventually

TAGS = [Tag(n, f"line.t{n}") for n in range(4)]
ANNA, BEN, NOBODY = Owner("anna"), Owner("ben"), Owner()
SIGNED, OPEN = Owner("", "urn:scada", secured=True), Owner("", "urn:scada", secured=False)
GOOD, BAD_ITEM = 0, 0x8042_0000


@pytest.mark.parametrize(
    ("left", "comes", "may"),
    [
        (ANNA, Owner("anna", "urn:another"), True),
        (ANNA, BEN, False),
        (ANNA, SIGNED, False),
        (SIGNED, ANNA, False),
        (SIGNED, SIGNED, True),
        (SIGNED, Owner("", "urn:another", secured=True), False),
        (SIGNED, OPEN, False),
        (OPEN, OPEN, False),
        (NOBODY, NOBODY, False),
    ],
)
def test_only_the_same_user_or_the_same_signed_application_takes_over(left, comes, may):
    assert may_take(left, comes) is may


def test_links_are_added_removed_and_forgotten_by_item():
    links = Triggers({1, 2, 3}.__contains__)
    assert links.add(1, [2, 3, 9]) == [GOOD, GOOD, BAD_ITEM]
    assert links.freed_by([1, 2]) == [2, 3]
    assert links.remove(1, [2, 9]) == [GOOD, BAD_ITEM]
    links.forget(3)
    assert not links
    assert links.freed_by([1]) == []


class Heard:
    def __init__(self):
        self.values, self.status = [], []

    def datachange_notification(self, node, value, _data):
        self.values.append((node.nodeid.Identifier, value))

    def status_change_notification(self, status):
        self.status.append(status.Status.value)


def sessions(face):
    """The server's sessions, oldest first."""
    return list(face.sink._server.interior._external_sessions.values())


async def triggering(client, subscription, item, add=(), remove=()):
    request = ua.SetTriggeringRequest()
    request.Parameters = ua.SetTriggeringParameters(subscription.subscription_id, item, list(add), list(remove))
    data = await client.uaclient.protocol.send_request(request)
    response = ua.ua_binary.struct_from_binary(ua.SetTriggeringResponse, data)
    response.ResponseHeader.ServiceResult.check()
    return [[code.value for code in codes] for codes in (response.Parameters.AddResults, response.Parameters.RemoveResults)]


async def only_sampled(client, subscription, items):
    wanted = ua.SetMonitoringModeParameters(subscription.subscription_id, ua.MonitoringMode.Sampling, items)
    assert all(code.is_good() for code in await client.uaclient.session.set_monitoring_mode(wanted))


async def test_what_is_only_sampled_is_reported_when_its_trigger_fires():
    async with opcua_face(TAGS) as face, Client(face.sink.url) as client:
        await face.step({f"line.t{n}": 0.0 for n in range(4)})
        heard = Heard()
        subscription = await client.create_subscription(20, heard)
        nodes = [client.get_node(f"ns=2;s=line.t{n}") for n in range(3)]
        trigger = await subscription.subscribe_data_change(nodes[0])
        linked = await subscription.subscribe_data_change(nodes[1:], queuesize=10)
        await eventually(lambda: len(heard.values) == 3)
        await only_sampled(client, subscription, linked)
        assert await triggering(client, subscription, trigger, add=[*linked, 4711]) == [[GOOD, GOOD, BAD_ITEM], []]
        heard.values.clear()
        await face.step({"line.t1": 1.0})
        await face.step({"line.t1": 2.0, "line.t2": 5.0})
        await face.step({"line.t3": 1.0})
        await asyncio.sleep(0.1)
        assert heard.values == []
        await face.step({"line.t0": 1.0})
        await eventually(lambda: len(heard.values) == 4)
        assert sorted(heard.values) == [("line.t0", 1.0), ("line.t1", 1.0), ("line.t1", 2.0), ("line.t2", 5.0)]
        assert await triggering(client, subscription, trigger, remove=linked[:1]) == [[], [GOOD]]
        await face.step({"line.t0": 2.0, "line.t1": 3.0, "line.t2": 6.0})
        await eventually(lambda: len(heard.values) == 6)
        assert sorted(heard.values[4:]) == [("line.t0", 2.0), ("line.t2", 6.0)]
        with pytest.raises(UaStatusCodeError) as unknown:
            await triggering(client, subscription, 4711, add=linked)
        assert unknown.value.code == ua.StatusCodes.BadMonitoredItemIdInvalid


async def test_an_item_beside_the_tags_is_let_go_as_well():
    """The triggering item is read at the publishing timer, and so is one of those that it lets go."""
    async with opcua_face(TAGS) as face, Client(face.sink.url) as client:
        heard = Heard()
        subscription = await client.create_subscription(20, heard)
        version = await subscription.subscribe_data_change(client.get_node("ns=2;s=Twin/StateVersion"))
        linked = [
            await subscription.subscribe_data_change(client.get_node(node), queuesize=5)
            for node in ("ns=2;s=Gateway/TagsBad", "ns=2;s=line.t0")
        ]
        await eventually(lambda: len(heard.values) == 3)
        await only_sampled(client, subscription, linked)
        await triggering(client, subscription, version, add=linked)
        heard.values.clear()
        await face.step({"line.t0": 7.0})
        await eventually(lambda: {name for name, _ in heard.values} >= {"Twin/StateVersion", "line.t0", "Gateway/TagsBad"})


async def test_a_subscription_goes_to_another_session_and_the_one_before_is_told():
    async with opcua_face(TAGS) as face, Client(face.sink.url) as first, Client(face.sink.url) as second:
        heard = Heard()
        subscription = await first.create_subscription(20, heard)
        await subscription.subscribe_data_change(first.get_node("ns=2;s=line.t0"))
        await eventually(lambda: heard.values)
        number = subscription.subscription_id
        for session in sessions(face):  # as over a signed channel
            session.secured = True
        face.sink._server.interior.subscription_service.subscriptions[number].owner = sessions(face)[0].owner
        (moved,) = await second.uaclient.session.transfer_subscriptions(ua.TransferSubscriptionsParameters([number], True))
        assert moved.StatusCode.is_good()
        await eventually(lambda: heard.status == [ua.StatusCodes.GoodSubscriptionTransferred])
        with pytest.raises(UaStatusCodeError) as gone:
            await first.uaclient.session.create_monitored_items(ua.CreateMonitoredItemsParameters(SubscriptionId=number))
        assert gone.value.code == ua.StatusCodes.BadSubscriptionIdInvalid
        assert (await second.uaclient.session.delete_subscriptions([number]))[0].is_good()


async def test_what_nobody_could_come_for_ends_with_its_session_and_the_rest_waits():
    async with opcua_face(TAGS) as face:
        service = face.sink._server.interior.subscription_service
        async with Client(face.sink.url) as client:
            await client.create_subscription(1000, Heard())
            kept = await client.create_subscription(1000, Heard())
            service.subscriptions[kept.subscription_id].owner = SIGNED
            await sessions(face)[0].close_session(delete_subs=False)
            assert list(service.subscriptions) == [kept.subscription_id]
        assert list(service.subscriptions) == [kept.subscription_id]


async def test_abandoned_subscriptions_are_bounded(monkeypatch):
    monkeypatch.setattr(limits, "ABANDONED_SUBSCRIPTIONS", 2)
    async with opcua_face(TAGS) as face:
        service = face.sink._server.interior.subscription_service
        made = []
        for _ in range(4):
            async with Client(face.sink.url) as client:
                subscription = await client.create_subscription(1000, Heard())
                made.append(subscription.subscription_id)
                service.subscriptions[made[-1]].owner = SIGNED
                await sessions(face)[0].close_session(delete_subs=False)
        assert list(service.subscriptions) == made[-2:]
