"""Where the daemon's local socket lies: `/run/edgetwin/<name>.sock`, else `$XDG_RUNTIME_DIR/edgetwin/<name>.sock`."""

import os
from pathlib import Path
from typing import Final

SYSTEM: Final = Path("/run/edgetwin")


def folders() -> list[Path]:
    """Where a socket may lie, the system's folder first."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return [SYSTEM, *([Path(runtime) / "edgetwin"] if runtime else [])]


def socket_path(name: str) -> Path | None:
    """Where this process may put the socket of the gateway of that name, its folder made; None where it may write neither."""
    for folder in folders():
        try:
            folder.mkdir(mode=0o750, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder / f"{name}.sock"
    return None


def sockets() -> list[Path]:
    """The sockets that lie there now, of daemons alive or dead."""
    return sorted(path for folder in folders() if folder.is_dir() for path in folder.glob("*.sock"))
