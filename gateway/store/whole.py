"""Files that are there whole or not at all."""

import os
from pathlib import Path


def replace(path: Path, *pieces: bytes | memoryview, mode: int = 0o600) -> None:
    """Write, fsync, rename: replaces the file, and a crash or a full disk on the way leaves the old one. Raises OSError."""
    fresh = path.with_name(path.name + ".new")
    with fresh.open("wb") as file:
        os.fchmod(file.fileno(), mode)
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
