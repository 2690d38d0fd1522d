"""Predicted limits, the mathematics: when one is told (hysteresis, issues, lead), what becomes of it (verdicts, Brier), and the drift."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.simulation.forecast.alerting import Alerting, Manner
from gateway.simulation.forecast.crossing import times
from gateway.simulation.forecast.drift import Drift
from gateway.simulation.forecast.reliability import Reliability
from gateway.simulation.forecast.verification import Verification

S = 10**9
NAN = float("nan")


def told(manner, *chances, median_s=100.0, there=False):
    """How one limit's alert stands after each of these probabilities."""
    alerting, found = Alerting.of(1, manner), []
    for chance in chances:
        alerting.issue(np.array([chance]), np.array([median_s]), np.array([there]))
        found.append(bool(alerting.stands[0]))
    return found


def test_it_is_told_after_so_many_issues_and_stands_down_to_the_lower_probability():
    assert told(Manner(issues=2), 0.8, 0.6, 0.8, 0.7, 0.31, 0.3, 0.69) == [False, False, False, True, True, False, False]
    assert told(Manner(issues=1), 0.7, NAN, 0.7) == [True, False, True]


def test_it_is_not_told_too_late_or_of_what_is_there_already():
    assert told(Manner(issues=1, lead_s=10.0), 0.9, 0.9, median_s=9.0) == [False, False]
    assert told(Manner(issues=1, lead_s=10.0), 0.9, median_s=NAN) == [True]
    assert told(Manner(issues=1), 1.0, 1.0, there=True) == [False, False]


@given(st.lists(st.floats(0, 1), max_size=40), st.integers(1, 4))
def test_between_the_two_probabilities_nothing_changes(chances, issues):
    alerting = Alerting.of(1, Manner(0.7, 0.3, 0.0, issues))
    for chance in chances:
        before = bool(alerting.stands[0])
        begins, ends = alerting.issue(np.array([chance]), np.array([NAN]), np.array([False]))
        assert not (begins & ends).any()
        if 0.3 < chance < 0.7:
            assert bool(alerting.stands[0]) == before
        assert before or not alerting.stands[0] or chance >= 0.7


class Judge:
    """One limit with a horizon of 100 s."""

    def __init__(self, floor=0.5, count=3):
        self.verification = Verification(np.array([100 * S]), 0, floor=floor, count=count)
        self.stands = np.array([False])

    def issue(self, at_s, chance=0.5, *, stands=False):
        begins, self.stands = np.array([stands]) & ~self.stands, np.array([stands])
        return self.verification.issue(at_s * S, np.array([chance]), self.stands, begins)

    def passed(self, at_s):
        self.stands = np.array([False])
        return self.verification.passed(0, at_s * S, self.stands)

    def told(self, *keys):
        row = self.verification.row(0, 3600 * S)
        return tuple(row[key] for key in keys)


def test_an_alert_is_a_hit_within_its_horizon_and_a_limit_without_one_was_missed():
    judge = Judge()
    judge.issue(0, stands=True)
    judge.issue(20)  # taken back, and still within its horizon
    judge.passed(100)
    judge.passed(150)
    assert judge.told("hits", "false", "foreseen", "missed", "lead_s") == (1, 0, 1, 1, 100.0)
    assert judge.told("precision", "recall") == (1.0, 0.5)


def test_an_alert_whose_time_is_over_was_false_and_one_that_stands_says_so_again():
    judge = Judge()
    judge.issue(0, stands=True)
    judge.issue(101, stands=True)
    assert judge.told("hits", "false") == (0, 1)
    judge.passed(150)  # 49 s after it was said again
    assert judge.told("hits", "false", "lead_s", "false_per_day") == (1, 1, 49.0, 24.0)


def test_what_cannot_be_judged_counts_for_nothing():
    judge = Judge()
    judge.issue(0, stands=True)
    judge.verification.void(np.array([True]))
    judge.issue(500)
    assert judge.told("alerts", "missed", "scored", "precision") == (0, 0, 0, None)


def test_probabilities_are_scored_against_what_happened_and_against_climatology():
    """By hand: 0.8 before a limit that is passed, 0.1 and 0.3 where none is; climatology says 1/3 each time."""
    judge = Judge()
    judge.issue(0, 0.8)
    judge.passed(60)
    judge.issue(70, NAN)
    judge.issue(200, 0.1)
    judge.issue(400, 0.3)
    judge.issue(600, NAN)
    brier = (0.2**2 + 0.1**2 + 0.3**2) / 3
    climatology = (1 / 3) * (2 / 3)
    assert judge.told("scored", "brier", "brier_climatology") == (3, pytest.approx(brier), pytest.approx(climatology))
    assert judge.told("brier_skill") == (pytest.approx(1 - brier / climatology),)


