"""What can go wrong with the disk, each with a way on."""

from collections import deque

Lost = deque[str]
"""What could not be read and was left out, in words; the newest hundred."""


class StoreUnavailable(Exception):
    """The disk refused (full, I/O error, locked by another program): the outcome of the last write is unknown.

    `Store.reopen()` and give the same Commit again: it is written once.
    """


class StoreDamaged(StoreUnavailable):
    """SQLite found the file itself damaged."""


class DamagedBlock(ValueError):
    """One block, tail row or frame is not what was written: its checksum or form does not fit. Its neighbours are whole."""


class StoreLocked(Exception):
    """Another process owns the data directory; names its pid."""


class SchemaTooNew(Exception):
    """The file was written by a newer release; it is left as it was."""
