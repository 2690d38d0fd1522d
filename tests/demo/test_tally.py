"""What is counted as lost, and how old values are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demo.tally import missing
from gateway.latency import Latency

ns = lambda *times: np.array(times, np.int64)  # noqa: E731 - columns are written often here


def test_values_before_the_subscription_are_nobodys_loss():
    assert missing(ns(1, 2, 3, 4, 5), ns(3, 4, 5), ready_ns=4) == (3, 0)


def test_a_hole_is_a_loss_even_before_all_sources_were_ready():
    assert missing(ns(1, 2, 3, 4, 5), ns(2, 5), ready_ns=9) == (4, 2)


def test_a_tag_that_never_arrived_has_lost_everything_since_the_gateway_was_ready():
    assert missing(ns(1, 2, 3, 4, 5), ns(), ready_ns=3) == (3, 3)


def test_values_that_came_twice_or_from_elsewhere_count_once():
    assert missing(ns(5, 6), ns(5, 5, 6, 7), ready_ns=5) == (2, 0)


@given(st.lists(st.integers(100_000, 90_000_000_000), min_size=1, max_size=200), st.sampled_from([0.5, 0.99]))
def test_a_quantile_lies_at_most_one_step_above_the_exact_one(ages, share):
    latency, now = Latency(), 1_000_000_000_000
    latency.add(now, now - np.array(ages, np.int64))
    exact = np.quantile(ages, share, method="inverted_cdf") / 1e6
    assert exact * 0.99 <= latency.quantile_ms(share) <= exact * 1.13 + 0.01


def test_only_what_came_after_a_copy_counts_and_no_source_time_is_no_age():
    latency = Latency()
    latency.add(10_000_000, ns(1))
    before = latency.copy()
    assert latency.since(before).quantile_ms(0.5) is None
    latency.add(10_000_000, ns(8_000_000, 0))
    assert latency.since(before).counts.sum() == 1
    assert latency.since(before).quantile_ms(0.5) == pytest.approx(2.0, rel=0.13)
    assert (latency + latency).counts.sum() == 4
