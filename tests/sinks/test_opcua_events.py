"""Events to an asyncua client (Part 4, 5.12, 7.22.3; Part 9, 5.5.7): who hears what, queues, modes, refreshes."""

import asyncio

import pytest
from asyncua import Client, ua

from gateway.model.alarm import AlarmRule, Limit
from gateway.model.tag import Tag
from gateway.wire.opcua import limits
from support.opcua_face import opcua_face
from support.waiting import eventually

NS = 2
TAGS = [Tag(0, "line.oven.temp"), Tag(1, "line.press.force"), Tag(2, "hall")]
RULES = [AlarmRule(tag.tag_id, tag.name, Limit.HI, 50.0, severity=300 + 100 * tag.tag_id, message=f"{tag.name} is high") for tag in TAGS]
LIMIT_ALARM = ua.NodeId(ua.ObjectIds.LimitAlarmType)
CONDITION = ua.NodeId(ua.ObjectIds.ConditionType)


class Heard:
    def __init__(self):
        self.events = []

    def event_notification(self, event):
        self.events.append(event)


@pytest.fixture
async def face():
    async with opcua_face(TAGS, RULES) as running:
        await running.step(dict.fromkeys(("line.oven.temp", "line.press.force", "hall"), 20.0))
        yield running


@pytest.fixture
async def client(face):
    async with Client(face.sink.url, timeout=10) as connected:
        yield connected


def operand(*path, of=ua.ObjectIds.BaseEventType, attribute=ua.AttributeIds.Value, index_range=None):
    names = [ua.QualifiedName(name) for name in path]
    return ua.SimpleAttributeOperand(ua.NodeId(of), names, attribute, index_range)


def literal(value, kind=None):
    return ua.LiteralOperand(ua.Variant(value, kind))


def where(*elements):
    return ua.ContentFilter([ua.ContentFilterElement(operator, list(operands)) for operator, operands in elements])


FIELDS = ("EventId", "EventType", "SourceNode", "SourceName", "Time", "ReceiveTime", "Message", "Severity")


def event_filter(*clauses, where_clause=None):
    selects = list(clauses) or [operand(name) for name in FIELDS]
    return ua.EventFilter(selects, where_clause or ua.ContentFilter())


class Listener:
    """Event items as they are on the wire: results, and lists of fields by client handle."""

    def __init__(self, client):
        self.client, self.lists, self.id = client, [], 0

    async def open(self, publishing_ms=20, most=0):
        params = ua.CreateSubscriptionParameters(publishing_ms, 3000, 30, most, True, 0)
        self.id = (await self.client.uaclient.create_subscription(params, self._publish)).SubscriptionId
        return self

    async def _publish(self, result):
        for notification in result.NotificationMessage.NotificationData or []:
            if isinstance(notification, ua.EventNotificationList):
                self.lists.append([(event.ClientHandle, [v.Value for v in event.EventFields]) for event in notification.Events])

    @property
    def events(self):
        return [event for events in self.lists for event in events]

    async def item(self, node, asked_filter, handle=1, mode=ua.MonitoringMode.Reporting, size=100, oldest=True, attribute=12):
        request = ua.MonitoredItemCreateRequest(
            ua.ReadValueId(node, attribute), mode, ua.MonitoringParameters(handle, 0, asked_filter, size, oldest)
        )
        params = ua.CreateMonitoredItemsParameters(self.id, ua.TimestampsToReturn.Both, [request])
        return (await self.client.uaclient.create_monitored_items(params))[0]


async def listening(client, **terms):
    return await Listener(client).open(**terms)


SERVER = ua.NodeId(ua.ObjectIds.Server)


def own(key):
    return ua.NodeId(key, NS)


