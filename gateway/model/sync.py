"""How the twin keeps step with the plant."""

from dataclasses import dataclass
from enum import StrEnum


class SyncMode(StrEnum):
    REAL_TIME = "real_time"  # a commit as soon as data came and the period has passed
    SCHEDULED = "scheduled"  # commits on the fixed grid of the period, data or not
    MANUAL = "manual"  # a commit when asked for


@dataclass(frozen=True, slots=True)
class Sync:
    """update_frequency paces twin commits in Hz (1, 10, 100 are the documents' classes; any 0.001-1000 will do)."""

    mode: SyncMode = SyncMode.REAL_TIME
    update_frequency: float = 1.0
    history_length: int = 1000  # commits kept in memory
    history_bytes: int = 32 * 1024 * 1024  # and no more than this, whichever comes first

    @property
    def period_ns(self) -> int:
        return round(1e9 / self.update_frequency)
