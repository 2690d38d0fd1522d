"""The Publish requests of one connection (Part 4, 5.13.5): they wait for notifications, and each is used up by one answer."""

import math
import struct
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from asyncua import ua
from asyncua.ua.ua_binary import nodeid_to_binary

from gateway.wire.opcua import limits
from gateway.wire.opcua.heads import Publish
from gateway.wire.opcua.outlet import BYTES_PER_VALUE, Message

if TYPE_CHECKING:
    from gateway.wire.opcua.publishing import Publishing

_RESPONSE: Final = nodeid_to_binary(ua.PublishResponse().TypeId)
_OVERHEAD_BYTES: Final = 512


class Asked(NamedTuple):
    """What an answer needs of its request; of a Publish also the results of its acknowledgements, and when the client gives up (monotonic
    seconds).
    """

    handle: int
    request: int
    results: Sequence[int] = ()
    until_s: float = math.inf


def asked(header: ua.RequestHeader, seqhdr: Any) -> Asked:
    """Of any request."""
    return Asked(header.RequestHandle, seqhdr.RequestId)


class PublishRequests:
    """Implements publishing's Outlet. respond, fault: how the connection answers; message_bytes: what the client takes, 0 = anything."""

    def __init__(self, service: "Publishing", transport: Any, respond: Callable[..., None], fault: Callable[[int, int, int], None]) -> None:
        self._service, self._transport, self._respond, self._fault = service, transport, respond, fault
        self._waiting: deque[Asked] = deque()
        self.message_bytes = 0

    def clear(self) -> None:
        """Nobody is there any more to be answered."""
        self._waiting.clear()
        self._service.ran_out(self)

    def take(self, session_id: ua.NodeId, publish: Publish, request: int) -> None:
        """One more, which a late subscription of the session may use up at once. Raises ServiceError BadNoSubscription."""
        waiting = self._waiting
        results = self._service.acknowledged(session_id, publish.acknowledgements)
        if len(waiting) >= limits.PUBLISH_REQUESTS_PER_SESSION:
            oldest = waiting.popleft()
            self._fault(oldest.handle, oldest.request, ua.StatusCodes.BadTooManyPublishRequests)
        until_s = time.monotonic() + publish.patience_s if publish.patience_s else math.inf
        waiting.append(Asked(publish.handle, request, results, until_s))
        self._service.serve(session_id, self)

    def queued(self) -> bool:
        """Whether a request waits that has not timed out at the client."""
        waiting = self._waiting
        if waiting and waiting[0].until_s < math.inf:
            now_s = time.monotonic()
            while waiting and waiting[0].until_s < now_s:
                stale = waiting.popleft()
                self._fault(stale.handle, stale.request, ua.StatusCodes.BadTimeout)
        return bool(waiting) and not self._transport.is_closing()

    def answer(self, message: Message) -> None:
        request = self._waiting.popleft()
        available, results = message.available, request.results
        body = (
            struct.pack(f"<Ii{len(available)}I?", message.subscription_id, len(available), *available, message.more),
            message.body,
            struct.pack(f"<i{len(results)}Ii", len(results), *results, -1),  # no diagnostics
        )
        self._respond(_RESPONSE, request, *body)
        if not self._waiting:
            self._service.ran_out(self)

    def waiting(self) -> int:
        return len(self._waiting)

    def lasting_s(self) -> float:
        return self._waiting[-1].until_s - time.monotonic() if self.queued() else 0.0

    def room_for(self) -> int:
        if not self.message_bytes:
            return limits.VALUES_PER_NOTIFICATION
        return max(1, (self.message_bytes - _OVERHEAD_BYTES) // BYTES_PER_VALUE)
