"""Reading files: bounded, regular, UTF-8."""

import stat
from pathlib import Path
from typing import Final

from gateway.settings.faults import Faults, Place

YAML_BYTES: Final = 4 * 1024 * 1024
CSV_BYTES: Final = 64 * 1024 * 1024
SECRET_BYTES: Final = 64 * 1024


def read_text(path: Path, limit: int, place: Place, key: str, faults: Faults) -> str | None:
    """The text of a file of at most limit bytes; None with the fault listed at place."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            faults.add(place, key, f"{path} is {'a folder' if path.is_dir() else 'not a regular file'}", "name a file")
            return None
        with path.open("rb") as file:
            raw = file.read(limit + 1)
    except FileNotFoundError:
        faults.add(place, key, f"there is no file {path}", "check the path")
        return None
    except (OSError, ValueError) as error:
        faults.add(place, key, f"{path} cannot be read: {error.strerror if isinstance(error, OSError) else error}")
        return None
    if len(raw) > limit:
        faults.add(
            place, key, f"{path} is larger than {limit // 1024} KiB", "split it with include, or move the tags to a table with tags_from"
        )
        return None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = raw.count(b"\n", 0, error.start) + 1, error.start - raw.rfind(b"\n", 0, error.start)
        own = key == ""
        where = Place(place.file, line, column) if own else place
        faults.add(where, key, "is not UTF-8 text" if own else f"{path} is not UTF-8 text", f"byte 0x{raw[error.start]:02x} in line {line}")
        return None
