"""Faults that a person or a test puts on the plant, each for some seconds or until it is cleared."""

from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import Final


class Fault(StrEnum):
    KILL_SOURCE = "kill_source"  # the OPC UA server goes away
    DISCONNECT_MQTT = "disconnect_mqtt"  # the embedded broker goes away; with a broker of one's own: the sensors
    FREEZE = "freeze"  # connections stay, values do not move any more
    NAN = "nan"  # not a number, status Good
    REFUSE_WRITE = "refuse_write"  # setpoints answer BadNotWritable
    FLOOD = "flood"  # the first 200 extra signals exceed their limit at once
    BREAKDOWN = "breakdown"  # machines stand still in a fault: all, or those whose `machines.<name>.state` is named
    WARM_HALL = "warm_hall"  # these grow from nothing, over the time that they last: the hall warms
    WORN_SEAL = "worn_seal"  # the laminator's vacuum is lost
    DRY_AIR = "dry_air"  # the humidity falls
    HOT_PLATE = "hot_plate"  # the laminator's plate is hotter than its setpoint
    NO_WAFERS = "no_wafers"  # wafers are taken away, and none delivered


FLOOD: Final = 200
"""How many of the extra signals a flood pushes over their limit."""
GROWN_S: Final = 300.0
"""Over which a slow fault grows that is put on without an end."""


@dataclass
class Faults:
    """Which faults hold at a given time (seconds of any steady clock). signals: names that a freeze or NaN is for; empty: all."""

    _until: dict[Fault, float] = field(default_factory=dict)
    _since: dict[Fault, float] = field(default_factory=dict)
    _signals: dict[Fault, frozenset[str]] = field(default_factory=dict)

    def inject(self, fault: Fault, now_s: float, seconds: float | None = None, signals: frozenset[str] = frozenset()) -> None:
        """Raises ValueError for a duration that is not positive."""
        if seconds is not None and not seconds > 0:
            raise ValueError("a fault lasts longer than nothing")
        self._until[fault] = inf if seconds is None else now_s + seconds
        self._since[fault], self._signals[fault] = now_s, signals

    def clear(self, fault: Fault | None = None) -> None:
        """Ends one fault, or all."""
        for ended in list(Fault) if fault is None else [fault]:
            self._until.pop(ended, None)

    def holds(self, fault: Fault, now_s: float, signal: str | None = None) -> bool:
        """Whether it holds now (for that signal)."""
        named = self._signals.get(fault, frozenset())
        return now_s < self._until.get(fault, -inf) and (signal is None or not named or signal in named)

    def grown(self, fault: Fault, now_s: float) -> float:
        """Of a slow one: the share of its time that is over; 0 where it does not hold."""
        if not self.holds(fault, now_s):
            return 0.0
        since_s, until_s = self._since[fault], self._until[fault]
        return min((now_s - since_s) / (GROWN_S if until_s == inf else until_s - since_s), 1.0)

    def active(self, now_s: float) -> list[str]:
        return [fault.value for fault in Fault if self.holds(fault, now_s)]