def test_a_class_below_its_floor_is_muted_and_earns_its_voice_again():
    judge, turned = Judge(), []
    for k in range(3):
        judge.issue(1000 * k, stands=True)
        turned += judge.issue(1000 * k + 500)
    assert (turned, judge.verification.muted.tolist()) == ([0], [True])
    for k in range(3, 6):
        judge.issue(1000 * k, stands=True)
        turned += judge.passed(1000 * k + 50)
    assert (turned, judge.verification.muted.tolist()) == ([0, 0], [False])


def test_a_floor_of_nothing_mutes_nothing():
    judge = Judge(floor=0.0)
    for k in range(6):
        judge.issue(1000 * k, stands=True)
        assert judge.issue(1000 * k + 500) == []


ISSUES = st.lists(st.tuples(st.integers(1, 80), st.floats(0, 1), st.booleans(), st.booleans()), max_size=60)


@given(ISSUES)
def test_every_alert_is_judged_once_and_a_restart_forgets_none(issues):
    judge, again, at_s, begun, passed = Judge(floor=0.0), Judge(floor=0.0), 0, 0, 0
    for wait_s, chance, stands, passes in issues:
        at_s += wait_s
        begun += stands and not judge.stands[0]
        judge.issue(at_s, chance, stands=stands)
        again.issue(at_s, chance, stands=stands)
        kept = again.verification.state(["a"])
        again.verification = Verification(np.array([100 * S]), 5, floor=0.0, count=3)
        again.verification.restore(kept, ["a"])
        if passes:
            passed += 1
            judge.passed(at_s)
            again.passed(at_s)
    judge.issue(at_s + 1000)
    again.issue(at_s + 1000)
    keys = ("hits", "false", "foreseen", "missed", "lead_s")
    assert judge.told(*keys) == again.told(*keys)
    alerts, foreseen, missed = judge.told("alerts", "foreseen", "missed")
    assert foreseen + missed == passed
    assert alerts >= begun  # one that stands says so again


# --- the drift ---------------------------------------------------------------------------------------------------------------------------

T = np.arange(200.0)


def drift_of(y, limit=10.0, *, upper=True, horizon_s=300.0):
    """(probability, median) of one tag sampled each second."""
    drift = Drift.of(1, horizon_s, 1.0)
    for at_s, value in enumerate(y.tolist()):
        drift.step(float(at_s), np.array([value]), np.array([not np.isnan(value)]))
    last = y[~np.isnan(y)][-1:]
    found = times(*drift.chances(last, np.array([[limit]]), upper=np.array([[upper]])))
    return found.probability.item(), found.median_s.item()


def noise(sd=0.05, seed=1):
    return np.random.default_rng(seed).normal(0.0, sd, T.size)


@pytest.mark.parametrize("rate", [0.01, 0.02, 0.04])
def test_a_ramp_reaches_its_limit_when_its_line_does(rate):
    y = 5.0 - rate * T[-1] + rate * T + noise()
    due_s = 5.0 / rate
    probability, median_s = drift_of(y)
    if due_s < 270:
        assert probability > 0.9
        assert median_s == pytest.approx(due_s, rel=0.15)
    else:
        assert probability < 0.1
    assert drift_of(-y, -10.0, upper=False)[0] == pytest.approx(probability)
    assert drift_of(y, 0.0, upper=False)[0] < 0.01


def test_noise_a_step_a_spike_and_a_return_have_no_slope():
    assert drift_of(5.0 + noise(0.3))[0] < 0.2
    for at in (90, 110, 130, 150, 170, 185):
        assert drift_of(np.where(at > T, 0.0, 5.0) + noise())[0] < 0.5, at
        assert drift_of(5.0 + np.where(at == T, 50.0, 0.0) + noise())[0] < 0.6, at
    decay = 20.0 * np.exp(-np.maximum(T - 120.0, 0.0) / 20.0)
    for end in (150, 160, 170, 180, 190):
        assert drift_of(decay[:end] + noise()[:end], -5.0, upper=False)[0] < 0.7, end


