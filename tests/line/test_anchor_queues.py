"""Queues in front of one station: M/M/1, M/M/1/K, M/M/c, M/G/1 (Kleinrock 1975)."""

import math

import pytest

from gateway.model.line import Distribution, constant, exponential
from support.lines import meets, queue, replicate, throughput


def flow(summary):
    return [summary["flow"]["wip_mean"], summary["flow"]["lead_time_mean_s"], summary["buffers"]["_source->m"]["mean"]]


@pytest.mark.parametrize(("arrivals", "length"), [(0.5, 14_000.0), pytest.param(0.8, 150_000.0, marks=pytest.mark.long)])
def test_one_server_with_poisson_arrivals(arrivals, length):
    exact = [arrivals / (1 - arrivals), 1 / (1 - arrivals), arrivals * arrivals / (1 - arrivals)]
    meets(replicate(queue(arrivals, exponential(1.0), duration_s=length), flow, seed=2), exact)


@pytest.mark.parametrize(("arrivals", "service", "places"), [(0.8, 1.0, 5), (1.2, 1.0, 3)])
def test_a_limited_queue_turns_arrivals_away(arrivals, service, places):
    ratio = arrivals / service
    weights = [ratio**n for n in range(places + 1)]
    share = [weight / sum(weights) for weight in weights]
    rate, inside = arrivals * (1 - share[-1]), sum(n * p for n, p in enumerate(share))
    if (arrivals, places) == (0.8, 5):
        assert [share[-1], rate, inside, inside / rate] == pytest.approx([0.088819, 0.728944, 1.868332, 2.563065], abs=1e-6)

    def figures(summary):
        return [throughput(summary), summary["flow"]["wip_mean"], summary["flow"]["lead_time_mean_s"]]

    samples = replicate(queue(arrivals, exponential(1 / service), places=places, duration_s=8000.0), figures, seed=4)
    meets(samples, [rate, inside, inside / rate])


def erlang_c(load, servers):
    blocking = 1.0
    for server in range(1, servers + 1):
        blocking = load * blocking / (server + load * blocking)
    return blocking, servers * blocking / (servers - load * (1 - blocking))


@pytest.mark.parametrize(
    ("arrivals", "servers", "length"),
    [(2.0, 4, 3_000.0), pytest.param(1.6, 2, 120_000.0, marks=pytest.mark.long)],
)
def test_servers_in_parallel_wait_as_erlang_says(arrivals, servers, length):
    blocking, waits = erlang_c(arrivals, servers)
    if (arrivals, servers) == (1.6, 2):
        assert (blocking, waits) == pytest.approx((0.329897, 0.711111), abs=1e-6)
    exact = arrivals + arrivals * waits / (servers - arrivals)
    meets(replicate(queue(arrivals, exponential(1.0), servers=servers, duration_s=length), lambda s: s["flow"]["wip_mean"], seed=2), exact)


def test_servers_without_a_queue_lose_what_erlang_says():
    """Erlang B: a buffer of no places hands an arrival to a free server, or it is lost."""
    blocking, _ = erlang_c(1.6, 2)
    samples = replicate(queue(1.6, exponential(1.0), places=2, servers=2, duration_s=5000.0), throughput, seed=3)
    meets(samples, 1.6 * (1 - blocking))


@pytest.mark.parametrize(
    ("service", "squared", "length"),
    [
        (constant(1.0), 0.0, 6_000.0),
        (Distribution("erlang", 2, 1.0), 0.5, 9_000.0),
        pytest.param(Distribution("lognormal", math.exp(-math.log(2) / 2), math.sqrt(math.log(2))), 1.0, 100_000.0, marks=pytest.mark.long),
    ],
)
def test_one_server_with_any_service_waits_as_pollaczek_and_khinchine_say(service, squared, length):
    load = 0.6
    waiting = load * (1 + squared) / 2 / (1 - load)

    def lead(summary):
        return summary["flow"]["lead_time_mean_s"]

    meets(replicate(queue(load, service, duration_s=length), lead, seed=2), 1.0 + waiting)