async def test_a_subscribed_client_hears_an_alarm_with_the_fields_of_its_type(face, client):
    """The library's own subscribe_events, with the filter that it makes from the type's fields."""
    heard = Heard()
    subscription = await client.create_subscription(20, heard)
    await subscription.subscribe_alarms_and_conditions(evtypes=ua.ObjectIds.NonExclusiveLevelAlarmType)
    await face.step({"line.oven.temp": 60.0})
    await eventually(lambda: heard.events)
    event = heard.events[0]
    assert event.SourceNode == own("line.oven.temp")
    assert event.Severity == 300
    assert event.NodeId == own("line.oven.temp/Alarms/HI")  # the ConditionId
    assert event.Retain is True
    assert getattr(event, "ActiveState/Id") is True
    assert getattr(event, "AckedState/Id") is False


async def test_a_folder_reports_the_events_of_what_is_below_it(face, client):
    listener = await listening(client)
    notifiers = [own("line.oven"), own("line"), own("/"), SERVER]
    for handle, node in enumerate(notifiers):
        assert (await listener.item(node, event_filter(), handle)).StatusCode.is_good()
    await face.step({"line.oven.temp": 60.0, "line.press.force": 60.0, "hall": 60.0})
    await eventually(lambda: len(listener.events) >= 9)
    heard = {handle: [fields[3] for number, fields in listener.events if number == handle] for handle in range(4)}
    oven, press, hall = (tag.name for tag in TAGS)
    assert heard == {0: [oven], 1: [oven, press], 2: [oven, press, hall], 3: [oven, press, hall]}


@pytest.mark.parametrize(
    ("node", "attribute", "status"),
    [
        (own("line.oven.temp"), 12, "BadAttributeIdInvalid"),
        (own("nowhere"), 12, "BadNodeIdUnknown"),
        (own("Twin"), 12, "BadNotSupported"),
        (ua.NodeId(ua.ObjectIds.Server_ServerStatus), 12, "BadAttributeIdInvalid"),
        (ua.NodeId(ua.ObjectIds.Server_ServerCapabilities), 12, "BadNotSupported"),
    ],
)
async def test_nobody_listens_where_there_is_no_notifier(client, node, attribute, status):
    listener = await listening(client)
    result = await listener.item(node, event_filter(), attribute=attribute)
    assert result.StatusCode.name == status


@pytest.mark.parametrize("asked", [None, ua.DataChangeFilter(), ua.EventFilter([], ua.ContentFilter())])
async def test_an_event_item_needs_an_event_filter(client, asked):
    listener = await listening(client)
    assert (await listener.item(SERVER, asked)).StatusCode.name == "BadEventFilterInvalid"


async def test_notifiers_are_found_by_their_references(client):
    server = await client.get_node(SERVER).get_references(48, ua.BrowseDirection.Forward)
    assert {reference.NodeId for reference in server} == {own("/"), own("Gateway")}
    oven = await client.get_node(own("line.oven")).get_references(36, ua.BrowseDirection.Both)
    assert {(reference.NodeId, reference.IsForward) for reference in oven} == {(own("line"), False), (own("line.oven.temp"), True)}
    above = await client.get_node(own("/")).get_references(48, ua.BrowseDirection.Inverse)
    assert [reference.NodeId for reference in above] == [SERVER]


async def test_an_unknown_field_is_null_and_the_client_is_told(face, client):
    listener = await listening(client)
    clauses = [
        operand("Message"),
        operand("NoSuchField"),
        operand("Message", of=ua.ObjectIds.FolderType),
        operand("ActiveState", attribute=ua.AttributeIds.DisplayName),
        operand("Message", index_range="5:2"),
        operand("Message", index_range="0:3"),
    ]
    result = await listener.item(SERVER, event_filter(*clauses))
    assert result.StatusCode.is_good()
    names = [code.name for code in result.FilterResult.SelectClauseResults]
    assert names == ["Good", "BadNodeIdUnknown", "BadTypeDefinitionInvalid", "BadAttributeIdInvalid", "BadIndexRangeInvalid", "Good"]
    await face.step({"hall": 60.0})
    await eventually(lambda: listener.events)
    _, fields = listener.events[0]
    assert fields[1:5] == [None] * 4


