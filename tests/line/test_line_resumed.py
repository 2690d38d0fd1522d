"""The recursion from a state gives what the discrete events give from it, on the same random numbers."""

from dataclasses import replace

import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gateway.simulation.line.chance import Chance
from gateway.simulation.line.courses import Ask, Courses, by_events
from gateway.simulation.line.layout import Layout
from gateway.simulation.line.resumed import by_recursion
from gateway.simulation.line.standing import standing
from support.random_rows import lines

STEPS = 9


def state_of(line, seed, at_s):
    layout = Layout(line, Chance(seed), 0.0, None)
    layout.begin(None)
    layout.advance(at_s)
    return standing(layout)


def alike(line, state, seed, replications, at_least_s=4.0):
    horizon_s = line.duration_s - state.at_s
    ask = Ask(horizon_s, tuple(horizon_s * (step + 1) / STEPS for step in range(STEPS)), at_least_s)
    fast = by_recursion(line, state, seed, replications, ask)
    exact = by_events(line, state, seed, replications, ask, lambda _share: None)
    for name in Courses.__slots__:
        np.testing.assert_allclose(getattr(fast, name), getattr(exact, name), rtol=1e-7, atol=1e-4, err_msg=name)


@settings(max_examples=25, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=[HealthCheck.too_slow])
@given(lines(), st.integers(0, 2**32), st.floats(0.5, 290.0))
def test_random_lines_go_on_alike(line, seed, at_s):
    line = replace(line, warm_up_s=0.0)
    alike(line, state_of(line, seed, at_s), seed + 1, [0, 3, 300])
