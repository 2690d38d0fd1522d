"""Files that are there whole or not at all."""

import os
from collections.abc import Callable, Mapping
from errno import EISDIR
from pathlib import Path

Write = Callable[[Path], None]
"""Writes one file at the path it is given."""


class Unwritable(OSError):
    """A file or folder cannot be written; its text names it and says why."""


def check(folder: Path) -> None:
    """Whether files can be written there, asked before a long run. Raises Unwritable."""
    above = next((path for path in (folder, *folder.absolute().parents) if path.exists()), folder)
    if not above.is_dir():
        raise Unwritable(f"{folder} cannot be written: {above} is not a folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise Unwritable(f"{folder} cannot be written: no permission to write in {above}")


def write_all(folder: Path, files: Mapping[str, Write]) -> list[Path]:
    """Writes each file under a name of its own first, then puts all of them in their places; where one fails, none is changed.

    Raises Unwritable with the file's or folder's name.
    """
    begun = dict[str, Path]()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, write in files.items():
            begun[name] = folder / f".{name}.{os.getpid()}.part"
            write(begun[name])
        for name in files:
            if (folder / name).is_dir():
                raise IsADirectoryError(EISDIR, "it is a folder", str(folder / name))
        return [_put(path, folder / name) for name, path in begun.items()]
    except OSError as error:
        at = Path(error.filename) if error.filename else folder
        shown = next((folder / name for name, path in begun.items() if path == at), at)
        raise Unwritable(f"{shown} cannot be written: {error.strerror or error}") from None
    finally:
        for path in begun.values():
            path.unlink(missing_ok=True)


def _put(path: Path, place: Path) -> Path:
    path.replace(place)
    return place


def text(content: str) -> Write:
    """Writes a text."""

    def write(path: Path) -> None:
        path.write_text(content, encoding="utf-8", newline="\n")

    return write
