"""Where a bundle comes from: versions, the machine's arithmetic, and the commit of its configuration."""

import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from gateway import __version__

LIBRARIES: Final = ("numpy", "simpy", "scipy")
"""Whose versions decide about the bytes of a result."""
_GIT_S: Final = 5.0


def libraries() -> dict[str, str]:
    """Name -> version of those that are installed."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def here() -> dict[str, Any]:
    """What a replay must have in common for the same bytes."""
    return {"version": __version__, "python": platform.python_version(), "libraries": libraries(), "machine": platform.machine()}


def commit(folder: Path) -> dict[str, Any]:
    """git_commit of the folder's repository, and git_dirty: whether the folder holds what is not committed. Nothing where there is none."""
    git = shutil.which("git")
    found = None if git is None else _git(git, folder, "rev-parse", "HEAD")
    if git is None or not found:
        return {}
    return {"git_commit": found, "git_dirty": bool(_git(git, folder, "status", "--porcelain", "--", "."))}


def _git(git: str, folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run([git, "-C", str(folder), *words], capture_output=True, text=True, timeout=_GIT_S, check=False)  # noqa: S603 - git, found by its name, asked about a folder
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
