"""The recursion gives what the discrete events give, part by part, on the same random numbers; what it cannot express it names."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.model.line import (
    SINK,
    SIX_PHASES,
    Calendar,
    Changeover,
    Clock,
    Crew,
    Edge,
    Line,
    Lot,
    Machine,
    Maintenance,
    Performance,
    PhaseUse,
    PlannedStop,
    Product,
    Quality,
    Reliability,
    Source,
    between,
    constant,
    exponential,
    serial,
)
from gateway.simulation.line import flow
from gateway.simulation.line.chain import why_not
from gateway.simulation.line.figures import Cannot, figures
from gateway.simulation.line.recursion import Recursion
from gateway.simulation.line.run import execute
from support.random_rows import WEIBULL, lines


def alike(line, seed, replications):
    fast, exact = figures(line, seed, replications, "recursion"), figures(line, seed, replications, "events")
    assert fast.names == exact.names
    for name in fast.names:
        assert fast.column(name) == pytest.approx(exact.column(name), rel=1e-9, abs=1e-7, nan_ok=True), name


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(lines(), st.integers(0, 2**32))
def test_every_figure_of_random_lines_is_that_of_the_discrete_events(line, seed):
    assert not why_not(line)
    alike(line, seed, [0, 3, 300])


class Outlets:
    """Records when parts leave, good and rejected."""

    def __init__(self, monkeypatch):
        self.good, self.bad = [], []
        leave = flow.Books.leave

        def told(books, part, good):
            (self.good if good else self.bad).append(books.env.now)
            leave(books, part, good)

        monkeypatch.setattr(flow.Books, "leave", told)


@pytest.mark.parametrize("room", [0, 1, 3, 50, None])
def test_each_part_leaves_at_the_same_instant(monkeypatch, room):
    made = tuple(
        Machine(
            f"m{place}",
            exponential(1.0 + 0.1 * place),
            reliability=Reliability(exponential(30.0), between(1.0, 9.0)),
            performance=Performance(0.05, exponential(2.0)),
            quality=Quality(0.05, 0.7),
        )
        for place in range(4)
    )
    line = Line("four", made, serial([machine.name for machine in made], [room] * 3), Product("sku"), duration_s=2000.0)
    seen = Outlets(monkeypatch)
    execute(line, 5, replication=2, events=False)
    instants = []

    def trace(place, at_s, counts):
        if place == len(made) - 1:
            instants.extend(at_s[row, 1] for row in range(counts[1]))

    Recursion(line, 5, [1, 2, 3], trace).run()
    ours = np.array([at for at in instants if at < 2000.0])
    theirs = np.sort(seen.good + seen.bad)
    last = np.isin(np.round(theirs, 6), np.round(ours, 6))
    assert len(ours) > 200
    assert theirs[last] == pytest.approx(ours, abs=1e-9)
    assert last.sum() >= len(seen.good)  # every good part is among those that the last machine gave away


def test_replications_do_not_depend_on_each_other():
    line = Line("two", (Machine("a", exponential(1.0), quality=Quality(0.1)), Machine("b", WEIBULL)), serial("ab", [3]), Product("x"))
    whole = figures(replace(line, duration_s=500.0), 9, range(40), "recursion").values
    parts = [figures(replace(line, duration_s=500.0), 9, [number], "recursion").values[0] for number in (0, 17, 39)]
    assert np.array(parts).tobytes() == whole[[0, 17, 39]].tobytes()


def _two(**first):
    made = (replace(Machine("a", constant(1.0)), **first), Machine("b", constant(1.0)))
    return Line("two", made, serial("ab", [3]), Product("x"), duration_s=50.0)


def _edges(line, *edges):
    return replace(line, edges=(*line.edges, *edges))


BEYOND = {
    "a fails by the clock, also while it waits": _two(reliability=Reliability(exponential(9), exponential(1), Clock.TIME)),
    "a has planned maintenance": _two(maintenance=Maintenance("age", 9.0, constant(1.0))),
    "a makes 3 parts at a time": _two(batch_out=3),
    "parts may overtake each other at a, which has 2 places": _two(servers=2),
    "the phases of a are not the usual six in their order": _two(phases=(*SIX_PHASES, PhaseUse("own"))),
    "it has planned stops": replace(_two(), calendar=Calendar((PlannedStop(1.0, 2.0),))),
    "its source makes lots of several products": replace(_two(), source=Source(lots=(Lot("x", 3),))),
    "machines may wait for the crew fitters": replace(
        _two(crew="fitters"), machines=tuple(replace(one, crew="fitters") for one in _two().machines), crews=(Crew("fitters"),)
    ),
    "the edge a -> b asks for more than is_defective": replace(
        _two(), edges=(serial("ab", [3])[0], Edge("a", "b", 3, "units > 0"), Edge("b", SINK))
    ),
    "a has 2 ways on": _edges(_two(), Edge("a", SINK)),
}


@pytest.mark.parametrize("why", BEYOND)
def test_what_the_recursion_cannot_express_is_named_and_left_to_the_events(why):
    line = BEYOND[why]
    assert why_not(line) == why
    if not why.startswith("the phases"):
        with pytest.raises(Cannot, match=why):
            figures(line, 0, [0], "recursion")
        found = figures(line, 0, [0, 1])
        assert (found.method, found.why) == ("events", why_not(line))


def test_what_changes_nothing_does_not_keep_a_line_from_the_recursion():
    line = _two(changeover=Changeover(constant(3.0)), crew="fitters")
    line = replace(line, crews=(Crew("fitters", 1),))
    alike(line, 1, [0, 1])
    assert figures(line, 0, [0]).method == "recursion"
