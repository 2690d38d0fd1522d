"""What differs between two configurations, for the person who reloads: secrets are named, never shown."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import Any, Literal

from pydantic import BaseModel, SecretBytes, SecretStr

from gateway.model.alarm import AlarmRule, Level
from gateway.settings.secrets import MASK, is_secret, masked
from gateway.settings.site import Site, Unit

_MISSING = object()
_KEYS = {
    "eu_range": "range",
    "write_rule": "writable",
    "low": "min",
    "high": "max",
    "threshold": "limit",
    "expression": "expr",
    "target": "of",
}
_DURATIONS = frozenset({"sampling_interval", "stale_after", "on_delay", "off_delay", "re_alarm", "shelve_max"})  # nanoseconds in the model
_IDS = frozenset({"tag_id", "target_id", "tag"})  # places in the table, and the name that the path already gives


@dataclass(frozen=True, slots=True)
class Difference:
    """One change. path begins with the section, as `tags.line.power.deadband`; before and after are None where there was nothing."""

    what: Literal["added", "removed", "changed"]
    path: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        return f"{self.path}: {self.what}" + (f" {self.before or 'nothing'} -> {self.after or 'nothing'}" if self.what == "changed" else "")


def difference(old: Site, new: Site) -> list[Difference]:
    """All changes from old to new, section by section; an empty list where nothing that matters differs."""
    before, after = _sections(old), _sections(new)
    return [one for path in {**before, **after} for one in _compare(path, before.get(path, _MISSING), after.get(path, _MISSING))]


def _sections(site: Site) -> dict[str, Any]:
    found: dict[str, Any] = {"gateway": site.gateway, "sync": site.sync, "events": site.events, "kpi": site.kpi, **site.sections}
    if site.forecast is not None:
        found["forecast"] = site.forecast
    if site.line is not None:
        found["line"] = site.line
    found["sources"] = dict(site.sources)
    found["upstream"] = {unit.name: unit for unit in site.upstream}
    found["tags"] = {tag.name: tag for tag in site.tags if tag.enabled}
    found["derived"] = {rule.tag: rule for rule in site.derived}
    found["models"] = {model.name: model for model in site.models}
    found["calibrate"], found["residual"] = dict(site.upkeep), dict(site.watches)
    found["scenarios"] = dict(site.scenarios)
    found["alarms"] = {rule.condition: rule for rule in site.rules}
    return found


def _compare(path: str, before: Any, after: Any) -> Iterator[Difference]:
    if before is after or (type(before) is type(after) and before == after):
        return
    if before is _MISSING or after is _MISSING:
        what: Literal["added", "removed"] = "added" if before is _MISSING else "removed"
        yield Difference(what, path, _shown(path, before), _shown(path, after))
        return
    one, other = _entries(before), _entries(after)
    if one is None or other is None:
        yield Difference("changed", path, _shown(path, before), _shown(path, after))
        return
    for name in {**one, **other}:
        yield from _compare(f"{path}.{name}", one.get(name, _MISSING), other.get(name, _MISSING))


def _entries(value: Any) -> Mapping[str, Any] | None:
    """The parts of a value that has names for them."""
    if isinstance(value, Unit):
        return {"kind": value.kind, **(_entries(value.config) or {})}
    if isinstance(value, BaseModel):
        return {field.alias or name: getattr(value, name) for name, field in type(value).model_fields.items()}
    if isinstance(value, Level):
        return {"limit": value.threshold, "severity": value.severity}
    if is_dataclass(value) and not isinstance(value, type):
        levels = {level.limit.value.lower(): level for level in value.levels} if isinstance(value, AlarmRule) else {}
        return levels | {
            _key(field.name): getattr(value, field.name) for field in fields(value) if field.name not in _IDS | levels.keys() | {"levels"}
        }
    return {str(key): entry for key, entry in value.items()} if isinstance(value, Mapping) else None


def _key(field: str) -> str:
    """The key of the file that a field of the model came from."""
    return _KEYS.get(field) or field.removesuffix("_ns")


def _shown(path: str, value: Any) -> str | None:
    """A value in words; MASK for a secret, at whatever depth it stands."""
    if value is _MISSING or value is None:
        return None
    if isinstance(value, SecretStr | SecretBytes) or is_secret(path.rpartition(".")[2]):
        return MASK
    entries = _entries(value)
    if entries is not None:
        return "{" + ", ".join(f"{name}: {_shown(name, entry)}" for name, entry in entries.items() if entry not in (None, "", {})) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_shown(path, entry) or "" for entry in value) + "]"
    return _plain(path, value)


def _plain(path: str, value: object) -> str:
    if path.rpartition(".")[2] in _DURATIONS and isinstance(value, int):
        return f"{value / 1e9:g}s"
    if isinstance(value, Enum):
        return str(value.name).lower()
    return masked(str(value))
