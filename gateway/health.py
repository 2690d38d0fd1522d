"""Health: counters and problems of each unit, liveness and readiness with reasons, and systemd's notify protocol."""

import os
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from gateway.latency import Latency

_MAX_PROBLEMS = 1000


class State(StrEnum):
    STARTING = "starting"
    UP = "up"
    DOWN = "down"  # the other side is not there; tried again
    FAILED = "failed"  # an unexpected error; restarted with back-off
    STOPPED = "stopped"


@dataclass(slots=True)
class Unit:
    """One driver, sink or job: its state and since when, what it counted, and what is wrong by name. Serves as its Reporter."""

    kind: str
    name: str
    now_ns: Callable[[], int]
    state: State = State.STARTING
    reason: str = ""
    since_ns: int = 0
    counters: Counter[str] = field(default_factory=Counter)
    problems: dict[str, str] = field(default_factory=dict)
    latency: Latency = field(default_factory=Latency)  # of a LATEST sink: from source time to handed on

    def count(self, name: str, n: int = 1) -> None:
        self.counters[name] += n

    def problem(self, subject: str, why: str | None) -> None:
        if why is None:
            self.problems.pop(subject, None)
        elif subject in self.problems or len(self.problems) < _MAX_PROBLEMS:
            self.problems[subject] = why
        else:
            self.counters["problems_not_kept"] += 1

    def turn(self, state: State, reason: str = "") -> bool:
        """Note the state; True when it is another one than before (log on the edge only)."""
        changed = state is not self.state
        if changed:
            self.since_ns = self.now_ns()
        self.state, self.reason = state, reason
        return changed

    def status(self) -> dict[str, Any]:
        return {
            "state": self.state.value,
            "reason": self.reason,
            "since_ns": self.since_ns,
            "counters": dict(self.counters),
            "problems": dict(self.problems),
            "latency_ms": {"p50": self.latency.quantile_ms(0.5), "p99": self.latency.quantile_ms(0.99)},
        }


class Health:
    """All units of the daemon, and whether it is alive and ready."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self.units: dict[tuple[str, str], Unit] = {}
        self.started_ns = now_ns()
        self.ready_after_s: float | None = None
        self.loop_lag_s = 0.0
        self.committing_since_ns: int | None = None  # None: nothing waits for the disk
        self.store_fault: str | None = None
        self.notes: dict[str, str] = {}  # what else is not as it should be, by subject

    def fresh(self, kind: str, name: str) -> Unit:
        """A unit that starts, with the counters of the one of that name before it; it counts once it is kept."""
        before = self.units.get((kind, name))
        return Unit(kind, name, self._now_ns, since_ns=self._now_ns(), counters=before.counters if before else Counter())

    def keep(self, unit: Unit) -> None:
        self.units[unit.kind, unit.name] = unit

    def forget(self, kind: str, name: str) -> None:
        self.units.pop((kind, name), None)

    def of_kind(self, kind: str) -> Iterator[Unit]:
        return (unit for unit in self.units.values() if unit.kind == kind)

    def live(self) -> tuple[bool, list[str]]:
        """Is the process doing its work? A stuck loop or a silent writer says no; an absent plant or broker does not."""
        reasons = []
        if self.loop_lag_s > 1.0:
            reasons.append(f"the event loop was late by {self.loop_lag_s:.1f} s")
        if self.store_fault is None and self.committing_since_ns is not None:
            waited_s = (self._now_ns() - self.committing_since_ns) / 1e9
            if waited_s > 15.0:
                reasons.append(f"a commit has taken {waited_s:.0f} s")
        return not reasons, reasons

    def ready(self) -> tuple[bool, list[str]]:
        """Able to work, and every face listens. Sources that are away are named, but the gateway is ready without them."""
        _, reasons = self.able()
        reasons += [_in_words(unit) for unit in self.of_kind("sink") if unit.name in FACES and unit.state in _NOT_WELL]
        return not reasons, reasons

    def able(self) -> tuple[bool, list[str]]:
        """Started, alive, and able to keep what it takes in."""
        alive, reasons = self.live()
        if self.ready_after_s is None:
            reasons.append("starting")
        if self.store_fault is not None:
            reasons.append(f"store: {self.store_fault}")
        return alive and not reasons, reasons

    def note(self, subject: str, why: str | None) -> None:
        """Something is wrong with that (why), or is well again (None)."""
        if why is None:
            self.notes.pop(subject, None)
        else:
            self.notes[subject] = why

    def degraded(self) -> list[str]:
        """Units that are not up, and what else is wrong, in words."""
        notes = [f"{subject}: {why}" for subject, why in self.notes.items()]
        return notes + [_in_words(unit) for unit in self.units.values() if unit.state in _NOT_WELL]


FACES: Final = frozenset({"opcua", "web", "local"})  # the sinks that listen
_NOT_WELL: Final = (State.DOWN, State.FAILED)


def _in_words(unit: Unit) -> str:
    return f"{unit.kind} {unit.name}: {unit.state.value}, {unit.reason}"


def notify(*lines: str) -> None:
    """systemd's notify protocol (sd_notify(3)); nothing where there is no NOTIFY_SOCKET."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as link, suppress(OSError):
        link.setblocking(False)  # who does not read what he is told holds nobody up
        link.connect("\0" + address[1:] if address.startswith("@") else address)
        link.sendall("\n".join(lines).encode())
