"""The recursion against closed forms and Markov chains, within three standard errors and one per cent."""

import math

import numpy as np
import pytest
from scipy import stats

from gateway.model.distribution import Distribution
from gateway.model.line import (
    Line,
    Machine,
    Performance,
    Product,
    Quality,
    Rates,
    Reliability,
    constant,
    exponential,
    serial,
)
from gateway.simulation.line.figures import figures
from support.lines import exponential_line, gershwin_line, meets, queue
from support.markov import solve

PER_SECOND = 1 / 3600


def column(line, name, seed, lanes=256):
    found = figures(line, seed, range(lanes), "recursion")
    return found.column(name)


def throughput(line, seed, lanes=256):
    return column(line, "flow.throughput_per_hour", seed, lanes) * PER_SECOND


@pytest.mark.parametrize(("buffer", "exact"), [(0, 2 / 3), (1, 0.75), (2, 0.8), (5, 0.875), (20, 22 / 23)])
def test_two_exponential_machines(buffer, exact):
    meets(throughput(exponential_line([1.0, 1.0], [buffer], duration_s=1500.0, warm_up_s=100.0 + 10 * buffer**1.5), 1), exact)


@pytest.mark.parametrize(
    ("rates", "buffers", "listed"),
    [
        ([1, 1, 1], [0, 0], 0.5641),
        ([1, 1, 1], [2, 2], 0.7340),
        ([1, 1, 1], [5, 5], 0.8308),
        ([1, 1, 1, 1], [1, 1, 1], 0.6312),
        ([1, 1, 1, 1], [2, 2, 2], 0.7007),
        ([1.4, 0.8, 1.1], [1, 6], None),
    ],
)
def test_longer_lines(rates, buffers, listed):
    exact = solve(rates, buffers).throughput
    assert listed is None or exact == pytest.approx(listed, abs=6e-5)
    meets(throughput(exponential_line(rates, buffers, duration_s=1500.0), 2), exact)


def bernoulli(first, second, places):
    """Li and Meerkov (2009), section 4.2."""
    if first == second:
        return second * (1 - (1 - first) / (places + 1 - first))
    alpha = first * (1 - second) / (second * (1 - first))
    return second * (1 - (1 - first) * (1 - alpha) / (1 - first / second * alpha**places))


@pytest.mark.parametrize(("first", "second", "places", "listed"), [(0.9, 0.9, 2, 0.857143), (0.8, 0.9, 3, 0.791536), (0.7, 0.6, 4, None)])
def test_two_bernoulli_machines(first, second, places, listed):
    """A machine that is up in a slot with p takes a geometric number of slots for a part.

    Their blocking before service holds `places` parts in front of the second machine, that in work included; with blocking after service
    the first may finish one part more.
    """
    exact = bernoulli(first, second, places)
    assert listed is None or exact == pytest.approx(listed, abs=1e-6)
    made = tuple(Machine(name, Distribution.of("geometric", probability=p, step=1.0)) for name, p in (("a", first), ("b", second)))

    def line(room):
        return Line("b", made, serial("ab", [room]), Product("x"), duration_s=1000.0, warm_up_s=100.0)

    less, more = (throughput(line(room), 5).mean() for room in (places - 2, places - 1))
    assert less - 1e-3 <= exact <= more + 1e-3


@pytest.mark.parametrize(
    ("fail", "repair", "places", "exact"),
    [
        ((0.01, 0.01), (0.1, 0.1), 4, 0.840936),
        ((0.01, 0.01), (0.1, 0.1), 20, 0.870541),
        ((0.1, 0.1), (0.14, 0.1), 10, 0.436542),
        ((0.01, 0.01), (0.1, 0.1), 2, 1 / 1.2),
    ],
)
def test_gershwins_and_buzacotts_lines(fail, repair, places, exact):
    meets(throughput(gershwin_line(fail, repair, places, duration_s=3000.0), 3, 200), exact)