async def test_a_where_clause_chooses_by_type_and_severity(face, client):
    """OfType is met by every subtype."""
    listener = await listening(client)
    elements = where(
        (ua.FilterOperator.And, [ua.ElementOperand(1), ua.ElementOperand(2)]),
        (ua.FilterOperator.OfType, [literal(CONDITION)]),
        (ua.FilterOperator.GreaterThanOrEqual, [operand("Severity"), literal(400, ua.VariantType.Int32)]),
    )
    assert (await listener.item(SERVER, event_filter(where_clause=elements))).StatusCode.is_good()
    await face.step({"line.oven.temp": 60.0, "line.press.force": 60.0, "hall": 60.0})
    await eventually(lambda: len(listener.events) == 2)
    assert [fields[7] for _, fields in listener.events] == [400, 500]


async def test_a_where_clause_that_cannot_be_refuses_the_item_and_says_why(client):
    listener = await listening(client)
    elements = where(
        (ua.FilterOperator.And, [ua.ElementOperand(0), ua.ElementOperand(9)]),
        (ua.FilterOperator.RelatedTo, [literal(1)] * 6),
        (ua.FilterOperator.Not, []),
        (ua.FilterOperator.OfType, [literal(ua.NodeId(ua.ObjectIds.FolderType))]),
        (ua.FilterOperator.IsNull, [ua.AttributeOperand(AttributeId=13)]),
    )
    result = await listener.item(SERVER, event_filter(where_clause=elements))
    assert result.StatusCode.name == "BadEventFilterInvalid"
    found = result.FilterResult.WhereClauseResult.ElementResults
    assert [element.StatusCode.name for element in found] == [
        "BadFilterOperandInvalid",
        "BadFilterOperatorUnsupported",
        "BadFilterOperandCountMismatch",
        "BadFilterOperandInvalid",
        "BadFilterOperandInvalid",
    ]
    assert [code.name for code in found[0].OperandStatusCodes] == ["BadFilterElementInvalid"] * 2


# --- queues and modes ---------------------------------------------------------------------------------------------------------------


async def raised(face, times, tag="hall"):
    """So many events of that tag: active, inactive, active, ..."""
    for n in range(times):
        await face.step({tag: 60.0 if n % 2 == 0 else 20.0})


OVERFLOW = ua.NodeId(ua.ObjectIds.EventQueueOverflowEventType)


@pytest.mark.parametrize("oldest", [True, False])
async def test_a_full_queue_says_so_at_its_right_end(face, client, oldest):
    listener = await listening(client)
    clauses = [operand("EventType"), operand("ActiveState", "Id", of=ua.ObjectIds.AlarmConditionType), operand("SourceName")]
    result = await listener.item(SERVER, event_filter(*clauses), mode=ua.MonitoringMode.Sampling, size=1, oldest=oldest)
    assert result.RevisedQueueSize == 10  # the least
    await raised(face, 17)
    params = ua.SetMonitoringModeParameters(listener.id, ua.MonitoringMode.Reporting, [result.MonitoredItemId])
    await client.uaclient.set_monitoring_mode(params)
    await eventually(lambda: len(listener.events) == 11)
    types = [fields[0] for _, fields in listener.events]
    assert [place for place, kind in enumerate(types) if kind == OVERFLOW] == [0 if oldest else 10]
    assert listener.events[0 if oldest else 10][1] == [OVERFLOW, None, "Internal/EventQueueOverflow"]
    states = [fields[1] for _, fields in listener.events if fields[0] != OVERFLOW]
    assert states == [n % 2 == 0 for n in (range(7, 17) if oldest else (*range(9), 16))]
    assert face.report.counts["event_queue_overflows"] == 7


async def test_messages_are_cut_by_what_the_client_takes(face, client):
    listener = await listening(client, most=3)
    await listener.item(SERVER, event_filter())
    await raised(face, 10)
    await eventually(lambda: len(listener.events) == 10)
    assert max(map(len, listener.lists)) <= 3