def test_gaps_are_left_out_and_a_limit_that_is_passed_is_certain():
    y = 0.02 * T + 2.0 + noise()
    y[::3] = NAN
    whole, gappy = drift_of(0.02 * T + 2.0 + noise())[0], drift_of(y)[0]
    assert (whole > 0.9, gappy > 0.6) == (True, True)
    assert drift_of(np.full(200, 11.0)) == (1.0, 0.0)
    assert drift_of(np.array([5.0, 5.1]))[0] == 0.0


def test_a_row_per_tag_and_a_column_per_limit():
    drift = Drift.of(3, 300.0, 1.0)
    for at_s in range(200):
        drift.step(float(at_s), np.array([0.02 * at_s, 5.0, NAN]), np.array([True, True, False]))
    limits = np.array([[5.0, 0.0, NAN], [6.0, 4.0, NAN], [1.0, NAN, NAN]])
    found = times(*drift.chances(np.array([3.98, 5.0, NAN]), limits, upper=np.array([[True, False, True]] * 3)))
    assert found.probability.shape == (3, 3)
    assert found.probability[0, 0] > 0.95
    assert (found.probability[0, 1], found.probability[1, 0], found.probability[1, 1]) == pytest.approx((0, 0, 0), abs=1e-6)
    assert np.isnan(found.probability[:, 2]).all()


# --- the correction ----------------------------------------------------------------------------------------------------------------------


def corrected(said, comes, issues=400, horizon_s=100.0, reliability=None):
    """What is told in the end of a limit of which `said` is said every 5 s; comes(at_s): whether it is passed then."""
    one = reliability or Reliability.of(horizon_s, np.array([[10.0]]), np.array([[True]]), np.zeros((1, 1)))
    time_s, told, begin_s = np.array([50.0, 100.0]), np.zeros((1, 1, 2)), 0.0 if one.now_s is None else one.now_s
    for k in range(5 * issues):
        at_s = begin_s + k + 1.0
        one.step(at_s, np.array([11.0 if comes(at_s) else 0.0]), np.array([True]))
        if k % 5 == 4 and not comes(at_s):
            told = one.told(np.array([[[said / 2, said]]]), time_s)
    return told[0, 0], one


@pytest.mark.parametrize("said", [0.0, 0.3, 0.75, 1.0])
def test_what_is_told_comes_to_mean_how_often_it_came(said):
    """A limit that is passed each 400 s is passed within 100 s after a quarter of all moments."""
    (half, whole), _ = corrected(said, lambda at_s: at_s % 400 == 0)
    assert whole == pytest.approx(0.25, abs=0.05)
    assert 0 < half < whole
    assert corrected(said, lambda _: False)[0][1] == pytest.approx(0.0, abs=0.05)


def test_one_word_that_was_never_held_against_anything_is_told_as_it_is():
    told, _ = corrected(0.6, lambda _: False, issues=1)
    assert told.tolist() == [0.3, 0.6]


def test_a_value_must_stay_beyond_for_as_long_as_the_alarm_waits():
    one = Reliability.of(100.0, np.array([[10.0]]), np.array([[True]]), np.array([[3.0]]))
    assert corrected(0.5, lambda at_s: at_s % 50 < 2, reliability=one)[0][1] < 0.05


def test_the_correction_survives_a_restart_and_another_limit_begins_anew():
    _, one = corrected(0.9, lambda _: False)
    again = Reliability.of(100.0, np.array([[5.0], [10.0]]), np.array([[True], [True]]), np.zeros((2, 1)))
    again.restore(one.saved(), np.array([0]), np.array([1]))
    again.step(0.0, np.zeros(2), np.ones(2, bool))
    told = again.told(np.full((2, 1, 1), 0.9), np.array([100.0]))[:, 0, 0]
    assert told[0] == pytest.approx(0.9)
    assert told[1] < 0.1
    one.follow(np.array([[12.0]]), np.array([[True]]), np.zeros((1, 1)))
    assert one.told(np.full((1, 1, 1), 0.9), np.array([100.0])).item() == pytest.approx(0.9)


def test_a_drift_goes_on_after_a_restart():
    drift, again = Drift.of(1, 300.0, 1.0), Drift.of(2, 300.0, 1.0)
    for at_s in range(200):
        drift.step(float(at_s), np.array([0.02 * at_s]), np.array([True]))
    again.restore(drift.saved(), np.array([0]), np.array([1]))
    limits = {"limits": np.array([[5.0]]), "upper": np.array([[True]])}
    last = np.array([3.98])
    assert again.chances(np.append(np.nan, last), np.full((2, 1), 5.0), upper=np.full((2, 1), True))[0][1].tolist() == (
        drift.chances(last, **limits)[0][0].tolist()
    )
