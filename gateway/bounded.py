"""Files that people name: regular ones only, and never more of them than is wanted."""

import stat
from pathlib import Path


def read(path: Path, limit: int) -> bytes:
    """The bytes of a file. Raises OSError, and ValueError for what is no regular file (a device, a pipe) or has more than limit bytes."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError(f"is {'a folder' if path.is_dir() else 'not a regular file'}: name a file")
    with path.open("rb") as file:
        found = file.read(limit + 1)
    if len(found) > limit:
        raise ValueError(f"has more than {limit} bytes")
    return found
