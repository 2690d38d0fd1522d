"""Events inside the daemon: typed constructors, and subscriptions by category and severity with bounded queues.

Each subscriber has a queue and a task of its own: a slow or failing one harms nobody. A full queue gives up its least severe, oldest event.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from typing import Any, Self
from uuid import uuid4

from gateway.model import quality
from gateway.model.alarm import Change, Limit, Transition
from gateway.model.event import Category, Event, Severity
from gateway.model.tag import TagTable
from gateway.model.update import TwinUpdate

_ABOVE = (Limit.HIHI, Limit.HI)


class Subscription:
    """One subscriber's queue, read by `async for`. dropped counts what a full queue gave up."""

    def __init__(self, wants: Callable[[Event], bool], size: int, forget: Callable[["Subscription"], None]) -> None:
        self._wants, self._size, self._forget = wants, size, forget
        self._queue: deque[Event] = deque()
        self._filled = asyncio.Event()
        self._closed = False
        self.dropped = 0

    def offer(self, event: Event) -> None:
        """Take the event if it is wanted; never blocks."""
        if self._closed or not self._wants(event):
            return
        if len(self._queue) >= self._size:
            self._queue.remove(min(self._queue, key=lambda queued: queued.level))
            self.dropped += 1
        self._queue.append(event)
        self._filled.set()

    def close(self) -> None:
        """End the iteration once the queue is empty."""
        self._closed = True
        self._filled.set()
        self._forget(self)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while not self._queue:
            if self._closed:
                raise StopAsyncIteration
            self._filled.clear()
            await self._filled.wait()
        return self._queue.popleft()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Events:
    """The daemon's events: the latest `length` in memory, counts by category, and the subscriptions."""

    def __init__(self, length: int = 1000) -> None:
        self.latest: deque[Event] = deque(maxlen=length)
        self.counts: Counter[Category] = Counter()
        self._subscriptions: list[Subscription] = []

    def resize(self, length: int) -> None:
        """Keep so many of the latest from now on."""
        if length != self.latest.maxlen:
            self.latest = deque(self.latest, maxlen=length)

    def publish(self, event: Event) -> None:
        """Hand the event to everyone who asked for its category or its severity, once each."""
        self.latest.append(event)
        self.counts[event.category] += 1
        for subscription in tuple(self._subscriptions):
            subscription.offer(event)

    def subscribe(
        self,
        categories: Collection[Category] = (),
        severities: Collection[Severity] = (),
        size: int = 1000,
    ) -> Subscription:
        """Events of one of the categories or of one of the severities; neither given = all of them."""
        wanted_categories, wanted_severities = frozenset(categories), frozenset(severities)
        everything = not wanted_categories and not wanted_severities

        def wants(event: Event) -> bool:
            return everything or event.category in wanted_categories or event.severity in wanted_severities

        subscription = Subscription(wants, size, self.unsubscribe)
        self._subscriptions.append(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Idempotent."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)


class Publisher:
    """Events of one source: it stamps source and time, so that who publishes says only what happened."""

    def __init__(self, source: str, publish: Callable[[Event], None], now_ns: Callable[[], int]) -> None:
        self._source, self._publish, self._now_ns = source, publish, now_ns

    def _event(self, category: Category, level: int, message: str, details: Mapping[str, Any]) -> Event:
        event = Event(str(uuid4()), self._now_ns(), category, level, self._source, message, details)
        self._publish(event)
        return event

    def system(self, message: str, severity: Severity = Severity.INFO, **details: Any) -> Event:
        """Something about the gateway itself."""
        return self._event(Category.SYSTEM, severity.level, message, details)

    def error(self, error_type: str, error_message: str, severity: Severity = Severity.ERROR, **details: Any) -> Event:
        """A unit failed or a promise is in danger."""
        facts = {"error_type": error_type, "error_message": error_message, **details}
        return self._event(Category.ERROR, severity.level, f"{error_type}: {error_message}", facts)

    def user(self, message: str, **details: Any) -> Event:
        """A person did something."""
        return self._event(Category.USER, Severity.INFO.level, message, details)

    def process(self, process_type: str, process_change: str, efficiency_impact: float | None = None) -> Event:
        """The manufacturing process changed."""
        facts = {"process_type": process_type, "process_change": process_change, "efficiency_impact": efficiency_impact}
        return self._event(Category.PROCESS, Severity.INFO.level, f"{process_type}: {process_change}", facts)

    def optimization(self, optimization_type: str, potential_improvement: float, recommended_action: str) -> Event:
        """A better way of running was found; potential_improvement in percent."""
        facts = {
            "optimization_type": optimization_type,
            "potential_improvement": potential_improvement,
            "recommended_action": recommended_action,
        }
        message = f"{optimization_type}: {potential_improvement:g} % possible. {recommended_action}"
        return self._event(Category.OPTIMIZATION, Severity.INFO.level, message, facts)


def threshold_event(transition: Transition) -> Event:
    """One event for one transition of a condition (ISA-18.2): at its severity when it comes, informative when it goes."""
    rule = transition.rule
    comes = transition.change is Change.ACTIVE
    category = Category.USER if transition.change is Change.ACKNOWLEDGED else Category.THRESHOLD
    details = {
        "parameter": rule.tag,
        "threshold": None if rule.limit is Limit.BAD else rule.threshold,
        "actual_value": finite(transition.value),
        "limit": rule.limit.value,
        "condition": rule.condition,
        "change": transition.change.value,
        "active": transition.active,
        "acknowledged": transition.acknowledged,
        "status": quality.name(transition.status),
        "user": transition.user,
        "comment": transition.comment,
    }
    level = rule.severity if comes else min(rule.severity, Severity.INFO.level)
    return Event(str(uuid4()), transition.at_ns, category, level, rule.tag, said(transition), details)


def state_changed_event(update: TwinUpdate, tags: TagTable) -> Event:
    """One event for one commit of the twin: how many tags changed, and the names of at most 100."""
    details = {"version": update.version, "changed": update.changed, "tags": [tags[tag_id].name for tag_id in update.changed_tags]}
    message = f"state version {update.version}: {update.changed} tags changed"
    return Event(str(uuid4()), update.now_ns, Category.SYSTEM, 100, "twin", message, details)


def finite(value: float) -> float | None:
    """The value where JSON can carry it."""
    return value if abs(value) < float("inf") else None


def of_transitions(transitions: Sequence[Transition]) -> list[Event]:
    """Their events, in order."""
    return [threshold_event(transition) for transition in transitions]


def said(transition: Transition) -> str:
    """A transition in words: the message of its event on every face."""
    rule = transition.rule
    if transition.change is Change.ACKNOWLEDGED:
        return f"{rule.tag} {rule.limit.value} acknowledged by {transition.user or 'unknown'}"
    if transition.change is Change.INACTIVE:
        return f"{rule.tag} {rule.limit.value} returned to normal at {transition.value:g}"
    if rule.message:
        return rule.message
    if rule.limit is Limit.BAD:
        return f"{rule.tag} has bad quality: {quality.name(transition.status)}"
    if rule.limit is Limit.STATE:
        return f"{rule.tag} is in state {transition.value:g}"
    verb = "exceeded" if rule.limit in _ABOVE else "fell below"
    return f"Threshold breach: {rule.tag} {verb} {rule.threshold:g} with value {transition.value:g}"
