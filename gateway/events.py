"""Events inside the daemon: typed constructors, and subscriptions by category and severity with bounded queues.

Each subscriber has a queue and a task of its own: a slow or failing one harms nobody. A full queue gives up its least severe, oldest event.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from math import isfinite
from typing import Any, Final, Self
from uuid import uuid4

from gateway.model import quality
from gateway.model.alarm import VALUE_LIMITS, Change, Condition, Limit, Shelving, Transition
from gateway.model.event import Category, Event, Severity
from gateway.model.instant import iso
from gateway.model.tag import TagTable
from gateway.model.update import TwinUpdate

_ABOVE: Final = frozenset({Limit.HIHI, Limit.HI})
_COMES: Final = frozenset({Change.ACTIVE, Change.LEVEL, Change.RE_ALARMED})
_BY_HAND: Final = {
    Change.ACKNOWLEDGED: "acknowledged",
    Change.CONFIRMED: "confirmed",
    Change.COMMENTED: "commented",
    Change.RESET: "reset",
    Change.SHELVED: "shelved",
    Change.UNSHELVED: "unshelved",
    Change.SUPPRESSED: "suppressed",
    Change.UNSUPPRESSED: "suppressed no longer",
    Change.OUT_OF_SERVICE: "taken out of service",
    Change.IN_SERVICE: "put into service",
    Change.ENABLED: "enabled",
    Change.DISABLED: "disabled",
}
_BY_ITSELF: Final = {  # where nobody did it
    Change.UNSHELVED: "is shelved no longer",
    Change.CONFIRMED: "asks for no confirmation any more",
}


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

    def user(self, message: str, severity: Severity = Severity.INFO, **details: Any) -> Event:
        """A person did something, or tried to: for those who may read the audit."""
        return self._event(Category.USER, severity.level, message, details)

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
    """One event for one transition of a condition (ISA-18.2): at its severity when it asks for attention, informative otherwise."""
    rule, state, change = transition.rule, transition.condition, transition.change
    asks = change in _COMES and (change is not Change.LEVEL or state.raised_serial == state.serial)
    by_hand = change in _BY_HAND and not (change in _BY_ITSELF and not state.user)
    details = {
        "parameter": rule.tag,
        "threshold": state.threshold,
        "actual_value": finite(state.value),
        "limit": rule.limit.value,
        "level": state.level.value if state.level else None,
        "condition": rule.condition,
        "change": change.value,
        "active": state.active,
        "acknowledged": state.acknowledged,
        "confirmed": state.confirmed,
        "latched": state.latched,
        "enabled": state.enabled,
        "shelving": state.shelving.name.lower(),
        "suppressed": state.suppressed,
        "out_of_service": state.out_of_service,
        "retained": state.retained,
        "severity": state.severity,
        "serial": state.serial,
        "condition_event_id": state.event_id.hex(),
        "status": quality.name(state.status),
        "active_since": iso(state.active_ns) if state.active_ns else None,
        "unshelve": iso(state.unshelve_ns) if state.unshelve_ns else None,
        "last_severity": state.last_severity,
        "user": state.user,
        "comment": state.comment,
        "comment_user": state.comment_user,
        "comment_time": iso(state.comment_ns) if state.comment_ns else None,
        **_foretold(state),
    }
    level = state.severity if asks else min(state.severity, Severity.INFO.level)
    category = Category.USER if by_hand else Category.PROCESS if rule.limit is Limit.PREDICTED else Category.THRESHOLD
    return Event(str(uuid4()), transition.at_ns, category, level, rule.tag, said(transition), details)


def _foretold(state: Condition) -> dict[str, Any]:
    """What a predicted limit rests on: `limit` is PREDICTED, `predicts` the limit's word; times in seconds from `issued`."""
    told = state.prediction
    if told is None:
        return {}
    return {
        "predicts": told.limit,
        "probability": told.probability,
        "predicted_time": None if told.expected_ns is None else iso(told.expected_ns),
        "issued": iso(told.issued_ns),
        "lead_s": finite(told.median_s),
        "early_s": finite(told.early_s),
        "late_s": finite(told.late_s),
        "model": told.model,
    }


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
    rule, state, change = transition.rule, transition.condition, transition.change
    name = f"{rule.tag} {'predicted ' if rule.limit is Limit.PREDICTED else ''}{rule.subject or rule.limit.value}"
    if change in _COMES:
        words = state.message or rule.message or _breach(state)
        if change is Change.RE_ALARMED:
            return f"still: {words}"
        return f"{words} ({state.level.value})" if state.level and (rule.message or change is Change.LEVEL) else words
    if change is Change.INACTIVE:
        back = f"{name} returned to normal" + ("" if rule.limit is Limit.SYSTEM else f" at {rule.shown(state.value)}")
        return _predicted(state) if rule.limit is Limit.PREDICTED else back
    if change is Change.LATCHED:
        return f"{name} is back to normal at {rule.shown(state.value)}, and stays active until it is reset"
    if change in _BY_ITSELF and not state.user:
        return f"{name} {_BY_ITSELF[change]}"
    words = _BY_HAND[change]
    if change is Change.SHELVED:
        words += " until it returns to normal" if state.shelving is Shelving.ONE_SHOT else f" until {iso(state.unshelve_ns)}"
    return f"{name} {words} by {state.user or 'unknown'}" + (f": {state.comment}" if change is Change.COMMENTED else "")