async def test_modes(face, client):
    """Disabled hears nothing, Sampling keeps what it hears, Reporting tells it; deleting ends it."""
    listener = await listening(client)
    disabled = await listener.item(SERVER, event_filter(), 1, ua.MonitoringMode.Disabled)
    sampling = await listener.item(SERVER, event_filter(), 2, ua.MonitoringMode.Sampling)
    await listener.item(SERVER, event_filter(), 3)
    await raised(face, 1)
    await eventually(lambda: [handle for handle, _ in listener.events] == [3])
    ids = [disabled.MonitoredItemId, sampling.MonitoredItemId]
    params = ua.SetMonitoringModeParameters(listener.id, ua.MonitoringMode.Reporting, ids)
    assert [code.name for code in await client.uaclient.set_monitoring_mode(params)] == ["Good", "Good"]
    await eventually(lambda: [handle for handle, _ in listener.events] == [3, 2])
    assert [c.name for c in await client.uaclient.delete_monitored_items(ua.DeleteMonitoredItemsParameters(listener.id, [*ids, 4711]))] == [
        "Good",
        "Good",
        "BadMonitoredItemIdInvalid",
    ]
    await face.step({"hall": 20.0})
    await eventually(lambda: [handle for handle, _ in listener.events] == [3, 2, 3])


async def test_another_filter_from_now_on(face, client):
    listener = await listening(client)
    made = await listener.item(SERVER, event_filter())
    wanted = event_filter(operand("SourceName"), where_clause=where((ua.FilterOperator.Like, [operand("SourceName"), literal("line.%")])))
    request = ua.MonitoredItemModifyRequest(made.MonitoredItemId, ua.MonitoringParameters(7, 0, wanted, 0, True))
    params = ua.ModifyMonitoredItemsParameters(listener.id, ua.TimestampsToReturn.Both, [request])
    (result,) = await client.uaclient.modify_monitored_items(params)
    assert (result.StatusCode.name, result.RevisedQueueSize) == ("Good", 1000)
    await face.step({"hall": 60.0, "line.oven.temp": 60.0})
    await eventually(lambda: listener.events == [(7, ["line.oven.temp"])])
    request.RequestedParameters.Filter = event_filter(operand("NoSuchField"))
    (result,) = await client.uaclient.modify_monitored_items(params)
    assert result.StatusCode.name == "BadEventFilterInvalid"


# --- refresh ------------------------------------------------------------------------------------------------------------------------

REFRESH, REFRESH_2 = ua.ObjectIds.ConditionType_ConditionRefresh, ua.ObjectIds.ConditionType_ConditionRefresh2
START, END = ua.ObjectIds.RefreshStartEventType, ua.ObjectIds.RefreshEndEventType


async def refresh(client, *numbers):
    """The StatusCode of ConditionRefresh(subscription) or ConditionRefresh2(subscription, item)."""
    arguments = [ua.Variant(number, ua.VariantType.UInt32) for number in numbers]
    request = ua.CallMethodRequest(CONDITION, ua.NodeId(REFRESH if len(numbers) == 1 else REFRESH_2), arguments)
    (result,) = await client.uaclient.call([request])
    return result.StatusCode.name


def kinds(listener, handle=1):
    return [fields[1].Identifier for number, fields in listener.events if number == handle]


async def test_a_refresh_tells_of_every_condition_that_is_of_interest(face, client):
    await face.step({"line.oven.temp": 60.0, "hall": 60.0})
    listener = await listening(client)
    await listener.item(own("line"), event_filter(), 1)
    only_severe = where((ua.FilterOperator.GreaterThan, [operand("Severity"), literal(400)]))
    await listener.item(SERVER, event_filter(where_clause=only_severe), 2)
    assert await refresh(client, listener.id) == "Good"
    await eventually(lambda: kinds(listener)[-1:] == [END] and kinds(listener, 2)[-1:] == [END])
    named = [(handle, fields[3]) for handle, fields in listener.events if fields[1].Identifier not in (START, END)]
    assert sorted(named) == [(1, "line.oven.temp"), (2, "hall")]
    assert kinds(listener)[0] == kinds(listener, 2)[0] == START


async def test_a_refresh_of_one_item_concerns_that_item_alone(face, client):
    await face.step({"hall": 60.0})
    listener = await listening(client)
    await listener.item(SERVER, event_filter(), 1)
    second = await listener.item(SERVER, event_filter(), 2)
    assert await refresh(client, listener.id, second.MonitoredItemId) == "Good"
    await eventually(lambda: len(listener.events) == 3)
    assert {handle for handle, _ in listener.events} == {2}


