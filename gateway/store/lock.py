"""One owner per data directory: a lock that ends with its process, however that ends."""

import fcntl
import os
from pathlib import Path
from typing import Self

from gateway.store.errors import StoreLocked, StoreUnavailable


class DirectoryLock:
    """`<data_dir>/lock`, held by flock(2). The file holds the owner's pid for people; the lock itself is the kernel's."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, directory: Path) -> Self:
        """Make the directory where it is missing. Raises StoreLocked, which names the owner, and StoreUnavailable."""
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as fault:
            why = f"{directory} cannot be used as data directory: {fault.filename}: {fault.strerror}"
            raise StoreUnavailable(f"{why}; see gateway.data_dir, and who may write there") from fault
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise StoreLocked(f"{directory} is in use by process {owner}: stop it, or give this one a data directory of its own") from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        return cls(descriptor)

    def release(self) -> None:
        """Idempotent. The file stays: removing it would let two owners hold two files of one name."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
