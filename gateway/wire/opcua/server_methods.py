"""What the server itself can do for a client (Part 5, 9.1 and 9.2; Part 9, 5.5.7 and 5.5.8)."""

from typing import TYPE_CHECKING, Final

from asyncua import ua

from gateway.wire.opcua.call import Own
from gateway.wire.opcua.face import Content
from gateway.wire.opcua.methods import Argument, Invocation, Method, MethodRefused

if TYPE_CHECKING:
    from gateway.wire.opcua.publishing import Subscription

_SERVER: Final = 2253
_GET_MONITORED_ITEMS: Final = 11492
_RESEND_DATA: Final = 12873
_CONDITION_TYPE: Final = 2782
_CONDITION_REFRESH: Final = 3875
_CONDITION_REFRESH_2: Final = 12912
_UINT32: Final = 7
_SUBSCRIPTION: Final = Argument("SubscriptionId", _UINT32, array=False, description="The identifier of the subscription.")
_ITEM: Final = Argument("MonitoredItemId", _UINT32, array=False, description="The identifier of the event item.")


def own_methods() -> Own:
    """The server's own Methods, by Object and Method."""
    handles = (
        Argument("ServerHandles", _UINT32, array=True, description="The monitored items, by the server's identifiers."),
        Argument("ClientHandles", _UINT32, array=True, description="Likewise, by the client's handles."),
    )
    return {
        (_SERVER, _GET_MONITORED_ITEMS): Method("GetMonitoredItems", (_SUBSCRIPTION,), handles, "", _get_monitored_items),
        (_SERVER, _RESEND_DATA): Method("ResendData", (_SUBSCRIPTION,), (), "", _resend_data),
        (_CONDITION_TYPE, _CONDITION_REFRESH): Method("ConditionRefresh", (_SUBSCRIPTION,), (), "", _condition_refresh),
        (_CONDITION_TYPE, _CONDITION_REFRESH_2): Method("ConditionRefresh2", (_SUBSCRIPTION, _ITEM), (), "", _condition_refresh),
    }


def subscription_of(invocation: Invocation, subscription_id: Content) -> "Subscription":
    """A subscription of the calling session. Raises MethodRefused: BadSubscriptionIdInvalid, BadUserAccessDenied for another's."""
    assert isinstance(subscription_id, int)
    session = invocation.session
    service = session.subscription_service
    found: Subscription | None = service.find(subscription_id, session.session_id)
    if found is None:
        anothers = subscription_id in service.subscriptions
        raise MethodRefused(ua.StatusCodes.BadUserAccessDenied if anothers else ua.StatusCodes.BadSubscriptionIdInvalid)
    found.machine.used()
    return found


async def _get_monitored_items(invocation: Invocation) -> tuple[Content, ...]:
    items = sorted(subscription_of(invocation, invocation.inputs[0]).monitored_item_srv.handles())
    return tuple(item_id for item_id, _ in items), tuple(handle for _, handle in items)


async def _condition_refresh(invocation: Invocation) -> tuple[Content, ...]:
    """For all event items of a subscription, or for one. Raises MethodRefused: BadMonitoredItemIdInvalid, BadRefreshInProgress."""
    item_id = invocation.inputs[1] if len(invocation.inputs) > 1 else None
    assert item_id is None or isinstance(item_id, int)
    status = subscription_of(invocation, invocation.inputs[0]).monitored_item_srv.events.refresh(item_id)
    if status:
        raise MethodRefused(status)
    return ()


async def _resend_data(invocation: Invocation) -> tuple[Content, ...]:
    subscription_of(invocation, invocation.inputs[0]).resend()
    return ()