async def test_a_refresh_is_for_the_owner_and_not_for_ever(face, client):
    listener = await listening(client)
    await listener.item(SERVER, event_filter())
    async with Client(face.sink.url, timeout=10) as other:
        assert await refresh(other, listener.id) == "BadUserAccessDenied"
    assert await refresh(client, 4711) == "BadSubscriptionIdInvalid"
    assert await refresh(client, listener.id, 4711) == "BadMonitoredItemIdInvalid"
    asked = [await refresh(client, listener.id) for _ in range(20)]
    assert asked[:5] == ["Good"] * 5
    assert "BadRefreshInProgress" in asked


# --- limits, links, lost connections --------------------------------------------------------------------------------------------------


async def test_a_subscription_has_so_many_event_items_and_no_more(client):
    listener = await listening(client)
    request = ua.MonitoredItemCreateRequest(
        ua.ReadValueId(SERVER, 12), ua.MonitoringMode.Reporting, ua.MonitoringParameters(1, 0, event_filter(), 1, True)
    )
    requests = [request] * (limits.EVENT_ITEMS_PER_SUBSCRIPTION + 1)
    params = ua.CreateMonitoredItemsParameters(listener.id, ua.TimestampsToReturn.Both, requests)
    results = await client.uaclient.create_monitored_items(params)
    assert {result.StatusCode.name for result in results[:-1]} == {"Good"}
    assert results[-1].StatusCode.name == "BadTooManyMonitoredItems"


async def test_too_many_clauses_are_refused(client):
    listener = await listening(client)
    result = await listener.item(SERVER, event_filter(*[operand("Message")] * (limits.SELECT_CLAUSES + 1)))
    assert result.StatusCode.name == "BadEventFilterInvalid"
    deep = [(ua.FilterOperator.Not, [ua.ElementOperand(n + 1)]) for n in range(limits.FILTER_ELEMENTS)]
    result = await listener.item(SERVER, event_filter(where_clause=where(*deep, (ua.FilterOperator.IsNull, [literal(1)]))))
    assert result.StatusCode.name == "BadEventFilterInvalid"
    most = await client.get_node(ua.ObjectIds.Server_ServerCapabilities_MaxSelectClauseParameters).read_value()
    assert most == limits.SELECT_CLAUSES


async def test_an_event_lets_go_what_a_linked_item_has_sampled(face, client):
    """SetTriggering (5.12.5), both ways: an event item triggers a sampling event item."""
    listener = await listening(client)
    first = await listener.item(own("line.oven"), event_filter(), 1)
    linked = await listener.item(own("/"), event_filter(), 2, ua.MonitoringMode.Sampling)
    request = ua.SetTriggeringRequest()
    request.Parameters = ua.SetTriggeringParameters(listener.id, first.MonitoredItemId, [linked.MonitoredItemId], [])
    await client.uaclient._send_request(request)
    await face.step({"hall": 60.0})
    await face.step({"line.oven.temp": 60.0})
    await eventually(lambda: len(listener.events) >= 3)
    assert sorted((handle, fields[3]) for handle, fields in listener.events) == [
        (1, "line.oven.temp"),
        (2, "hall"),
        (2, "line.oven.temp"),
    ]


async def test_deleted_items_give_back_what_their_queues_held(face, client):
    listener = await listening(client)
    made = await listener.item(SERVER, event_filter(), mode=ua.MonitoringMode.Sampling)
    hub = face.sink._server.interior.subscription_service.events
    await raised(face, 4)
    assert hub.budget.left < limits.EVENT_QUEUES_BYTES
    await client.uaclient.delete_monitored_items(ua.DeleteMonitoredItemsParameters(listener.id, [made.MonitoredItemId]))
    assert hub.budget.left == limits.EVENT_QUEUES_BYTES
    assert not hub._listening


