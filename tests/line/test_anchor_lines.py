"""Lines whose figures are known in closed form or from their Markov chain (Hillier and Boling 1967; Gershwin 1994; Buzacott 1967)."""

import pytest

from support.lines import bernoulli_line, exponential_line, gershwin_line, meets, replicate, share, throughput
from support.markov import solve

TWO = [(0, 1.0, 1.0), (1, 1.0, 1.0), (2, 1.0, 1.0), (5, 1.0, 1.0), (2, 1.2, 1.0), (3, 0.9, 1.1)]


def two_machines(first, second, buffer):
    """Two exponential machines with blocking after service are M/M/1/(B+2) seen from the second one."""
    ratio, places = first / second, buffer + 2
    empty = 1 / (places + 1) if ratio == 1 else (1 - ratio) / (1 - ratio ** (places + 1))
    return second * (1 - empty)


@pytest.mark.parametrize(("buffer", "first", "second"), TWO)
def test_two_exponential_machines_make_what_the_closed_form_says(buffer, first, second):
    exact = two_machines(first, second, buffer)
    assert exact == pytest.approx(solve([first, second], [buffer]).throughput)
    meets(replicate(exponential_line([first, second], [buffer], duration_s=4000.0), throughput, seed=3), exact)


@pytest.mark.parametrize(
    ("rates", "buffers", "listed"),
    [
        ([1, 1, 1], [0, 0], 0.5641),
        ([1, 1, 1], [1, 1], 0.6705),
        ([1, 1, 1], [2, 2], 0.7340),
        ([1, 1, 1], [3, 3], 0.7767),
        ([1, 1, 1, 1], [0, 0, 0], 0.5148),
        ([1, 1, 1, 1], [1, 1, 1], 0.6312),
        ([1.3, 0.9, 1.1], [1, 4], None),
    ],
)
def test_longer_balanced_and_unbalanced_lines_make_what_their_markov_chain_says(rates, buffers, listed):
    exact = solve(rates, buffers).throughput
    assert listed is None or exact == pytest.approx(listed, abs=6e-5)
    meets(replicate(exponential_line(rates, buffers), throughput, seed=12), exact)


@pytest.mark.parametrize(("rates", "buffers"), [([1, 1, 1], [2, 2]), ([1.0, 0.8, 1.1], [3, 1])])
def test_starved_and_blocked_shares_and_work_in_progress_are_those_of_the_markov_chain(rates, buffers):
    exact = solve(rates, buffers)
    if rates == [1, 1, 1]:
        assert exact.starved == pytest.approx([0, 0.127566, 0.265983], abs=1e-6)
        assert exact.blocked == pytest.approx([0.265983, 0.138418, 0], abs=1e-6)
        assert exact.wip == pytest.approx(4.633484, abs=1e-6)

    def figures(summary):
        starved = [share(summary, name, "STARVED") for name in ("m0", "m1", "m2")]
        blocked = [share(summary, name, "BLOCKED") for name in ("m0", "m1", "m2")]
        return [*starved, *blocked, summary["flow"]["wip_mean"]]

    samples = replicate(exponential_line(rates, buffers, duration_s=7000.0), figures, seed=4)
    meets(samples, [*exact.starved, *exact.blocked, exact.wip], relative=0.04)  # the smallest share is 4 %
    meets(samples[:, -1:], exact.wip)


@pytest.mark.parametrize(
    ("fail", "repair", "places", "exact"),
    [((0.01, 0.01), (0.1, 0.1), 4, 0.840936), ((0.01, 0.01), (0.1, 0.1), 10, 0.856175), ((0.1, 0.1), (0.14, 0.1), 10, 0.436542)],
)
def test_the_deterministic_two_machine_line_makes_what_gershwin_says(fail, repair, places, exact):
    """One failure at most in a cycle, found at its start; a repaired machine makes one part before it may fail again."""
    meets(replicate(gershwin_line(fail, repair, places, duration_s=10_000.0), throughput, seed=2), exact)


def test_gershwins_mean_buffer_counts_the_part_in_work_and_the_part_blocked():
    def level(summary):
        return summary["buffers"]["m0->m1"]["mean"] + 1 - share(summary, "m1", "STARVED") + share(summary, "m0", "BLOCKED")

    meets(replicate(gershwin_line((0.1, 0.1), (0.14, 0.1), 10), level, seed=8), 5.8612)


@pytest.mark.parametrize(("fail", "repair"), [((0.01, 0.01), (0.1, 0.1)), ((0.02, 0.03), (0.3, 0.4))])
def test_without_a_buffer_failing_machines_in_a_row_share_their_losses(fail, repair):
    """Buzacott: E = 1 / (1 + sum p/r). Constant cycles never wait for each other, so the stops of each hold up all."""
    line = gershwin_line(fail, repair, 2, duration_s=10_000.0)
    exact = 1 / (1 + sum(p / r for p, r in zip(fail, repair, strict=True)))
    meets(replicate(line, throughput, seed=5), exact)


def test_with_an_endless_buffer_the_worse_machine_sets_the_pace():
    line = gershwin_line((0.1, 0.1), (0.6, 0.3), 2_000_000, duration_s=4000.0)
    meets(replicate(line, throughput, seed=5), 0.3 / 0.4)


@pytest.mark.parametrize("clock", ["operation", "time"])
def test_failures_at_their_instant_are_those_of_the_markov_chain(clock):
    """Within the cycle, on the operation clock and on the time clock, with repairs that go on while others starve and block."""
    rates, buffers, fail, repair = [1.0, 1.1, 0.9], [2, 1], [0.2, 0.3, 0.15], [1.0, 1.5, 0.9]
    exact = solve(rates, buffers, fail, repair, always=clock == "time")
    line = exponential_line(rates, buffers, fail=fail, repair=repair, clock=clock, duration_s=5000.0)

    def figures(summary):
        return [throughput(summary), summary["flow"]["wip_mean"], *(share(summary, name, "DOWN") for name in ("m0", "m1", "m2"))]

    samples = replicate(line, figures, seed=6)
    meets(samples[:, :2], [exact.throughput, exact.wip])
    meets(samples, [exact.throughput, exact.wip, *exact.down], relative=0.03)


def bernoulli(first, second, places):
    """Li and Meerkov 2009: what two Bernoulli machines with a buffer of `places` make in a slot."""
    if first == second:
        empty = (1 - first) / (places + 1 - first)
    else:
        alpha = first * (1 - second) / (second * (1 - first))
        empty = (1 - first) * (1 - alpha) / (1 - first / second * alpha**places)
    return second * (1 - empty)


@pytest.mark.parametrize(("first", "second", "places", "listed"), [(0.9, 0.9, 2, 0.857143), (0.8, 0.9, 3, 0.791536), (0.7, 0.6, 4, None)])
def test_two_bernoulli_machines_make_what_li_and_meerkov_say(first, second, places, listed):
    exact = bernoulli(first, second, places)
    assert listed is None or exact == pytest.approx(listed, abs=1e-6)
    meets(replicate(bernoulli_line(first, second, places), throughput, seed=77), exact)
