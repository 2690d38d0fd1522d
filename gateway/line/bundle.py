"""Bundles: a run frozen into a folder, and run again from that folder alone.

<name>_<YYYYmmdd_HHMMSS>/ holds scenario.py (runs it), config_snapshot.yaml (the resolved line), metadata.json (where it comes from, and
the snapshot's SHA-256) and output/ (the results).
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from gateway.line import provenance
from gateway.line.atomic import Unwritable, text, write_all
from gateway.model.line import Line
from gateway.model.line_document import digest
from gateway.settings.line import dump, load_snapshot

FORMAT: Final = 1
SNAPSHOT: Final = "config_snapshot.yaml"
METADATA: Final = "metadata.json"
SCENARIO: Final = "scenario.py"
OUTPUT: Final = "output"
MOST_BYTES: Final = 16 * 1024 * 1024
_SCRIPT: Final = '''#!/usr/bin/env python3
"""{name}, scenario {scenario}: configured {when} by edgetwin {version}. Writes output/ beside this file."""

from pathlib import Path

from gateway.line import BundleError, Unwritable, execute_scenario

if __name__ == "__main__":
    try:
        execute_scenario(Path(__file__).parent)
    except (BundleError, Unwritable) as error:
        raise SystemExit(str(error)) from None
'''


class BundleError(ValueError):
    """A bundle cannot be run: what is wrong, and what to do."""

    def __init__(self, why: str, hint: str = "") -> None:
        super().__init__(f"{why} ({hint})" if hint else why)
        self.why, self.hint = why, hint


@dataclass(frozen=True, slots=True)
class Bundle:
    """A frozen run. differing: what is not as when it was configured, so that the bytes may differ."""

    folder: Path
    line: Line
    metadata: Mapping[str, Any]
    differing: tuple[str, ...] = ()

    @property
    def output(self) -> Path:
        return self.folder / OUTPUT


def preview(line: Line, now: datetime, out: Path, config: Path, command: str) -> tuple[Path, dict[str, str]]:
    """The folder of a new bundle, and its files by name."""
    when = now.astimezone(UTC)
    snapshot = dump(line)
    metadata = {
        "format": FORMAT,
        "run": line.name,
        "scenario": line.scenario,
        "product": line.product.sku_name,
        "seed": line.seed,
        "config_hash": _hash(snapshot.encode()),
        "line_digest": f"sha256:{digest(line)}",
        "generated_at": when.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "command": command,
        "config": str(config.resolve()),
        **provenance.commit(config),
        **provenance.here(),
    }
    script = _SCRIPT.format(name=line.name, scenario=line.scenario, when=metadata["generated_at"], version=metadata["version"])
    files = {SCENARIO: script, SNAPSHOT: snapshot, METADATA: json.dumps(metadata, indent=2) + "\n"}
    return out / f"{line.name}_{when:%Y%m%d_%H%M%S}", files


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """The bundle on the disk, whole or not at all; a folder of that name gets a number behind it. Raises Unwritable."""
    begun = folder.parent / f".{folder.name}.{os.getpid()}.part"
    try:
        write_all(begun, {name: text(content) for name, content in files.items()})
        (begun / OUTPUT).mkdir()
        (begun / SCENARIO).chmod(0o755)  # to be run by its name
        place, number = folder, 1
        while place.exists():
            number += 1
            place = folder.with_name(f"{folder.name}_{number}")
        return begun.rename(place)
    except Unwritable as error:
        raise Unwritable(str(error).replace(str(begun), str(folder))) from None
    except OSError as error:
        raise Unwritable(f"{folder} cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(begun, ignore_errors=True)


def read(folder: Path) -> Bundle:
    """The frozen run of a bundle. Raises BundleError where it is none or was changed, SettingsError where its snapshot holds no line."""
    if not folder.is_dir():
        raise BundleError(f"there is no folder {folder}", "`edgetwin line configure --run NAME` makes one")
    metadata = _metadata(folder / METADATA)
    snapshot = _bytes(folder / SNAPSHOT)
    expected, found = metadata["config_hash"], _hash(snapshot)
    if found != expected:
        why = f"{folder / SNAPSHOT} was changed since it was configured: its hash is {found}, {folder / METADATA} says {expected}"
        raise BundleError(why, "put the file back, or change the configuration and configure again")
    try:
        content = snapshot.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BundleError(f"{folder / SNAPSHOT} is not UTF-8 at byte {error.start}", "configure again") from None
    line = load_snapshot(content, folder / SNAPSHOT)
    if metadata.get("seed") != line.seed:
        raise BundleError(f"{folder / METADATA} was changed: seed {metadata.get('seed')}, the snapshot says {line.seed}", "configure again")
    present = provenance.here()
    differing = [f"{name} {metadata.get(name)} -> {present[name]}" for name in present if metadata.get(name) != present[name]]
    return Bundle(folder, line, metadata, tuple(differing))


def _metadata(path: Path) -> dict[str, Any]:
    content = _bytes(path)
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path} is not JSON: {error}", "configure again") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT or not isinstance(found.get("config_hash"), str):
        raise BundleError(f"{path} is not the metadata of a bundle of format {FORMAT}", "configure again")
    return found


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            found = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror}", "a bundle is made by `edgetwin line configure`") from None
    if len(found) > MOST_BYTES:
        raise BundleError(f"{path} is larger than {MOST_BYTES} bytes")
    return found


def _hash(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
