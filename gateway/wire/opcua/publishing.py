"""Subscriptions on the wire (Part 4, 5.13): the library's service and subscription classes with our state machine and our items inside.

Items on tags are columns (`Items`), items on events filters with a queue (`EventItems`); an item on any other Variable or attribute is
read at each publishing timer and compared.
"""

import struct
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.internal_subscription import InternalSubscription
from asyncua.server.subscription_service import SubscriptionService
from asyncua.ua.ua_binary import extensionobject_to_binary

from gateway.wire.opcua import limits, ticks
from gateway.wire.opcua.beat import Action, Beat, Machine
from gateway.wire.opcua.event_items import EventHub
from gateway.wire.opcua.face import Items
from gateway.wire.opcua.guards import finite
from gateway.wire.opcua.heads import Acknowledgement
from gateway.wire.opcua.items import MonitoredItems
from gateway.wire.opcua.outlet import BYTES_PER_VALUE, Message, Nowhere, Outlet
from gateway.wire.opcua.terms import status_code
from gateway.wire.opcua.transfer import Owner

if TYPE_CHECKING:
    from gateway.wire.opcua.server import Interior

_DATA_CHANGE: Final = b"\x01\x00\x2b\x03\x01"  # ExtensionObject head: NodeId i=811 (DataChangeNotification, binary), body follows
_LAST_SEQUENCE: Final = 0xFFFF_FFFF


