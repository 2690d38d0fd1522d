"""Lines of the anchors, and the rule that a simulated mean is held to."""

import math

import numpy as np

from gateway.model.line import (
    SINK,
    SOURCE,
    Distribution,
    Edge,
    Line,
    Machine,
    PhaseUse,
    Product,
    Reliability,
    Source,
    constant,
    exponential,
    serial,
)
from gateway.simulation.line.run import execute

UNIT = Product("unit", material_cost=0.5, selling_price=1.2)
NO_ROWS = 1e9  # one telemetry row is enough


def exponential_line(rates, buffers, *, duration_s=3000.0, warm_up_s=300.0, fail=None, repair=None, clock="operation"):
    machines = []
    for place, rate in enumerate(rates):
        failing = fail and fail[place]
        life = Reliability(exponential(1 / fail[place]), exponential(1 / repair[place]), clock, within_cycle=True) if failing else None
        machines.append(Machine(f"m{place}", exponential(1 / rate), reliability=life))
    names = [machine.name for machine in machines]
    return Line(
        "x", tuple(machines), serial(names, buffers), UNIT, duration_s=duration_s, warm_up_s=warm_up_s, telemetry_interval_s=NO_ROWS
    )


def queue(arrivals, service, *, places=None, servers=1, duration_s=10_000.0, warm_up_s=500.0):
    """One station with Poisson arrivals; those that find `places` full are lost."""
    room = None if places is None else places - servers
    edges = (Edge(SOURCE, "m", room), Edge("m", SINK))
    source = Source(arrivals=exponential(1 / arrivals), when_full="wait" if places is None else "lose")
    machines = (Machine("m", service, servers=servers),)
    return Line("q", machines, edges, UNIT, source, duration_s, warm_up_s, NO_ROWS)


def gershwin_line(fail, repair, places, *, duration_s=20_000.0):
    """Unit cycles, geometric lives and repairs. Gershwin's buffer counts the places of the part in work and of the part blocked."""
    machines = tuple(
        Machine(name, constant(1.0), reliability=Reliability(exponential(-1 / math.log1p(-p)), Distribution("geometric", r, 1.0)))
        for name, p, r in zip(("m0", "m1"), fail, repair, strict=True)
    )
    edges = serial(("m0", "m1"), (places - 2,))
    return Line("g", machines, edges, UNIT, duration_s=duration_s, warm_up_s=500.0, telemetry_interval_s=NO_ROWS)


def bernoulli_line(first, second, places, *, duration_s=5000.0):
    """Two machines that work in whole slots, the second one first within each."""

    def phases(probability, offset_s):
        rest = [PhaseUse(name) for name in ("collect", "transform", "inspect")]
        return (PhaseUse("slot", (("probability", probability), ("offset_s", offset_s))), *rest)

    machines = (Machine("m0", constant(1.0), phases=phases(first, 0.5)), Machine("m1", constant(1.0), phases=phases(second, 0.0)))
    edges = serial(("m0", "m1"), (places,))
    return Line("b", machines, edges, UNIT, duration_s=duration_s, warm_up_s=200.0, telemetry_interval_s=NO_ROWS)


def replicate(line, figures, *, runs=20, seed=1):
    """(runs, n) of what `figures` reads from the summaries."""
    return np.array([figures(execute(line, seed, replication=run, events=False).summary) for run in range(runs)], float).reshape(runs, -1)


def meets(samples, exact, *, relative=0.01):
    """The rule of simulated anchors: the mean lies within three standard errors and within one per cent of the exact value."""
    mean, error = samples.mean(0), samples.std(0, ddof=1) / math.sqrt(len(samples))
    exact = np.atleast_1d(np.asarray(exact, float))
    off = np.abs(mean - exact)
    assert (off <= 3 * error + 1e-12).all(), f"mean {mean}, exact {exact}, standard error {error}"
    assert (off <= relative * np.abs(exact) + 1e-12).all(), f"mean {mean}, exact {exact}"


def throughput(summary):
    return summary["production"]["good_pallets"] / summary["duration_s"]


def share(summary, machine, state):
    return summary["machines"][machine]["share_in_state"].get(state, 0.0)