def _predicted(state: Condition) -> str:
    """What is expected of a limit, or is no longer."""
    rule, told = state.rule, state.prediction
    if rule.subject in VALUE_LIMITS:
        way = f"{'rise above' if Limit(rule.subject) in _ABOVE else 'fall below'} {rule.subject} {rule.shown(rule.threshold)}"
    else:  # what a machine of the line will wait for
        way = f"be {rule.subject} for more than {_span(rule.threshold)}"
    words = f"{rule.tag} is {'' if state.active else 'no longer '}expected to {way}"
    if told is None or not state.active:
        return f"{words} (now {rule.shown(state.value)})"
    span = f" in about {_span(told.median_s)}" if isfinite(told.median_s) else ""
    least = f"{_span(told.early_s)} to {_span(told.late_s)}" if isfinite(told.late_s) else f"{_span(told.early_s)} at the earliest"
    return (
        f"{words}{span} ({f'{least}, ' if isfinite(told.early_s) else ''}probability {told.probability:.0%}, now {rule.shown(state.value)})"
    )


def _span(seconds: float) -> str:
    """A time to come, as people say it."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _breach(state: Condition) -> str:
    """Why it is active, of a rule that has no message."""
    if state.rule.limit is Limit.PREDICTED:
        return _predicted(state)
    limit = state.level or state.rule.limit
    return _BREACHES.get(state.rule.limit, _THRESHOLD).format(
        tag=state.rule.tag,
        subject=state.rule.subject,
        value=state.rule.shown(state.value),
        status=quality.name(state.status),
        number="" if state.threshold is None else f"{state.threshold:.5g} {state.rule.symbol}".rstrip(),
        side="above" if limit in _ABOVE else "below",
        way="rises" if limit in _ABOVE else "falls",
        verb="exceeded" if limit in _ABOVE else "fell below",
    )


_THRESHOLD: Final = "Threshold breach: {tag} {verb} {number} with value {value}"
_BREACHES: Final = {
    Limit.BAD: "{tag} has bad quality: {status}",
    Limit.STATE: "{tag} is in state {value}",
    Limit.DEV: "{tag} is more than {number} {side} its setpoint at {value}",
    Limit.ROC: "{tag} {way} faster than {number} per second at {value}",
    Limit.DISC: "{tag} does not follow its command: it is {value}",
    Limit.SYSTEM: "{tag} {subject} is not as it should be",
}