class Subscription(InternalSubscription):
    """One subscription of one session."""

    monitored_item_srv: MonitoredItems

    def __init__(
        self,
        result: ua.CreateSubscriptionResult,
        service: "Publishing",
        machine: Machine,
        items: Items,
        outlet: Outlet,
        session_id: ua.NodeId,
    ) -> None:
        super().__init__(result, service.aspace, _unused, session_id)
        self.machine, self.items, self.outlet, self._service = machine, items, outlet, service
        self.owner = Owner()
        self.counts: Counter[str] = Counter()  # for its diagnostics
        self.monitored_item_srv = MonitoredItems(self, service.aspace, items, service.face, service.events)
        self._sent: OrderedDict[int, bytes] = OrderedDict()
        self._sent_bytes = 0
        self.beat = Beat(machine, self._expired)
        items.told(self.beat.wake)

    async def start(self) -> None:
        self.beat.start()

    async def stop(self) -> None:
        self.shut()

    def shut(self) -> None:
        """Ends it, silently. Idempotent."""
        if self.beat.running:
            self.beat.stop()
            self.monitored_item_srv.delete_all_monitored_items()
            self.items.close()

    def modify(self, params: ua.ModifySubscriptionParameters) -> ua.ModifySubscriptionResult:
        """Part 4, 5.13.3."""
        machine = self.machine
        self.counts["modify"] += 1
        machine.revise(
            finite(params.RequestedPublishingInterval, 0.0, 1e12),
            params.RequestedLifetimeCount,
            params.RequestedMaxKeepAliveCount,
            params.MaxNotificationsPerPublish,
            params.Priority,
        )
        self.beat.restart()
        return ua.ModifySubscriptionResult(machine.publishing_ms, machine.lifetime_count, machine.keep_alive_count)

    # --- the publishing timer and the requests ---

    def available(self) -> bool:
        return self.items.ready() or self.monitored_item_srv.has_sampled() or self.monitored_item_srv.events.ready()

    def _expired(self) -> None:
        self.items.sample(self._service.face.now_ns())
        self.monitored_item_srv.sample(self._service.face.now_ns())
        self._act(self.machine.timer(queued=self.outlet.queued(), available=self.available()))
        if self.beat.running:
            self.beat.go_on(self._rest_s())

    def _rest_s(self) -> float:
        """How long only something queued needs the timer, of which `beat` is told."""
        alone = not self.items.polled() and not self.monitored_item_srv.polled()
        return self.outlet.lasting_s() if alone and self.machine.publishing_enabled and not self.items.ready() else 0.0

    def requested(self) -> None:
        """A Publish request came for this late subscription."""
        self.counts["late"] += 1
        self.items.sample(self._service.face.now_ns())
        self._act(self.machine.publish(available=self.available()))

    def _act(self, action: Action) -> None:
        if action is Action.NOTIFY:
            self._notify()
        elif action is Action.KEEP_ALIVE:
            self.outlet.answer(self._message(0, [], more=False))
        elif action is Action.CLOSE:
            self._service.expire(self)

    def _notify(self) -> None:
        """Rows 5 and 6: one message, and further ones as long as requests wait and notifications do not fit."""
        more = True
        while more and self.outlet.queued():
            count, pieces = self._take()
            if not count:
                break
            more = self.machine.publishing_enabled and self.available()
            self.outlet.answer(self._message(count, pieces, more=more))

    def _take(self) -> tuple[int, list[bytes | memoryview]]:
        """How many notifications, and their encoded ExtensionObjects in pieces: at most MaxNotificationsPerPublish values."""
        most = min(self.machine.max_notifications or limits.VALUES_PER_NOTIFICATION, limits.VALUES_PER_NOTIFICATION, self.outlet.room_for())
        count, pieces = 0, []
        for body in self.items.take(most):
            pieces += [_DATA_CHANGE + struct.pack("<i", len(body)), body]
            values = struct.unpack_from("<i", body)[0]
            self.counts["data_change"] += values
            most -= values
            count += 1
        sampled = self.monitored_item_srv.take_sampled(most) if most > 0 else []
        if sampled:
            body = struct.pack("<i", len(sampled)) + b"".join(sampled) + b"\xff\xff\xff\xff"
            pieces += [_DATA_CHANGE + struct.pack("<i", len(body)), body]
            self.counts["data_change"] += len(sampled)
            count += 1
        if most > len(sampled) and self.monitored_item_srv.events.ready():
            room_bytes = self.outlet.room_for() * BYTES_PER_VALUE - sum(map(len, pieces))
            pieces.append(self.monitored_item_srv.events.take(most - len(sampled), room_bytes))
            count += 1
        return count, pieces

    def _message(self, count: int, pieces: list[bytes | memoryview], *, more: bool) -> Message:
        """Part 4, 7.26: a keep-alive, a message of no notifications, carries the next sequence number without using it."""
        sequence = self._notification_seq
        body = b"".join((struct.pack("<Iqi", sequence, _now_ticks(self._service.face.now_ns()), count), *pieces))
        if count:
            self._sent[sequence] = body
            self._sent_bytes += len(body)
            self._notification_seq = 1 if sequence >= _LAST_SEQUENCE else sequence + 1
            while len(self._sent) > 1 and (len(self._sent) > limits.RETRANSMIT_MESSAGES or self._sent_bytes > limits.RETRANSMIT_BYTES):
                self._sent_bytes -= len(self._sent.popitem(last=False)[1])
                self.counts["discarded"] += 1
        self.counts["publish"] += 1
        return Message(self.data.SubscriptionId, tuple(self._sent), more, body)

    def last_message(self, code: int) -> Message:
        """StatusChangeNotification: what a client hears of a subscription that is no more (Part 4, 7.25.4)."""
        gone = extensionobject_to_binary(ua.StatusChangeNotification(status_code(code), ua.DiagnosticInfo()))
        return Message(self.data.SubscriptionId, (), False, self._message(1, [gone], more=False).body)

    def transferred(self, *, fresh: bool) -> tuple[int, ...]:
        """The numbers of messages that may be republished; fresh: the current values follow."""
        self.counts["transfer"] += 1
        self.machine.used()
        if fresh:
            self.items.refresh(self._service.face.now_ns())
        return tuple(self._sent)

    def resend(self) -> None:
        """Part 5, 9.2 (ResendData): the current values follow, changed or not."""
        self.items.refresh(self._service.face.now_ns())
        self.monitored_item_srv.resend()

    def acknowledge(self, sequence: int) -> int:
        body = self._sent.pop(sequence, None)
        if body is None:
            return ua.StatusCodes.BadSequenceNumberUnknown
        self._sent_bytes -= len(body)
        return ua.StatusCodes.Good

    def sent(self, sequence: int) -> bytes:
        """Part 4, 5.13.6 (Republish). Raises ServiceError BadMessageNotAvailable."""
        self.counts["republish"] += 1
        body = self._sent.get(sequence)
        if body is None:
            raise ServiceError(ua.StatusCodes.BadMessageNotAvailable)
        self.counts["republished"] += 1
        return body

    def unacknowledged(self) -> int:
        """How many messages are kept for Republish."""
        return len(self._sent)

    @property
    def next_sequence(self) -> int:
        """The number of the next notification message."""
        return int(self._notification_seq)


