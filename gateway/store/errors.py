"""What can go wrong with the disk, each with a way on."""


class StoreUnavailable(Exception):
    """The disk refused (full, I/O error, locked by another program): the outcome of the last write is unknown.

    `Store.reopen()` and give the same Commit again: it is written once.
    """


class StoreDamaged(StoreUnavailable):
    """SQLite found the file itself damaged."""


class StoreLocked(Exception):
    """Another process owns the data directory; names its pid."""


class SchemaTooNew(Exception):
    """The file was written by a newer release; it is left as it was."""
