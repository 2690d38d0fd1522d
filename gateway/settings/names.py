"""Names of tags: what may be one, and which of them cannot stand side by side in the asset tree."""

import re
from collections.abc import Mapping
from typing import Final

from gateway.settings.faults import Faults, quote
from gateway.settings.node import Node

LONGEST: Final = 256
RESERVED: Final = frozenset({"Twin", "Simulation", "Kpi", "Gateway"})
TIME: Final = "timestamp"
"""The key of its time at the top of the twin's hierarchical state."""
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


def wrong(name: str) -> tuple[str, str] | None:
    """Why a text is no name of a tag, and a hint; None where it is one."""
    if not _NAME.fullmatch(name):
        return f"{quote(name)} is not a name of a tag", "letters, digits, _ and -, in levels divided by dots"
    if name.startswith("_"):
        return f"{quote(name)} begins with _", "names that begin with _ are the gateway's own"
    if len(name) > LONGEST:
        return f"is longer than {LONGEST} characters", ""
    first = name.partition(".")[0]
    if first == TIME:
        return f"{TIME} is the time of the twin's own state", "choose another name for its first level"
    return (f"{first} is a level of the gateway's own", f"{', '.join(sorted(RESERVED))} cannot come first") if first in RESERVED else None


def check_levels(declared: Mapping[str, tuple[Node, str]], faults: Faults) -> None:
    """Lists each name that is a level of another one: a node of the tree is a folder or a variable, not both. Value: node and key path."""
    for name, (node, key) in declared.items():
        at = name.rfind(".")
        while at > 0:
            if name[:at] in declared:
                above = declared[name[:at]][0].place
                faults.add(
                    node.place, key, f"{name[:at]} is a tag and a level of {name}", f"rename one of them; {name[:at]} stands at {above}"
                )
                break
            at = name.rfind(".", 0, at)
