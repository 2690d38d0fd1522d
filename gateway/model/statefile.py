"""The state of a twin as a file for people and programs: its tree in JSON, with a version and a checksum under `$file`.

    {"timestamp": "...", "line": {"temperature": 22.5},
     "$file": {"format": "edgetwin-state", "version": 1, "status": {}, "checksum": "sha256:..."}}

The checksum is SHA-256 over the same document without it, in canonical JSON: keys in order, no white space. status: of tags whose value is
Uncertain, by name; a value that is Bad is null.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from gateway.model import instant, quality
from gateway.model.quality import Statuses
from gateway.model.reading import Reading, read
from gateway.model.tag import DERIVED, Tag, TagTable

VERSION: Final = 1
TIME: Final = "timestamp"
FILE: Final = "$file"  # no name of a tag
FOLDER: Final = "digital_twin"
"""Where state files lie when nobody says where."""
_FORMAT: Final = "edgetwin-state"
_SHOWN: Final = 10  # names in a message
MOST_BYTES: Final = 256 * 2**20


def document(tree: Mapping[str, Any], status: Statuses, tags: TagTable) -> dict[str, Any]:
    """The file's content. status: StatusCodes by tag_id."""
    uncertain = {
        tag.name: quality.name(code) for tag, code in zip(tags, status.tolist(), strict=False) if quality.word(code) == "uncertain"
    }
    found = {**tree, FILE: {"format": _FORMAT, "version": VERSION, "status": uncertain}}
    return {**found, FILE: {**found[FILE], "checksum": _checksum(found)}}


def text(content: Mapping[str, Any]) -> bytes:
    """As it stands in a file: JSON with an indent of 2."""
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()


def parsed(raw: bytes) -> object:
    """The JSON of a file. Raises ValueError."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as fault:
        raise ValueError(f"is damaged, or no state file: it is not JSON ({str(fault)[:200]})") from None


def checked(content: object) -> dict[str, Any]:
    """The tree of a file's content. Raises ValueError for what is no state file, a later version, and a checksum that does not fit."""
    head = content.get(FILE) if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(head, dict) or head.get("format") != _FORMAT:
        raise ValueError(f"is no state file: it has no {FILE!r} with the format {_FORMAT!r}, as `edgetwin export state` writes it")
    version = head.get("version")
    if version != VERSION:
        raise ValueError(f"has version {str(version)[:40]}, and this release knows {VERSION}: it is of another release")
    bare = {**content, FILE: {key: part for key, part in head.items() if key != "checksum"}}
    if head.get("checksum") != _checksum(bare):
        raise ValueError("is damaged or was changed: the checksum does not fit")
    return {key: part for key, part in content.items() if key != FILE}


def values(content: object, tags: TagTable) -> tuple[int, list[tuple[Tag, Reading]]]:
    """(the state's time in UTC ns, what is known of each tag). What the engine computes is left to it, as are nulls.

    Raises ValueError for what `checked` refuses, and names tags that are missing, that are not there, and values that cannot be.
    """
    tree = checked(content)
    at_ns = instant.parse(tree.get(TIME))
    if at_ns is None:
        raise ValueError(f"its {TIME!r} is {str(tree.get(TIME))[:80]!r}, which is no time")
    found = flat({key: part for key, part in tree.items() if key != TIME})
    wanted = {tag.name: tag for tag in tags if tag.enabled}
    for names, why in (
        ([name for name in found if name not in wanted], "has tags that the configuration has not"),
        ([name for name in wanted if name not in found], "lacks tags that the configuration has"),
    ):
        if names:
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            raise ValueError(f"{why}: {', '.join(names[:_SHOWN])}{more}")
    uncertain = checked_status(content)
    rows = [(wanted[name], _reading(wanted[name], raw, uncertain)) for name, raw in found.items() if raw is not None]
    return at_ns, [(tag, one) for tag, one in rows if tag.source != DERIVED]


def checked_status(content: object) -> dict[str, int]:
    """StatusCodes by name of a content that was checked."""
    named = content[FILE].get("status", {}) if isinstance(content, dict) else {}
    return {str(name): quality.code(str(word)) or quality.GOOD for name, word in named.items()} if isinstance(named, dict) else {}


def _reading(tag: Tag, raw: object, uncertain: Mapping[str, int]) -> Reading:
    one = read(tag.type, raw, {label: number for number, label in tag.labels.items()})
    if one.status != quality.GOOD:
        raise ValueError(f"{tag.name} is {str(raw)[:80]!r}, which is no {tag.type.name.lower()} ({quality.name(one.status)})")
    if tag.eu_range is not None and not tag.eu_range[0] <= one.value <= tag.eu_range[1]:
        raise ValueError(f"{tag.name} is {one.value:g}, outside its range {tag.eu_range[0]:g} to {tag.eu_range[1]:g}")
    return one._replace(status=uncertain.get(tag.name, quality.GOOD))


def flat(tree: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Values by dotted name."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= flat(value, f"{above}{name}.") if isinstance(value, dict) else {f"{above}{name}": value}
    return found


def _checksum(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"
