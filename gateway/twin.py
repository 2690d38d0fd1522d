"""The twin offline: for notebooks and tests, without sources, sinks or disk."""

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from gateway import bounded
from gateway.engine.engine import Engine
from gateway.foresight import ensemble, foresight, names_of
from gateway.launch import load_site
from gateway.model import instant, quality, statefile
from gateway.model.alarm import Transition
from gateway.model.batch import Origin, SampleBatch
from gateway.model.reading import read
from gateway.model.tag import Tag
from gateway.operations.states import batch
from gateway.settings import Site
from gateway.simulation.trajectories import Trajectories
from gateway.simulation.whatif import STEPS, Ask
from gateway.store.whole import replace


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

    def save(self, path: str | Path | None = None) -> Path:
        """The present state as a file, whole or not at all; without a path `digital_twin/state.json` in the data directory.

        Returns where it is. Raises OSError.
        """
        snapshot = self.engine.view.snapshot()
        out = self._state_path(path)
        if path is None:
            out.parent.mkdir(parents=True, exist_ok=True)
        replace(out, statefile.text(statefile.document(snapshot.tree(self.site.tags), snapshot.status, self.site.tags)), mode=0o644)
        return out

    def load(self, path: str | Path | None = None) -> list[Transition]:
        """Take over a state that `save` or `edgetwin export state` wrote, at its time or just after the present one, whichever is later.

        Nothing changes where it is refused: OSError, and ValueError for a file that is damaged, of a later version, or does not fit the
        site's tags, types and ranges, by name.
        """
        place = self._state_path(path)
        try:
            at_ns, rows = statefile.values(statefile.parsed(bounded.read(place, statefile.MOST_BYTES)), self.site.tags)
        except ValueError as fault:
            raise ValueError(f"{place}: {fault}") from None
        now_ns = max(at_ns, self.engine.view.snapshot().at_ns + 1_000_000)
        transitions = [*self._until(now_ns), *self.engine.step(batch(rows, now_ns, Origin.SOURCE), now_ns).transitions]
        self.transitions += transitions
        return transitions

    def _state_path(self, path: str | Path | None) -> Path:
        return Path(self.site.gateway.data_dir) / statefile.FOLDER / "state.json" if path is None else Path(path)

    def history(self, limit: int | None = None) -> list[dict[str, Any]]:
        """The latest committed states, oldest first."""
        return [snapshot.tree(self.site.tags) for snapshot in self.engine.view.history(limit)]

    def clear_history(self) -> None:
        """Forget the committed states; the present one stays."""
        self.engine.view.clear_history()

    def simulate(
        self, steps: int | None = None, parameters: Mapping[str, float] | None = None, *, step_s: float = 1.0, seed: int | None = None
    ) -> list[dict[str, Any]]:
        """The present state and one after each of `steps` (10 without it), by the site's models; the present state stays as it is.

        parameters by tag or model.parameter. Without a seed there is no noise. Raises ValueError that names what cannot work.
        """
        runs = self.monte_carlo(steps, parameters, iterations=1, uncertainty=0.0, step_s=step_s, seed=seed)
        states: list[dict[str, Any]] = runs[0]["states"]
        return states

    def monte_carlo(
        self,
        steps: int | None = None,
        parameters: Mapping[str, float] | None = None,
        *,
        iterations: int = 100,
        uncertainty: float = 0.1,
        step_s: float = 1.0,
        seed: int | None = 0,
    ) -> list[dict[str, Any]]:
        """`[{iteration, parameters, states}]`: runs whose parameters are drawn with that relative standard deviation."""
        snapshot = self.engine.view.snapshot()
        index, tree = self.site.tags.index, snapshot.tree(self.site.tags)
        start = {name: float(snapshot.value[index[name]]) for name in names_of(self.site)}
        known = {name: value for name, value in start.items() if math.isfinite(value)}
        asked = Ask(dict(parameters or {}), (STEPS if steps is None else steps) * step_s, step_s, iterations, uncertainty)
        found = ensemble(foresight(self.site, known), asked, seed)
        return [
            {
                "iteration": run,
                "parameters": {**asked.parameters, **{name: float(values[run]) for name, values in found.draws.items()}},
                "states": [self._simulated(tree, found, run, k, snapshot.at_ns) for k in range(found.steps + 1)],
            }
            for run in range(found.runs)
        ]

    def _simulated(self, tree: dict[str, Any], found: Trajectories, run: int, k: int, at_ns: int) -> dict[str, Any]:
        """The present state with what the models say of instant k in its place."""
        state = copy.deepcopy(tree)
        state["timestamp"] = instant.iso(at_ns + round(float(found.time_s[k]) * 1e9))
        for output, value in zip(found.outputs, found.y[run, k].tolist(), strict=True):
            if output in self.site.tags.index:
                *levels, last = output.split(".")
                inner = state
                for level in levels:
                    inner = inner.setdefault(level, {})
                inner[last] = value
        return state

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
