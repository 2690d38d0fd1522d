"""Sign-ins that failed: how long the next one has to wait, and which of them are worth a record. Pure: the caller passes the time."""

import ipaddress
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Final

FREE: Final = 5  # failures without a delay
LONGEST_S: Final = 900.0
_FORGET_S: Final = 900.0  # after the delay
_KEYS: Final = 10_000
_THRIFTS: Final = 1000


@dataclass(slots=True)
class _Failures:
    count: int = 0
    until_s: float = 0.0


class Backoff:
    """Delays by key (an account, an address): none for the first failures, then 1, 2, 4 ... seconds, 15 minutes at most.

    A delay passes by itself, so nobody is locked out for good. Beyond 10 000 keys those with the fewest failures give way.
    """

    def __init__(self) -> None:
        self._kept: dict[str, _Failures] = {}

    def wait_s(self, keys: Iterable[str], now_s: float) -> float:
        """Seconds until one of these keys may try again; 0 = now."""
        return max([0.0, *(self._kept[key].until_s - now_s for key in keys if key in self._kept)])

    def failed(self, keys: Iterable[str], now_s: float) -> None:
        """One more failure under each of these keys."""
        for key in keys:
            known = self._kept.get(key)
            if known is None or not self.holds(key, now_s):
                self._make_room(now_s)
                known = self._kept[key] = _Failures()
            known.count += 1
            over = known.count - FREE
            known.until_s = now_s if over < 0 else now_s + min(LONGEST_S, 2.0 ** min(over, 20))

    def holds(self, key: str, now_s: float) -> bool:
        """Whether a failure under this key is remembered."""
        known = self._kept.get(key)
        return known is not None and now_s < known.until_s + _FORGET_S

    def forget(self, key: str) -> None:
        """That key begins anew: its owner signed in, or somebody who may says so."""
        self._kept.pop(key, None)

    def __len__(self) -> int:
        return len(self._kept)

    def _make_room(self, now_s: float) -> None:
        if len(self._kept) < _KEYS:
            return
        for key in [key for key, known in self._kept.items() if now_s >= known.until_s + _FORGET_S]:
            del self._kept[key]
        if len(self._kept) >= _KEYS:
            fewest = sorted(self._kept, key=lambda key: self._kept[key].count)  # stable: the oldest of those with as few
            for key in fewest[: _KEYS // 10]:
                del self._kept[key]


class Thrift:
    """Which records are written when there are too many: `burst` at once, then one every `interval_s`; the others are counted."""

    def __init__(self, burst: int, interval_s: float) -> None:
        self._burst, self._interval_s = burst, interval_s
        self._room, self._at_s = float(burst), 0.0
        self._left_out = 0

    def take(self, now_s: float, more: int = 0) -> int | None:
        """How many were left out since the last record, or None: leave this one out too. more: left out elsewhere, for its sake."""
        self._room = min(self._burst, self._room + (now_s - self._at_s) / self._interval_s)
        self._at_s = now_s
        if self._room < 1.0:
            self._left_out += 1 + more
            return None
        self._room -= 1.0
        before, self._left_out = self._left_out + more, 0
        return before


class Thrifts:
    """A Thrift for each of those who ask, so that nobody hides behind another's many; the first of them are forgotten beyond 1000."""

    def __init__(self, burst: int, interval_s: float) -> None:
        self._burst, self._interval_s = burst, interval_s
        self._kept: dict[Hashable, Thrift] = {}

    def take(self, who: Hashable, now_s: float) -> int | None:
        """As Thrift's, for that one."""
        if who not in self._kept and len(self._kept) >= _THRIFTS:
            self._kept.pop(next(iter(self._kept)))
        return self._kept.setdefault(who, Thrift(self._burst, self._interval_s)).take(now_s)


def address_of(origin: str) -> str:
    """Whose attempts are counted together: `web:10.0.0.7` and `opcua:10.0.0.7` are one, and so is an IPv6 network of 64 bits."""
    place = origin.partition(":")[2]
    try:
        address = ipaddress.ip_address(place.strip("[]").partition("%")[0])
    except ValueError:
        return place
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