async def test_an_event_larger_than_all_messages_of_a_client_still_goes_out(face, client):
    """Nothing waits for ever: one event always fits."""
    listener = await listening(client)
    await listener.item(SERVER, event_filter())
    subscription = face.sink._server.interior.subscription_service.subscriptions[listener.id]
    subscription.outlet.room_for = lambda: 1
    await raised(face, 3)
    await eventually(lambda: len(listener.events) == 3)
    assert [len(events) for events in listener.lists] == [1, 1, 1]


async def test_all_filters_together_cost_no_more_than_they_may(face, client):
    """What one client asks of each event is bounded, however many items it makes; what it gives up comes back."""
    listener = await listening(client)
    many = where((ua.FilterOperator.InList, [operand("SourceName"), *[literal(str(n)) for n in range(999)]]))
    made = [await listener.item(SERVER, event_filter(where_clause=many)) for _ in range(5)]
    assert [result.StatusCode.name for result in made] == ["Good"] * 4 + ["BadTooManyMonitoredItems"]
    hub = face.sink._server.interior.subscription_service.events
    assert hub.work == 4000
    request = ua.MonitoredItemModifyRequest(made[0].MonitoredItemId, ua.MonitoringParameters(1, 0, event_filter(), 0, True))
    params = ua.ModifyMonitoredItemsParameters(listener.id, ua.TimestampsToReturn.Both, [request])
    assert (await client.uaclient.modify_monitored_items(params))[0].StatusCode.is_good()
    assert hub.work == 3000
    await client.uaclient.delete_subscriptions([listener.id])
    assert hub.work == 0


async def test_a_flood_of_refreshes_is_turned_down_and_holds_nobody_up(face, client):
    """A hundred in one Call, from two subscriptions: a few are done, one after the other, and another client is served meanwhile."""
    await face.step({"hall": 60.0})
    listeners = [await listening(client) for _ in range(2)]
    for listener in listeners:
        await listener.item(SERVER, event_filter())
    calls = [
        ua.CallMethodRequest(CONDITION, ua.NodeId(REFRESH), [ua.Variant(listener.id, ua.VariantType.UInt32)])
        for _ in range(limits.METHODS_PER_CALL // 2)
        for listener in listeners
    ]
    async with Client(face.sink.url, timeout=10) as other:
        flood = asyncio.gather(*(client.uaclient.call(calls) for _ in range(5)))
        await other.get_node(SERVER).read_browse_name()
        answers = [result.StatusCode.name for results in await flood for result in results]
    assert set(answers) == {"Good", "BadRefreshInProgress"}
    assert answers.count("Good") <= 2 * (limits.REFRESHES_IN_A_ROW + 3)
    await eventually(lambda: sum(kinds(listener).count(END) for listener in listeners) == answers.count("Good"))
    for listener in listeners:
        assert kinds(listener) == [START, 10060, END] * (len(listener.events) // 3)


async def publishing(client, listener, *, on):
    params = ua.SetPublishingModeParameters(on, [listener.id])
    assert [code.name for code in await client.uaclient.set_publishing_mode(params)] == ["Good"]


async def test_events_wait_while_publishing_is_off(face, client):
    """What happens meanwhile is told later (5.13.4)."""
    listener = await listening(client)
    await listener.item(SERVER, event_filter())
    await publishing(client, listener, on=False)
    await raised(face, 6)
    assert not listener.events
    await publishing(client, listener, on=True)
    await eventually(lambda: len(listener.events) == 6)


async def test_a_refresh_whose_item_is_gone_is_over(face, client):
    """It waited for the room that the item does not have any more; the next one begins anew."""
    listener = await listening(client)
    made = await listener.item(SERVER, event_filter(), size=10)
    await publishing(client, listener, on=False)
    await raised(face, 9)
    assert await refresh(client, listener.id) == "Good"
    assert await refresh(client, listener.id) == "BadRefreshInProgress"
    await client.uaclient.delete_monitored_items(ua.DeleteMonitoredItemsParameters(listener.id, [made.MonitoredItemId]))
    await listener.item(SERVER, event_filter(), 2)
    await publishing(client, listener, on=True)
    assert await refresh(client, listener.id) == "Good"
    await eventually(lambda: kinds(listener, 2)[-1:] == [END])
