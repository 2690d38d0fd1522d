"""The twin offline: for notebooks and tests, without sources, sinks or disk."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from gateway.engine.engine import Engine
from gateway.launch import load_site
from gateway.model import instant, quality
from gateway.model.alarm import Transition
from gateway.model.batch import Origin, SampleBatch
from gateway.model.reading import read
from gateway.model.tag import Tag
from gateway.settings import Site


class Twin:
    """A site's engine with its time given by the caller.

    Times are ISO 8601 texts or UTC ns. `state()` is the hierarchical dictionary: dots become levels, `timestamp` stands on top.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        self.engine = Engine(site.tags, site.rules, site.derived, site.sync)
        self.transitions: list[Transition] = []

    @classmethod
    def from_config(cls, path: str | Path) -> Self:
        """The twin of a site file. Raises SettingsError with every fault."""
        return cls(load_site(Path(path)))

    def update(self, values: Mapping[str, Any], now: str | int, *, origin: Origin = Origin.SOURCE) -> list[Transition]:
        """Apply values by tag name (nested dictionaries too) at one time; the alarm transitions that followed.

        Raises KeyError for a tag that the site has not, ValueError for a time that is none.
        """
        now_ns = _ns(now)
        rows = [(self._tag(name), value) for name, value in _flat(values)]
        readings = [read(tag.type, value, {label: number for number, label in tag.labels.items()}) for tag, value in rows]
        batch = SampleBatch.of(
            [tag.tag_id for tag, _ in rows],
            [found.value for found in readings],
            [found.status for found in readings],
            now_ns,
            received_ns=now_ns,
            text={row: found.text for row, found in enumerate(readings) if found.text is not None},
            origin=origin,
        )
        transitions = [*self._until(now_ns), *self.engine.step(batch, now_ns).transitions]
        self.transitions += transitions
        return transitions

    def advance(self, now: str | int) -> list[Transition]:
        """Let time pass without samples: delays and staleness come due."""
        transitions = self._until(_ns(now))
        self.transitions += transitions
        return transitions

    def state(self) -> dict[str, Any]:
        """The present state."""
        return self.engine.view.snapshot().tree(self.site.tags)

    def state_at(self, at: str | int) -> dict[str, Any] | None:
        """The last committed state at or before that time; None where the memory does not reach back so far."""
        snapshot = self.engine.view.at(_ns(at))
        return None if snapshot is None else snapshot.tree(self.site.tags)

    def history(self, limit: int | None = None) -> list[dict[str, Any]]:
        """The latest committed states, oldest first."""
        return [snapshot.tree(self.site.tags) for snapshot in self.engine.view.history(limit)]

    def clear_history(self) -> None:
        """Forget the committed states; the present one stays."""
        self.engine.view.clear_history()

    def validate(self, state: object) -> tuple[bool, str]:
        """Whether a hierarchical state could be applied, and why not: shape, timestamp, known tags, types and ranges."""
        if not isinstance(state, Mapping):
            return False, "State must be a dictionary"
        if "timestamp" not in state:
            return False, "Missing 'timestamp' field"
        if instant.parse(state["timestamp"]) is None:
            return False, "Invalid timestamp format"
        for name, value in _flat({key: part for key, part in state.items() if key != "timestamp"}):
            if wrong := self._fault_of(name, value):
                return False, wrong
        return True, "Valid state"

    def _fault_of(self, name: str, value: object) -> str:
        tag = self.site.tags.named(name)
        if tag is None:
            return f"there is no tag {name!r}"
        if value is None:  # nothing is known of it
            return ""
        found = read(tag.type, value, {label: number for number, label in tag.labels.items()})
        if found.status != quality.GOOD:
            return f"{name}: {value!r} is {quality.name(found.status)} as {tag.type.name.lower()}"
        if tag.eu_range is not None and not tag.eu_range[0] <= found.value <= tag.eu_range[1]:
            return f"{name}: {value!r} is outside {tag.eu_range[0]:g} to {tag.eu_range[1]:g}"
        return ""

    def _until(self, now_ns: int) -> list[Transition]:
        transitions: list[Transition] = []
        while (deadline := self.engine.next_deadline()) is not None and deadline <= now_ns:
            transitions += self.engine.tick(deadline).transitions
        return transitions

    def _tag(self, name: str) -> Tag:
        tag = self.site.tags.named(name)
        if tag is None:
            raise KeyError(f"there is no tag {name!r}")
        return tag


def _ns(at: str | int) -> int:
    at_ns = at if isinstance(at, int) else instant.parse(at)
    if at_ns is None:
        raise ValueError(f"{at!r} is no time: write ISO 8601 or UTC nanoseconds")
    return at_ns


def _flat(values: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in values.items():
        path = f"{above}{name}"
        rows += _flat(value, f"{path}.") if isinstance(value, Mapping) else [(path, value)]
    return rows
