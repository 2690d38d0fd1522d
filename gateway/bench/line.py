"""What the simulated line costs: the events' speed beside a bare SimPy line, the recursion's beside the events', in one run.

CPU time of one core, best of several rounds; ratios survive a busy machine better than the figures do.
"""

import asyncio
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from itertools import pairwise
from typing import Any, Final

from simpy import Environment, Store

from gateway.bench.rows import Row
from gateway.jobs.farm import farm
from gateway.jobs.replications import replicated
from gateway.jobs.workers import cores
from gateway.model.line import (
    Line,
    LineState,
    Machine,
    MachineStart,
    MachineState,
    Performance,
    Product,
    Quality,
    Reliability,
    between,
    constant,
    serial,
)
from gateway.settings.line import load_line, shipped
from gateway.simulation.line.ahead import ahead
from gateway.simulation.line.figures import figures
from gateway.simulation.line.run import execute

PARTS: Final = 20_000
MACHINES: Final = 4
PLACES: Final = 10
MANY: Final = 1000
SHIFT: Final = 200
"""Replications of what is left of a shift."""


def run() -> dict[str, Any]:
    """Rows of the table, and the sizes."""
    baseline = load_line("baseline_8hr", shipped())
    line = six_phases(PARTS)
    bare, silent_, logged = _interleaved(
        [lambda: bare_line(PARTS), lambda: execute(line, 1, events=False), lambda: execute(line, 1, events=True)], 5
    )
    shift_s = min(_cpu_s(lambda: execute(baseline, 1, events=True)) for _ in range(3))
    ratio, replication_ms = _recursion(baseline)
    rows = [
        Row("bare get, timeout, put: four machines", PARTS / bare, "parts/s"),
        Row("six phases, no log of events", bare / silent_, "x bare", 0.75, most=False, note=f"{PARTS / silent_:,.0f} parts/s"),
        Row("six phases, log of events", bare / logged, "x bare", 0.6, most=False, note=f"{PARTS / logged:,.0f} parts/s"),
        Row("8 h of the baseline, log of events", shift_s, "s CPU", 1.0),
        Row("recursion, 8 h of the baseline", ratio, "x events", 50.0, most=False, note=f"{replication_ms:.2f} ms CPU per replication"),
        Row(f"{MANY} replications of 8 h", _replications_s(baseline), "s", 2.0, note=f"{cores()} cores, workers running"),
        Row(
            f"{SHIFT} replications of the rest of a shift",
            _rest_of_shift_s(baseline),
            "s CPU",
            5.0,
            note="the whole shift from a live state, in one worker",
        ),
    ]
    return {"table": rows, "rows": [row.record() for row in rows]}


def bare_line(parts: int) -> None:
    """What SimPy itself needs to move parts through MACHINES, with nothing else done."""
    env = Environment()
    stores = [Store(env, parts), *(Store(env, PLACES) for _ in range(MACHINES - 1)), Store(env)]
    for part in range(parts):
        stores[0].items.append(part)

    def machine(before: Store, behind: Store) -> Generator[Any, Any, None]:
        while True:
            part = yield before.get()
            yield env.timeout(1.0)
            yield behind.put(part)

    for before, behind in pairwise(stores):
        env.process(machine(before, behind))
    env.run(until=parts + MACHINES)


def six_phases(parts: int) -> Line:
    """Four machines that fail, jam, spoil and inspect, with buffers of PLACES, for about so many parts."""
    made = tuple(
        Machine(
            f"m{place}",
            constant(1.0),
            reliability=Reliability(between(1800.0, 3600.0), between(30.0, 60.0)),
            performance=Performance(0.002, constant(5.0)),
            quality=Quality(0.005, 0.95),
        )
        for place in range(MACHINES)
    )
    names = [machine.name for machine in made]
    return Line("bench", made, serial(names, [PLACES] * (MACHINES - 1)), Product("part"), duration_s=parts * 1.1)


def _recursion(line: Line) -> tuple[float, float]:
    """How many times faster than the events, and ms per replication."""
    lanes, few = 512, 2
    events, fast = _interleaved([lambda: figures(line, 1, range(few), "events"), lambda: figures(line, 1, range(lanes), "recursion")], 3)
    return events / few / (fast / lanes), fast / lanes * 1e3


def _replications_s(line: Line) -> float:
    """By the clock: replications share the cores."""

    async def go() -> float:
        async with farm() as place:
            await replicated(place, {"": replace(line, duration_s=60.0)}, 0, 0, 2 * place.width)  # the workers start
            rounds = []
            for seed in range(3):
                began = time.perf_counter()
                await replicated(place, {"": line}, seed, 0, MANY)
                rounds.append(time.perf_counter() - began)
            return min(rounds)

    return asyncio.run(go())


def _rest_of_shift_s(line: Line) -> float:
    """From the begin of a shift that takes up a line with one machine down: the longest rest there is."""
    first = line.machines[0].name
    start = LineState((MachineStart(first, MachineState.DOWN, 60.0),))
    return min(_cpu_s(lambda: ahead(line, start, 1, replications=SHIFT)) for _ in range(2))


def _interleaved(works: list[Callable[[], object]], rounds: int) -> list[float]:
    """The best of each, taken in turn, so that a neighbour's work falls on all of them."""
    best = [float("inf")] * len(works)
    for _ in range(rounds):
        for place, work in enumerate(works):
            best[place] = min(best[place], _cpu_s(work))
    return best


def _cpu_s(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before