class Publishing(SubscriptionService):
    """All subscriptions of the server."""

    subscriptions: dict[int, Subscription]  # type: ignore[assignment]
    iserver: "Interior"

    def __init__(self, aspace: Any, iserver: "Interior") -> None:
        super().__init__(aspace, iserver)
        self.face = iserver.face
        self.events = EventHub(iserver.face, iserver.nodes)
        self._farewells: dict[ua.NodeId, deque[Message]] = {}  # StatusChanges that wait for their session's next Publish request

    async def create_subscription(
        self,
        params: ua.CreateSubscriptionParameters,
        callback: Callable[..., Any],
        session_id: ua.NodeId,
        request_callback: Callable[..., Any] | None = None,  # noqa: ARG002 the connection itself is the way back
    ) -> ua.CreateSubscriptionResult:
        """Part 4, 5.13.2. callback is a method of the connection. Raises ServiceError BadTooManySubscriptions."""
        if len(self.of(session_id)) >= limits.SUBSCRIPTIONS_PER_SESSION or len(self.subscriptions) >= limits.SUBSCRIPTIONS:
            raise ServiceError(ua.StatusCodes.BadTooManySubscriptions)
        machine, items = self.face.open_subscription()
        machine.revise(
            finite(params.RequestedPublishingInterval, 0.0, 1e12),
            params.RequestedLifetimeCount,
            params.RequestedMaxKeepAliveCount,
            params.MaxNotificationsPerPublish,
            params.Priority,
        )
        machine.publishing_enabled = bool(params.PublishingEnabled)
        self._sub_id_counter += 1
        result = ua.CreateSubscriptionResult(self._sub_id_counter, machine.publishing_ms, machine.lifetime_count, machine.keep_alive_count)
        outlet: Outlet = callback.__self__.requests  # type: ignore[attr-defined]
        subscription = Subscription(result, self, machine, items, outlet, session_id)
        self.subscriptions[result.SubscriptionId] = subscription
        self.iserver.diagnostics.totals.subscriptions += 1
        await subscription.start()
        return result

    def of(self, session_id: ua.NodeId) -> list[Subscription]:
        number = session_id.Identifier  # numeric, of one namespace: comparing whole NodeIds takes ten times as long
        return [subscription for subscription in self.subscriptions.values() if subscription.session_id.Identifier == number]

    def find(self, subscription_id: int, session_id: ua.NodeId) -> Subscription | None:
        """A subscription, for its owner only."""
        found = self.subscriptions.get(subscription_id)
        return found if found is not None and found.session_id == session_id else None

    def set_publishing(self, subscription_id: int, session_id: ua.NodeId, enabled: bool) -> ua.StatusCode:
        found = self.find(subscription_id, session_id)
        if found is None:
            return status_code(ua.StatusCodes.BadSubscriptionIdInvalid)
        found.beat.wake()
        found.machine.publishing_enabled = enabled
        found.counts["enable" if enabled else "disable"] += 1
        found.machine.used()
        return ua.StatusCode()

    def acknowledged(self, session_id: ua.NodeId, acknowledgements: Sequence[Acknowledgement]) -> list[int]:
        """StatusCodes of one Publish request's acknowledgements. Raises ServiceError BadNoSubscription."""
        if not self.of(session_id) and session_id not in self._farewells:
            raise ServiceError(ua.StatusCodes.BadNoSubscription)
        codes = []
        for acknowledgement in acknowledgements:
            found = self.find(acknowledgement.SubscriptionId, session_id)
            codes.append(ua.StatusCodes.BadSubscriptionIdInvalid if found is None else found.acknowledge(acknowledgement.SequenceNumber))
        return codes

    def serve(self, session_id: ua.NodeId, outlet: Outlet) -> None:
        """A Publish request was queued: the late subscriptions of the session come first, by priority, then by how long they have
        waited.
        """
        farewells = self._farewells.get(session_id)
        if farewells:
            outlet.answer(farewells.popleft())
            if not farewells:
                del self._farewells[session_id]
            return
        late = [subscription for subscription in self.of(session_id) if subscription.machine.late]
        if late:
            first = max(late, key=lambda subscription: subscription.machine.priority)
            self.subscriptions[first.data.SubscriptionId] = self.subscriptions.pop(first.data.SubscriptionId)  # to the end of its rank
            first.requested()

    def rebind(self, session_id: ua.NodeId, outlet: Outlet) -> None:
        """The session goes on over another connection (Part 4, 6.7)."""
        for subscription in self.of(session_id):
            subscription.beat.wake()
            subscription.outlet = outlet

    def ran_out(self, outlet: Outlet) -> None:
        """No Publish request waits there any more: what counts on it counts otherwise from now on."""
        for subscription in self.subscriptions.values():
            if subscription.outlet is outlet:
                subscription.beat.wake()

    def expire(self, subscription: Subscription) -> None:
        """Row 27: nobody asked for too long."""
        self.subscriptions.pop(subscription.data.SubscriptionId, None)
        self._farewell(subscription, ua.StatusCodes.BadTimeout)
        subscription.shut()
        self.face.count("subscriptions_expired")

    def _farewell(self, subscription: Subscription, code: int) -> None:
        if not isinstance(subscription.outlet, Nowhere):
            message = subscription.last_message(code)
            self._farewells.setdefault(subscription.session_id, deque(maxlen=limits.SUBSCRIPTIONS_PER_SESSION)).append(message)

    def leave(self, session_id: ua.NodeId) -> list[int]:
        """The session ends and its subscriptions need not: those that somebody could take over wait for their lifetime, the newest
        few. The others, which are to be deleted.
        """
        mine = self.of(session_id)
        for subscription in mine:
            subscription.beat.wake()
            if subscription.owner.leaves:
                subscription.outlet = Nowhere()
        left = [number for number, subscription in self.subscriptions.items() if isinstance(subscription.outlet, Nowhere)]
        return [s.data.SubscriptionId for s in mine if not s.owner.leaves] + left[: -limits.ABANDONED_SUBSCRIPTIONS]

    def take_over(self, subscription: Subscription, session_id: ua.NodeId, owner: Owner, outlet: Outlet) -> None:
        """Another session has it from now on (Part 4, 5.13.7); the one before is told. Raises ServiceError BadTooManySubscriptions."""
        if len(self.of(session_id)) >= limits.SUBSCRIPTIONS_PER_SESSION:
            raise ServiceError(ua.StatusCodes.BadTooManySubscriptions)
        before, waiting = subscription.session_id, subscription.outlet
        self._farewell(subscription, ua.StatusCodes.GoodSubscriptionTransferred)
        subscription.counts["transferred"] += 1
        subscription.beat.wake()
        subscription.session_id, subscription.owner, subscription.outlet = session_id, owner, outlet
        while before in self._farewells and waiting.queued():
            self.serve(before, waiting)

    def forget(self, session_id: ua.NodeId) -> None:
        """The session is closed."""
        self._farewells.pop(session_id, None)

    async def delete_subscriptions(self, ids: list[int]) -> list[ua.StatusCode]:
        codes = []
        for subscription_id in ids:
            found = self.subscriptions.pop(subscription_id, None)
            if found is not None:
                found.shut()
            codes.append(status_code(ua.StatusCodes.Good if found is not None else ua.StatusCodes.BadSubscriptionIdInvalid))
        return codes


def _now_ticks(unix_ns: int) -> int:
    return unix_ns // 100 + ticks.EPOCH_1970


async def _unused(*_: Any) -> None:
    """The library's own publishing loop is not used."""
