"""Forecast tags on their grid: what counts as a sample, what waits, and what is told of a site's limits and models."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from gateway.forecasting import sampler as sampling
from gateway.forecasting.plan import Passable, Plan
from gateway.forecasting.sampler import Sampler
from gateway.launch import load_site
from gateway.model import quality
from gateway.model.alarm import AlarmRule, Level, Limit
from gateway.model.tag import Tag

SECOND = 10**9


@dataclass
class Columns:
    """The columns of a TwinView that are sampled."""

    value: np.ndarray = field(default_factory=lambda: np.array([1.0, 2.0]))
    status: np.ndarray = field(default_factory=lambda: np.array([quality.GOOD, quality.GOOD], np.uint32))
    source_ns: np.ndarray = field(default_factory=lambda: np.array([1, 1], np.int64))


def tags(*intervals_s):
    return tuple(Tag(row, f"t{row}", sampling_interval_ns=round(one * SECOND)) for row, one in enumerate(intervals_s))


def test_a_value_that_is_not_sent_again_counts_as_it_stands_where_the_tag_is_faster_than_the_grid():
    view, sampler = Columns(), Sampler(tags(0.1, 0.1), SECOND)
    for at in range(3):
        sampler.sample(view, at * SECOND)
    steady_ns, y, good = sampler.take()
    assert steady_ns.tolist() == [0, SECOND, 2 * SECOND]
    assert y.tolist() == [[1.0, 2.0]] * 3
    assert good.all()
    assert len(sampler) == 0


def test_a_tag_slower_than_the_grid_has_samples_where_it_is_new_or_silent_for_two_intervals():
    view, sampler = Columns(), Sampler(tags(5.0, 0.1), SECOND)
    for at in range(17):
        if at == 5:
            view.source_ns = np.array([2, 1])
        sampler.sample(view, at * SECOND)
    good = sampler.take()[2][:, 0]
    assert np.flatnonzero(good).tolist() == [0, 5, 15, 16]


def test_what_is_not_good_is_no_sample():
    view, sampler = Columns(), Sampler(tags(0.1, 0.1), SECOND)
    view.status = np.array([quality.BAD_NO_COMMUNICATION, quality.UNCERTAIN_SIMULATED], np.uint32)
    sampler.sample(view, 0)
    assert sampler.take()[2].tolist() == [[False, False]]


def test_a_step_of_the_grid_is_sampled_once_however_often_and_unevenly_it_is_asked():
    view, sampler = Columns(), Sampler(tags(0.1, 0.1), SECOND)
    for at_ns in (10 * SECOND - 3_000_000, 10 * SECOND + 1_000_000, 11 * SECOND + 4_000_000, 12 * SECOND - 1):
        sampler.sample(view, at_ns)
    assert sampler.take()[0].tolist() == [10 * SECOND, 11 * SECOND, 12 * SECOND]


def test_what_no_worker_takes_is_bounded_and_the_newest_stays(monkeypatch):
    monkeypatch.setattr(sampling, "KEPT", 3)
    view, sampler = Columns(), Sampler(tags(0.1, 0.1), SECOND)
    for at in range(5):
        sampler.sample(view, at * SECOND)
    assert sampler.lost == 2
    assert sampler.take()[0].tolist() == [2 * SECOND, 3 * SECOND, 4 * SECOND]


def test_limits_and_levels_are_told_in_columns_as_wide_as_the_most_of_one_tag():
    levels = (Level(Limit.LO, 1.0, 300), Level(Limit.HI, 9.0, 300))
    rules = (AlarmRule(0, "t0", Limit.HIHI, 20.0), AlarmRule(0, "t0", Limit.ROC, 3.0), AlarmRule(0, "t0", Limit.LEVEL, 0.0, levels=levels))
    found = Passable.of(tags(1.0, 1.0), rules)
    assert found.words == (("HIHI", "LO", "HI"), ())
    assert found.threshold[0].tolist() == [20.0, 1.0, 9.0]
    assert found.upper[0].tolist() == [True, False, True]
    assert np.isnan(found.threshold[1]).all()


@pytest.fixture
def site(tmp_path: Path):
    def made(more):
        path = tmp_path / "site.yaml"
        text = "version: 1\ngateway: {name: a, data_dir: d}\ntags: [{name: l.t}, {name: l.sp}, {name: l.x}]\n" + more
        path.write_text(text)
        return load_site(path)

    return made


def test_models_of_forecast_tags_come_with_the_tags_that_they_name(site):
    models = "models:\n"
    models += "  hall: {kind: first_order, output: l.t, inputs: {u: l.sp}}\n"
    models += "  other: {kind: integrator, output: l.x, inputs: {u: l.sp}}\n"
    plan = Plan.of(site(models + "forecast: {tags: [l.t]}\n"))
    assert [model.name for model in plan.models] == ["hall"]
    assert [tag.name for tag in plan.sampled] == ["l.t", "l.sp"]
    assert (plan.steps, plan.lead, plan.each) == (600, 600, 10)


def test_another_horizon_or_model_is_another_roll_and_other_limits_are_not(site):
    model = "models: {hall: {kind: first_order, output: l.t, inputs: {u: 1}, parameters: {tau: TAU}}}\n"
    base = model.replace("TAU", "5s") + "forecast: {tags: [l.t]}\n"
    first = Plan.of(site(base)).roll
    assert Plan.of(site(base + "alarms: [{tag: l.t, hi: 5}]\n")).roll == first
    assert Plan.of(site(base.replace("5s", "6s"))).roll != first
    assert Plan.of(site(base.replace("[l.t]}", "[l.t], horizon: 5min}"))).roll != first
    assert Plan.of(site("")) is None
