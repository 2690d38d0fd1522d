"""The publish loop (Part 4, 5.14.1.2): several Publish under way, notifications in order, acknowledged only after the commit.

A message is acknowledged with the first Publish after its commit. A hole in the numbers is asked for again once; what cannot be had is a
gap that is counted and named. While `window` messages wait for their commit, no Publish is sent: the server's queues hold what comes
meanwhile. While no commit is to be had at all, a relaxed pump reads on and acknowledges nothing.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from typing import Final

from gateway.contracts import NotConnected, Reporter
from gateway.wire.opcua.client import Link
from gateway.wire.opcua.cursor import Malformed
from gateway.wire.opcua.decode import DataChange, Elements, Message, Published, decode_publish, decode_republish
from gateway.wire.opcua.services import Granted

BAD_NO_SUBSCRIPTION: Final = 0x8079_0000
BAD_TOO_MANY_PUBLISH: Final = 0x8078_0000
GAP_MOST: Final = 100  # messages asked for again in one hole
VALUES_MOST: Final = 1_000_000  # values read but not committed, beyond which nothing more is asked for
_ACKS_MOST: Final = 1000
RELAXED_MOST: Final = 10_000  # messages whose acknowledgement a relaxed pump still owes; a server keeps far fewer for Republish
_RETRY_S: Final = 0.25
_WRAP: Final = 2**32 - 1  # after 4294967295 comes 1 (Part 4, 5.14.1.1)


def following(sequence: int) -> int:
    """The next sequence number."""
    return 1 if sequence >= _WRAP else sequence + 1


def ahead(sequence: int, expected: int) -> int:
    """How many messages lie between: 0 in order, > 0 a hole of so many, < 0 an old one."""
    distance = (sequence - expected) % _WRAP
    return distance if distance < _WRAP // 2 else distance - _WRAP


@dataclass(slots=True)
class Stream:
    """One subscription's messages. expected None: any number is right (after a transfer)."""

    granted: Granted
    expected: int | None = 1
    heard_s: float = field(default_factory=time.monotonic)
    held: list[Published] | None = None  # messages behind a hole that is being filled


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where a pump's findings go: data with its receipt; a subscription that ended; a hole; messages of no subscription of ours."""

    deliver: Callable[[DataChange, int], None]
    ended: Callable[[int, int], None]  # subscription, StatusCode
    gap: Callable[[int, int], None]  # subscription, messages lost
    stray: Callable[[int], None]


