"""Times drawn from a line's distributions, against SciPy's distributions of the same names; streams keyed by name."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gateway.model.distribution import Distribution
from gateway.simulation.line.sampling import sample
from gateway.simulation.line.streams import BLOCK, Purpose, gaps, generator, generators, one_by_one

CASES = {
    "exponential": (Distribution.of("exponential", mean=3.0), stats.expon(scale=3.0)),
    "uniform": (Distribution.of("uniform", min=2.0, max=5.0), stats.uniform(2.0, 3.0)),
    "triangular": (Distribution.of("triangular", min=1.0, mode=2.0, max=6.0), stats.triang(0.2, 1.0, 5.0)),
    "normal": (Distribution.of("normal", mean=1.0, sd=1.0), stats.truncnorm(-1.0, np.inf, 1.0, 1.0)),
    "lognormal": (Distribution.of("lognormal", median=4.0, sigma=0.5), stats.lognorm(0.5, scale=4.0)),
    "weibull": (Distribution.of("weibull", shape=2.0, scale=10.0), stats.weibull_min(2.0, scale=10.0)),
    "gamma": (Distribution.of("gamma", shape=0.7, scale=3.0), stats.gamma(0.7, scale=3.0)),
    "erlang": (Distribution.of("erlang", stages=3, mean=6.0), stats.erlang(3, scale=2.0)),
}
ALL = {name: case for name, (case, _) in CASES.items()} | {
    "deterministic": Distribution.of("deterministic", value=2.0),
    "geometric": Distribution.of("geometric", probability=0.3, step=5.0),
    "empirical": Distribution("empirical", values=(1.0, 2.0, 9.0), weights=(1.0, 2.0, 1.0)),
}


@pytest.mark.parametrize("name", CASES)
def test_draws_follow_their_distribution(name):
    given_, same = CASES[name]
    values = sample(given_, generator(11, 0, name, Purpose.CYCLE), 20_000)
    assert stats.kstest(values, same.cdf).pvalue > 1e-3
    assert values.min() >= 0


def test_steps_and_values_come_in_their_shares():
    steps = sample(ALL["geometric"], generator(1, 0, "m", Purpose.REPAIR), 40_000) / 5.0
    shares = np.bincount(steps.astype(int), minlength=5)[1:5] / len(steps)
    assert shares == pytest.approx([0.3, 0.21, 0.147, 0.1029], abs=0.01)
    values = sample(ALL["empirical"], generator(1, 0, "m", Purpose.REPAIR), 40_000)
    assert [np.mean(values == value) for value in (1.0, 2.0, 9.0)] == pytest.approx([0.25, 0.5, 0.25], abs=0.01)
    alike = sample(Distribution("empirical", values=(1.0, 3.0)), generator(1, 0, "m", Purpose.REPAIR), 10_000)
    assert np.mean(alike == 1.0) == pytest.approx(0.5, abs=0.02)


@given(st.sampled_from(sorted(ALL)), st.integers(0, 999), st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_a_stream_gives_the_same_numbers_in_one_piece_and_in_several(name, seed, pieces):
    whole = sample(ALL[name], generator(seed, 3, name, Purpose.JAM), sum(pieces))
    source = generator(seed, 3, name, Purpose.JAM)
    assert np.concatenate([sample(ALL[name], source, n) for n in pieces]).tolist() == whole.tolist()
    source = generator(seed, 3, name, Purpose.JAM)
    endless = one_by_one(lambda n: sample(ALL[name], source, n), block=pieces[0])
    assert [next(endless) for _ in whole] == whole.tolist()


@given(st.integers(0, 2**64), st.lists(st.integers(0, 3 * BLOCK), min_size=1, max_size=8))
def test_a_stream_is_the_same_alone_and_among_others(seed, replications):
    among = [one.random() for one in generators(seed, replications, "filler", Purpose.JAM)]
    assert among == [generator(seed, one, "filler", Purpose.JAM).random() for one in replications]


def test_streams_of_other_replications_machines_purposes_and_seeds_differ():
    keys = [(seed, one, owner, purpose) for seed in (0, 1) for one in (0, 1, BLOCK) for owner in ("a", "b") for purpose in Purpose]
    first = [generator(*key).random() for key in keys]
    assert len(set(first)) == len(keys)
    draws = np.array([generator(*key).standard_normal(200) for key in keys])
    assert np.abs(np.corrcoef(draws) - np.eye(len(keys))).max() < 0.36


@given(st.floats(1e-6, 1.0), st.floats(1e-6, 1.0), st.integers(0, 99))
def test_a_higher_probability_never_makes_an_event_come_later(p, q, seed):
    exponentials = np.random.default_rng(seed).standard_exponential(50)
    low, high = sorted((p, q))
    assert (gaps(exponentials, high) <= gaps(exponentials, low)).all()
    assert gaps(exponentials, low).min() >= 1
