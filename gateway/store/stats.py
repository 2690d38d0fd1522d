"""Figures of the store for status, metrics and doctor."""

from collections import deque
from dataclasses import dataclass
from pathlib import Path
from shutil import disk_usage
from time import monotonic
from typing import Final

import numpy as np

from gateway.model.outbox import OutboxFill
from gateway.store.outbox import Outbox
from gateway.store.tail import TailRow

WARN_SHARE: Final = 0.80  # raise an alarm
STOP_SHARE: Final = 0.95  # stop writers that may be stopped
_DURATIONS: Final = 1000
_SETTLED_DAYS: Final = 600 / 86_400


@dataclass(frozen=True, slots=True)
class StoreStats:
    """samples and commits count since the open; tail and blocks are what is on disk now.

    disk_bytes             both files with their logs
    bytes_per_day          by which they grow, from ten minutes after the open
    written_bytes_per_day  what this process gave to the disk, at the rate since the open; None where the system does not tell
    commit_*_ms            of the last thousand commits
    outbox_warning         80 % of the bound is used; outbox_full: 95 %
    damage                 what the check after an unclean stop found, None where all is well
    """

    samples: int
    commits: int
    tail_rows: int
    tail_samples: int
    blocks: int
    disk_bytes: int
    disk_free_bytes: int
    bytes_per_day: float | None
    written_bytes_per_day: float | None
    commit_p50_ms: float
    commit_p99_ms: float
    outbox: list[OutboxFill]
    outbox_share: float
    outbox_warning: bool
    outbox_full: bool
    damage: str | None


class Figures:
    """What is counted on the way; `stats` reads the rest."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._durations_ns: deque[int] = deque(maxlen=_DURATIONS)
        self._since, self._written, self._disk_bytes = monotonic(), _written_bytes(), self._on_disk()
        self.samples = self.commits = self.tail_rows = self.tail_samples = self.blocks = 0
        self.oldest_tail_ns: int | None = None

    def load(self, tail_rows: int, tail_samples: int, oldest_tail_ns: int | None, blocks: int) -> None:
        """What is on disk, as a reader found it."""
        self.tail_rows, self.tail_samples, self.oldest_tail_ns, self.blocks = tail_rows, tail_samples, oldest_tail_ns, blocks

    def committed(self, duration_ns: int, row: TailRow | None, now_ns: int) -> None:
        self._durations_ns.append(duration_ns)
        self.commits += 1
        if row is None:
            return
        self.samples += row.store_id.size
        self.tail_rows += 1
        self.tail_samples += row.store_id.size
        if self.oldest_tail_ns is None:
            self.oldest_tail_ns = now_ns

    def stats(self, outbox: Outbox, damage: str | None) -> StoreStats:
        p50, p99 = np.percentile(self._durations_ns, (50, 99)) / 1e6 if self._durations_ns else (0.0, 0.0)
        written = _written_bytes()
        days = max(monotonic() - self._since, 1.0) / 86_400
        disk_bytes = self._on_disk()
        return StoreStats(
            samples=self.samples,
            commits=self.commits,
            tail_rows=self.tail_rows,
            tail_samples=self.tail_samples,
            blocks=self.blocks,
            disk_bytes=disk_bytes,
            disk_free_bytes=disk_usage(self._path).free,
            bytes_per_day=None if days < _SETTLED_DAYS else (disk_bytes - self._disk_bytes) / days,
            written_bytes_per_day=None if written is None or self._written is None else (written - self._written) / days,
            commit_p50_ms=float(p50),
            commit_p99_ms=float(p99),
            outbox=outbox.fill(),
            outbox_share=outbox.share,
            outbox_warning=outbox.share >= WARN_SHARE,
            outbox_full=outbox.share >= STOP_SHARE,
            damage=damage,
        )

    def _on_disk(self) -> int:
        return sum(file.stat().st_size for file in self._path.glob("*.db*") if ".corrupt" not in file.name)


def _written_bytes() -> int | None:
    """write_bytes of /proc/self/io (proc(5)): bytes that this process caused to be sent to the storage."""
    try:
        lines = Path("/proc/self/io").read_text("ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("write_bytes:")), None)
