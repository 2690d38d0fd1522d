"""What a new configuration changes, decided before anything is touched."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from gateway.settings import Site, difference

_FIXED = ("gateway", "web", "store", "sync")  # these need a restart


@dataclass(frozen=True, slots=True)
class Plan:
    """differences for the person who asks; fixed = what cannot change while running; sinks to replace or end."""

    differences: list[dict[str, Any]]
    fixed: list[str]
    sinks: Mapping[str, tuple[str, BaseModel]]
    gone: list[str]
    tags: bool


def sinks_of(site: Site) -> dict[str, tuple[str, BaseModel]]:
    """Each sink's name -> (kind, configuration): the OPC UA server and the upstream ones."""
    server = site.sections.get("opcua")
    sinks: dict[str, tuple[str, BaseModel]] = {} if server is None else {"opcua": ("opcua", server)}
    return sinks | {unit.name: (unit.kind, unit.config) for unit in site.upstream}


def plan(old: Site, new: Site) -> Plan:
    """Upstream sinks are replaced also when the tags change: their topics follow the names. The OPC UA server follows by itself."""
    changes = difference(old, new)
    before, after = sinks_of(old), sinks_of(new)
    tags = old.tags.tags != new.tags.tags
    return Plan(
        differences=[{"what": change.what, "path": change.path, "before": change.before, "after": change.after} for change in changes],
        fixed=sorted({change.path for change in changes if change.path.partition(".")[0] in _FIXED}),
        sinks={name: sink for name, sink in after.items() if before.get(name) != sink or (tags and name != "opcua")},
        gone=[name for name in before if name not in after],
        tags=tags or old.rules != new.rules or old.derived != new.derived,
    )
