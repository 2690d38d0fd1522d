"""When each signal is due, and the ledger of all that was given out, by which loss is counted."""

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.demo.signals import Signal

TICK_MS: Final = 100
CYCLE: Final = 10  # ticks; every interval divides it


def schedule(signals: Sequence[Signal]) -> tuple[tuple[int, ...], ...]:
    """Which rows are due at each of the ticks of a cycle. Signals are spread over their interval; those of one topic go together.

    Raises ValueError for an interval that is not 100, 200, 500 or 1000 ms.
    """
    due: list[list[int]] = [[] for _ in range(CYCLE)]
    for row, signal in enumerate(signals):
        every, rest = divmod(signal.interval_ms, TICK_MS)
        if rest or every < 1 or CYCLE % every:
            raise ValueError(f"{signal.name}: {signal.interval_ms} ms is no interval of the plant's cycle")
        phase = (sum(map(ord, signal.topic)) if signal.topic else row) % every
        for tick in range(phase, CYCLE, every):
            due[tick].append(row)
    return tuple(tuple(rows) for rows in due)


class Ledger:
    """Every value given out, as (row, source time)."""

    def __init__(self) -> None:
        self._rows, self._times = array("i"), array("q")

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: int, source_ns: int) -> None:
        self._rows.append(row)
        self._times.append(source_ns)

    def columns(self, since_ns: int = 0) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Rows and source times from since_ns on."""
        rows, times = np.array(self._rows, np.int32), np.array(self._times, np.int64)
        chosen = times >= since_ns
        return rows[chosen], times[chosen]

    def save(self, path: Path, signals: Sequence[Signal], since_ns: int = 0) -> int:
        """Writes names, rows and source times as .npz; how many."""
        rows, times = self.columns(since_ns)
        with path.open("wb") as file:
            np.savez(file, names=np.array([signal.name for signal in signals], np.str_), row=rows, source_ns=times)
        return int(rows.size)


def load(path: Path) -> dict[str, NDArray[np.int64]]:
    """Source times by signal name, in the order of emission, from a saved ledger; signals that gave nothing out have none."""
    with np.load(path, allow_pickle=False) as saved:
        names, rows, times = saved["names"], saved["row"], saved["source_ns"]
    order = np.argsort(rows, kind="stable")
    edges = np.searchsorted(rows[order], np.arange(names.size + 1))
    return {str(name): times[order[edges[row] : edges[row + 1]]] for row, name in enumerate(names)}
