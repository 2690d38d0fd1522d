"""When the twin commits: at most at update_frequency, by one of three modes."""

from dataclasses import dataclass

from gateway.engine.where import NEVER
from gateway.model.sync import Sync, SyncMode


@dataclass(slots=True)
class Pace:
    """next_ns: the engine time before which no commit is due; 0 at the start."""

    sync: Sync
    next_ns: int = 0

    def due(self, now_ns: int, dirty: bool) -> bool:
        """Commit now? Asked once per step or tick, after the samples were applied."""
        if self.sync.mode is SyncMode.MANUAL or now_ns < self.next_ns:
            return False
        if self.sync.mode is SyncMode.REAL_TIME:
            return dirty
        started = self.next_ns > 0
        if not started:
            self.committed(now_ns)
        return started

    def committed(self, now_ns: int) -> None:
        """A commit took place: the next one is a period later, or at the next multiple of the period."""
        period = self.sync.period_ns
        self.next_ns = (now_ns // period + 1) * period if self.sync.mode is SyncMode.SCHEDULED else now_ns + period

    def deadline(self, dirty: bool) -> int:
        """When a commit is due without further samples."""
        if self.sync.mode is SyncMode.MANUAL or (self.sync.mode is SyncMode.REAL_TIME and not dirty):
            return NEVER
        return self.next_ns or NEVER

    def shift(self, delta_ns: int) -> None:
        """The wall clock stepped; the grid stays on multiples of the period."""
        if self.next_ns == 0:
            return
        period = self.sync.period_ns
        moved = max(self.next_ns + delta_ns, 1)
        self.next_ns = -(-moved // period) * period if self.sync.mode is SyncMode.SCHEDULED else moved