class Pump:
    """Publish over one link. Synchronous but for the filling of holes; the owner closes it before the link."""

    def __init__(
        self, link: Link, element: Elements, outlets: Outlets, report: Reporter, *, requests: int, window: int, patience_s: float
    ) -> None:
        self._link = link
        self._element = element
        self._out = outlets
        self._report = report
        self._requests = requests
        self._window = window
        self._patience_s = patience_s
        self.streams: dict[int, Stream] = {}
        self._under_way = 0
        self._ticket = 0
        self._open: deque[tuple[int, int, int, int]] = (
            deque()
        )  # (receipt, subscription, sequence; 0 = more of the message follows, values), not committed
        self._values = 0  # in all of those
        self._acks: deque[tuple[int, int]] = deque()
        self._fillers: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        self._closed = self._relaxed = False
        self.heard_s = time.monotonic()  # when anything came last

    # --- for the owner -------------------------------------------------------------------------------------------------------------------

    def add(self, granted: Granted, *, hold: bool = False, expected: int | None = 1) -> None:
        """Listen to a subscription; a new one begins with 1. hold: keep its messages back until release()."""
        self.streams[granted.id] = Stream(granted, expected, held=[] if hold else None)
        self.top_up()

    def remove(self, subscription: int) -> None:
        self.streams.pop(subscription, None)

    def release(self, subscription: int) -> None:
        """Let what was held back through, in order."""
        stream = self.streams.get(subscription)
        if stream is not None:
            self._flush(stream)

    async def resume(self, subscription: int, available: Iterable[int], settled: Container[tuple[int, int]]) -> None:
        """Fetch again what a transferred subscription still holds, oldest first, but for what is committed already; then release it."""
        stream = self.streams[subscription]
        for sequence in sorted(available, key=lambda number: ahead(number, min(available, default=1))):
            if (subscription, sequence) in settled:
                self._acks.append((subscription, sequence))
                continue
            message = await self._republished(subscription, sequence)
            if message is not None:
                self._report.count("republished")
                self._pass(stream, message)
        self._flush(stream)

    def settle(self, receipt: int) -> list[tuple[int, int]]:
        """All up to this receipt are committed: the (subscription, sequence) that may be acknowledged, here or over a later link."""
        settled = []
        while self._open and self._open[0][0] <= receipt:
            _, subscription, sequence, values = self._open.popleft()
            self._values -= values
            if sequence:
                settled.append((subscription, sequence))
        return settled

    def acknowledge(self, settled: Iterable[tuple[int, int]]) -> None:
        """With the next Publish tell the server that it may forget these. Never raises."""
        self._acks.extend(pair for pair in settled if pair[0] in self.streams)
        self.top_up()

    def relax(self, on: bool) -> None:
        """On: Publish goes on beyond the window, so that the subscriptions live. Off: the window holds again."""
        self._relaxed = on
        self.top_up()

    def close(self) -> None:
        """Send nothing more and hear nothing more."""
        self._closed = True
        if self._retry is not None:
            self._retry.cancel()
        for filler in self._fillers:
            filler.cancel()

    @property
    def listening(self) -> bool:
        """Whether a Publish is under way, so that silence means something."""
        return self._under_way > 0

    def silent(self, now_s: float) -> list[int]:
        """Subscriptions from which nothing came for more than two keep-alives (and a second)."""
        return [id_ for id_, stream in self.streams.items() if now_s - stream.heard_s > 2 * stream.granted.keepalive_s + 1.0]

    # --- requests ------------------------------------------------------------------------------------------------------------------------

    def top_up(self) -> None:
        """Send Publish requests up to the limit, unless the window is full."""
        if self._closed or not self.streams or self._retry is not None:
            return
        held = 0
        for stream in self.streams.values():
            if stream.held:
                held += len(stream.held)
        waiting = held if self._relaxed else len(self._open) + held
        if self._values > VALUES_MOST and not self._relaxed:
            waiting = self._window  # full: large messages fill the memory before many do
        if self._under_way == 0 and waiting < self._window:
            now_s = time.monotonic()  # silence counts from here: nothing could come while nothing was asked for
            for stream in self.streams.values():
                stream.heard_s = now_s
        while self._under_way < self._requests and waiting < self._window:
            acks = self._owed()
            try:
                self._link.publish(acks, self._answered)
            except NotConnected as fault:
                self._acks.extendleft(reversed(acks))
                self._link.fail(str(fault))
                return
            self._under_way += 1

    def _owed(self) -> list[tuple[int, int]]:
        """The acknowledgements that go with the next request."""
        if len(self._acks) > _ACKS_MOST:
            return [self._acks.popleft() for _ in range(_ACKS_MOST)]
        owed = list(self._acks)
        self._acks.clear()
        return owed

    def _answered(self, body: bytes | None, fault: str) -> None:
        self._under_way -= 1
        self.heard_s = time.monotonic()
        if self._closed:
            return
        if body is None:
            self._link.fail(f"Publish: {fault}")
            return
        try:
            published = decode_publish(body, self._element)
        except Malformed as why:
            self._report.count("decode_errors")
            self._report.problem("publish", f"an answer to Publish could not be read: {why}")
            self._later()
            return
        if published.result:
            self._refused(published.result)
            return
        self._take(published)
        self.top_up()

    def _refused(self, status: int) -> None:
        if status == BAD_NO_SUBSCRIPTION:
            for subscription in list(self.streams):
                self._out.ended(subscription, status)
            return
        if status == BAD_TOO_MANY_PUBLISH:
            self._requests = max(1, min(self._requests - 1, self._under_way))
            if self._under_way == 0:
                self._later()
            return
        if self._link.is_fatal(status):
            self._link.fail(f"Publish: {status:#010x}")
            return
        self._report.count("publish_refused")
        self._later()

    def _later(self) -> None:
        if self._retry is None:
            self._retry = asyncio.get_running_loop().call_later(_RETRY_S, self._again)

    def _again(self) -> None:
        self._retry = None
        self.top_up()

    # --- messages ------------------------------------------------------------------------------------------------------------------------

    def _take(self, published: Published) -> None:
        stream = self.streams.get(published.subscription)
        if stream is None:
            if not published.message.empty:
                self._out.stray(published.subscription)
            return
        stream.heard_s = self.heard_s
        if stream.held is not None:
            stream.held.append(published)
            return
        hole = 0 if stream.expected is None else ahead(published.message.sequence, stream.expected)
        if hole > 0:
            stream.held = [published]
            filler = asyncio.get_running_loop().create_task(self._fill(stream, hole, published.available))
            self._fillers.add(filler)
            filler.add_done_callback(self._fillers.discard)
        elif hole < 0:
            self._report.count("duplicate_notifications")
            self._acks.append((published.subscription, published.message.sequence))
        else:
            self._pass(stream, published.message)

    def _pass(self, stream: Stream, message: Message) -> None:
        subscription = stream.granted.id
        if message.empty:
            stream.expected = message.sequence
            return
        stream.expected = following(message.sequence)
        if message.malformed:
            self._report.count("decode_errors")
            self._report.problem("publish", f"a notification of subscription {subscription} could not be read: {message.malformed}")
        changes = [change for change in message.changes if change.handle.size]
        if not changes:
            self._acks.append((subscription, message.sequence))
        for place, change in enumerate(changes, 1):
            self._ticket += 1
            self._open.append((self._ticket, subscription, message.sequence if place == len(changes) else 0, change.handle.size))
            self._values += change.handle.size
            self._out.deliver(change, self._ticket)
        while self._relaxed and len(self._open) > RELAXED_MOST:
            self._values -= self._open.popleft()[3]
        if message.status_change is not None:
            self._out.ended(subscription, message.status_change)

    async def _fill(self, stream: Stream, hole: int, available: Iterable[int]) -> None:
        """Ask once for each missing message that the server says it has, then let through what waited behind."""
        assert stream.expected is not None
        missing, number = [], stream.expected
        for _ in range(min(hole, GAP_MOST)):
            missing.append(number)
            number = following(number)
        lost = hole - len(missing)
        there = set(available)
        for sequence in missing:
            message = await self._republished(stream.granted.id, sequence) if sequence in there else None
            if message is None:
                lost += 1
            else:
                self._report.count("republished")
                self._pass(stream, message)
        if lost:
            self._out.gap(stream.granted.id, lost)
        if stream.held:
            stream.expected = stream.held[0].message.sequence
        self._flush(stream)

    def _flush(self, stream: Stream) -> None:
        waiting, stream.held = stream.held or [], None
        for place, published in enumerate(waiting):
            self._take(published)
            if stream.held is not None:  # a hole within what waited: the rest waits for it
                stream.held.extend(waiting[place + 1 :])
                break
        self.top_up()

    async def _republished(self, subscription: int, sequence: int) -> Message | None:
        body = await self._link.republished(subscription, sequence, self._patience_s)
        if body is None:
            return None
        try:
            _, message = decode_republish(body, self._element)
        except Malformed:
            return None
        # A server that has the message no more must say BadMessageNotAvailable; some send an empty one instead.
        return message if message is not None and message.sequence == sequence and not message.empty else None