@pytest.mark.parametrize(("arrivals", "inside"), [(0.8, 4.0), (0.5, 1.0)])
def test_one_server(arrivals, inside):
    line = queue(arrivals, exponential(1.0), duration_s=8_000.0)
    meets(column(line, "flow.wip_mean", 4), inside)
    meets(column(line, "flow.lead_time_mean_s", 4), 1 / (1 - arrivals))


@pytest.mark.parametrize(("arrivals", "places"), [(0.8, 5), (1.3, 3)])
def test_a_limited_queue(arrivals, places):
    weights = arrivals ** np.arange(places + 1)
    lost = weights[-1] / weights.sum()
    line = queue(arrivals, exponential(1.0), places=places, duration_s=1500.0)
    meets(throughput(line, 5), arrivals * (1 - lost))
    meets(column(line, "flow.wip_mean", 5), float(np.arange(places + 1) @ weights / weights.sum()))


@pytest.mark.parametrize(("arrivals", "servers", "waits"), [(1.6, 2, 0.711111), (2.4, 4, None)])
def test_parallel_servers(arrivals, servers, waits):
    blocking = 1.0
    for server in range(1, servers + 1):
        blocking = arrivals * blocking / (server + arrivals * blocking)
    erlang_c = servers * blocking / (servers - arrivals * (1 - blocking))
    assert waits is None or erlang_c == pytest.approx(waits, abs=1e-6)
    line = queue(arrivals, exponential(1.0), servers=servers, duration_s=6_000.0)
    meets(column(line, "flow.lead_time_mean_s", 6), 1 + erlang_c / (servers - arrivals))


@pytest.mark.parametrize(("service", "squared"), [(constant(1.0), 0.0), (Distribution("erlang", 2, 1.0), 0.5)])
def test_pollaczek_and_khinchine(service, squared):
    line = queue(0.8, service, duration_s=8_000.0)
    meets(column(line, "flow.lead_time_mean_s", 7), 1 + 0.8 * (1 + squared) / 2 / 0.2)


@pytest.mark.parametrize("numbers", [(10.0, 3600.0, 300.0, 0.02, 15.0, 0.03, 0.9), (30.0, 200.0, 60.0, 0.1, 20.0, 0.2, 0.5)])
def test_six_phases_and_their_money(numbers):
    cycle, mtbf, mttr, jam, jam_s, defect, detect = numbers
    machine = Machine(
        "m",
        constant(cycle),
        reliability=Reliability(exponential(mtbf), exponential(mttr)),
        performance=Performance(jam, constant(jam_s)),
        quality=Quality(defect, detect),
        rates=Rates(40.0, 35.0, 25.0),
    )
    line = Line(
        "r2", (machine,), serial("m", ()), Product("unit", material_cost=0.5, selling_price=1.2), duration_s=28_800.0, warm_up_s=1e4
    )
    whole = cycle - math.expm1(-cycle / mtbf) * mttr + jam * jam_s
    good, made = 28_800 / whole * (1 - defect * detect), 28_800 / whole
    found = figures(line, 8, range(800), "recursion")
    meets(found.column("machines.m.oee.availability"), (cycle + jam * jam_s) / whole)
    meets(found.column("machines.m.oee.performance"), cycle / (cycle + jam * jam_s))
    meets(found.column("machines.m.oee.quality"), 1 - defect * detect)
    meets(found.column("oee.oee"), cycle * (1 - defect * detect) / whole)
    meets(found.column("economics.gross_margin"), 1.2 * good - 0.5 * made - 800.0)
    assert found.column("production.pallets_produced") == pytest.approx(
        found.column("production.good_pallets") + found.column("production.defective_pallets")
    )


def test_replications_of_a_line_spread_as_a_sum_of_cycles_does():
    """One machine with exponential cycles makes a Poisson number of parts: mean and variance, and the law itself."""
    line = Line("p", (Machine("m", exponential(10.0)),), serial("m", ()), Product("x"), duration_s=1000.0)
    counts = column(line, "production.good_pallets", 9, 2000)
    meets(counts, 100.0)
    assert stats.kstest(counts + np.random.default_rng(0).uniform(0, 1, 2000) - 0.5, stats.norm(100, 10).cdf).pvalue > 1e-3
