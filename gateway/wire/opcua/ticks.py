"""OPC UA DateTime on the wire (Part 6, 5.2.2.5): 100 ns ticks since 1601-01-01 UTC; 0 means none."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Ticks = NDArray[np.int64]

EPOCH_1970: Final = 116_444_736_000_000_000
LAST: Final = 2_650_467_743_990_000_000  # 9999-12-31T23:59:59Z; at and beyond it a DateTime means "no limit"
_OLDEST_NS: Final = -(2**63) // 100 + EPOCH_1970  # ticks whose ns would not fit int64
_NEWEST_NS: Final = (2**63 - 1) // 100 + EPOCH_1970


def to_ns(ticks: Ticks) -> Ticks:
    """Unix ns; 0 for none and for times that int64 ns cannot hold (before 1678, after 2261)."""
    fits = (ticks > max(_OLDEST_NS, 0)) & (ticks < _NEWEST_NS)
    return np.where(fits, (np.where(fits, ticks, EPOCH_1970) - EPOCH_1970) * 100, 0)


def from_ns(unix_ns: Ticks) -> Ticks:
    """Ticks; 0 (none) where the time is 0. Rounded down to 100 ns."""
    ticks = unix_ns // 100
    ticks += EPOCH_1970
    if np.count_nonzero(unix_ns) < unix_ns.size:
        ticks[unix_ns == 0] = 0
    return ticks
