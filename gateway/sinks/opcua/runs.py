"""`s=Simulation/Runs`: the last runs as browsable objects (see `run_parts`). An Annex of the address space.

They are held in memory, as columns, since nodes are read at once: 121 instants of each output at the most, and RESULTS_BYTES in all;
beyond that the oldest runs show no results here (REST does). What is kept is what the store keeps, and comes back from there with a start.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from gateway.model import quality
from gateway.model.process import Run, RunState
from gateway.outlook import RunView
from gateway.sinks.opcua.figures import SIMULATION
from gateway.sinks.opcua.nodes import BASE_DATA_VARIABLE_TYPE, BASE_OBJECT_TYPE, FOLDER_TYPE, HAS_COMPONENT, ORGANIZES
from gateway.sinks.opcua.run_parts import Leaf, Tree, run_tree
from gateway.wire.opcua.face import Key, ModelChange, Node, NodeClass, Reading, Reference, Target
from gateway.wire.opcua.methods import Method

MOST: Final = 100
RESULTS_BYTES: Final = 32 * 2**20
_RESULTS: Final = frozenset({"Times", "Outputs", "Limits", "Scenarios"})
RUNS: Final = f"{SIMULATION}/Runs"
_NODE_ADDED, _NODE_DELETED, _REFERENCE_ADDED = 1, 2, 4  # Part 3, 9.32.7 (ModelChangeStructureVerbMask)


@dataclass(frozen=True, slots=True)
class _Held:
    """changed_ns: SourceTimestamp of what the run says; held_bytes: about what its results take."""

    run: Run
    tree: Tree
    changed_ns: int
    held_bytes: int


class Runs:
    """The Annex. above: the object `s=Simulation`; told(changes): nodes came or went."""

    def __init__(
        self, runs: RunView, above: Target, told: Callable[[tuple[ModelChange, ...]], None], unavailable: tuple[type[Exception], ...]
    ) -> None:
        self._runs, self._above, self._told, self._unavailable = runs, above, told, unavailable
        self._held: dict[str, _Held] = {}  # the oldest first
        self._folder = Target(RUNS, NodeClass.OBJECT, "Runs", FOLDER_TYPE)

    async def open(self) -> Callable[[], None]:
        """Begins to watch, and takes up what the store has kept; what it returns ends that."""
        end = self._runs.watch(self._changed)
        with suppress(*self._unavailable):
            for head in reversed(await self._runs.runs(MOST)):
                if head.run_id not in self._held:
                    whole = await self._runs.run(head.run_id)
                    if whole is not None:
                        self._hold(whole)
        self._held = dict(sorted(self._held.items(), key=lambda pair: pair[1].run.started_ns))
        return end

    def _changed(self, run: Run, gone: Sequence[str]) -> None:
        known = run.run_id in self._held
        self._hold(run)
        went = [run_id for run_id in dict.fromkeys((*gone, *list(self._held)[:-MOST])) if self._held.pop(run_id, None) is not None]
        verb = _REFERENCE_ADDED if known else _NODE_ADDED
        changes = [] if known and not run.results else [ModelChange(_key(run.run_id), BASE_OBJECT_TYPE, verb)]
        changes += [ModelChange(_key(run_id), BASE_OBJECT_TYPE, _NODE_DELETED) for run_id in went]
        if changes:
            self._told(tuple(changes))

    def _hold(self, run: Run) -> None:
        ended_ns = run.started_ns + round(run.seconds * 1e9)
        head = replace(run, results={})  # the columns are enough
        self._held[run.run_id] = _Held(head, run_tree(run, lambda: self._progress(head)), ended_ns, _bytes(run.results))
        room = RESULTS_BYTES
        for held in sorted(self._held.values(), key=lambda one: -one.run.started_ns):
            room -= held.held_bytes
            if held.held_bytes and room < 0:
                tree = {name: part for name, part in held.tree.items() if name not in _RESULTS}
                self._held[held.run.run_id] = replace(held, tree=tree, held_bytes=0)

    def _progress(self, run: Run) -> float:
        """The share that is done; of one that failed, none of it."""
        if run.state is RunState.RUNNING:
            return self._runs.progress(run.run_id) or 0.0
        return float(run.state is RunState.DONE)

    # --- Annex ---

    def method(self, owner: str, method: Key) -> Method | None:  # noqa: ARG002 an Annex
        return None

    def references(self, node: Node) -> Sequence[Reference]:
        return [Reference(HAS_COMPONENT, True, self._folder)] if node.target.key == SIMULATION else ()

    def node(self, key: str) -> Node | None:
        if key == RUNS:
            above = Reference(HAS_COMPONENT, False, self._above)
            return Node(self._folder, [above, *(Reference(ORGANIZES, True, _target(run_id)) for run_id in self._held)], "The last runs")
        inside, _, path = key.partition(f"{RUNS}/")
        held = self._held.get(path.split("/", 1)[0]) if path and not inside else None
        if held is None:
            return None
        part: Leaf | Tree = held.tree
        above_target, target = self._folder, _target(held.run.run_id)
        for name in path.split("/")[1:]:
            if isinstance(part, Leaf) or name not in part:
                return None
            part, above_target = part[name], target
            target = _below(above_target, name, part)
        return _leaf(target, above_target, part, held) if isinstance(part, Leaf) else self._branch(target, above_target, part, held)

    def _branch(self, target: Target, above: Target, tree: Tree, held: _Held) -> Node:
        whole = above is self._folder
        parts = [Reference(HAS_COMPONENT, True, _below(target, name, part)) for name, part in tree.items()]
        return Node(target, [Reference(ORGANIZES if whole else HAS_COMPONENT, False, above), *parts], _said(held.run) if whole else "")


def _leaf(target: Target, above: Target, leaf: Leaf, held: _Held) -> Node:
    def read() -> Reading:
        return Reading(leaf.content(), leaf.kind, quality.GOOD, held.changed_ns, held.changed_ns)

    return Node(target, [Reference(HAS_COMPONENT, False, above)], "", int(leaf.kind), leaf.array, read)


def _bytes(results: Mapping[str, Any]) -> int:
    """Of the columns: six for each output, eight bytes a value, and what an object takes."""
    documents = results.get("scenarios", {}).values() if "scenarios" in results else [results]
    return sum(6 * (8 * len(one.get("time_s", ())) + 200) * len(one.get("outputs", ())) for one in documents)


def _key(run_id: str) -> str:
    return f"{RUNS}/{run_id}"


def _target(run_id: str) -> Target:
    return Target(_key(run_id), NodeClass.OBJECT, run_id, BASE_OBJECT_TYPE)


def _below(above: Target, name: str, part: Leaf | Tree) -> Target:
    if isinstance(part, Leaf):
        return Target(f"{above.key}/{name}", NodeClass.VARIABLE, name, BASE_DATA_VARIABLE_TYPE)
    return Target(f"{above.key}/{name}", NodeClass.OBJECT, name, BASE_OBJECT_TYPE)


def _said(run: Run) -> str:
    which = f"{run.kind} {', '.join(run.scenarios)}".strip()
    return f"{which} by {run.user}: {run.state.value}" + (f", {run.why}" if run.why else "")
