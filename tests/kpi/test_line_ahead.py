"""The line's forecast in the daemon: what it begins with, and the conditions that come of it."""

import asyncio

import pytest

from gateway.engine.engine import Engine
from gateway.kpi.ahead import LineAhead
from gateway.kpi.live import LiveLine
from gateway.kpi.rules import rules_of
from gateway.model.batch import SampleBatch
from gateway.own_alarms import rules
from gateway.plugins import plugins
from gateway.settings import load
from gateway.work import JobFailed, JobResult, Workforce
from support.line_tree import planted
from support.waiting import eventually

S = 1_000_000_000
NOW = 1_767_268_800 * S  # noon
SITE = """version: 1
events: {system_alarms: false}
tags:
  - {name: mill.state, type: enum, labels: {0: starved, 1: execute, 2: down}}
  - {name: press.state, type: enum, labels: {0: starved, 1: execute, 2: down}}
  - {name: between, type: int}
line:
  tree: tree
  run: short
  machines: {Mill: {state: mill.state}, Press: {state: press.state}}
  buffers: {Mill->Press: between}
  forecast: {every: 5s, issues: 2, at_least: 1min}
"""
NAME = "press.state/Forecast/STARVED"


class NoHistory:
    """Nothing is on disk."""

    async def read_at(self, _tag_id, _at_ns):
        return await self.read(0, 0, 0)

    async def read(self, _tag_id, _start_ns, _end_ns, _limit=None):
        import numpy as np

        from gateway.model.series import Series

        return Series(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.uint32), {})


class Words(dict):
    put = dict.__setitem__


class Answers:
    """Jobs whose answers are given beforehand: probabilities of the press being starved, or a failure."""

    def __init__(self):
        self.asked, self.probability, self.fails = [], 0.0, False

    def workforce(self):
        return Workforce(0, 0, 0, 0, 0, 0)

    async def run(self, job, progress=None):
        self.asked.append(job)
        if self.fails:
            raise JobFailed("died", "out of memory")
        never = {"probability": 0.0, "early_min": None, "median_min": None, "late_min": None}
        some = {"probability": self.probability, "early_min": 2.0, "median_min": 5.0, "late_min": 9.0}
        good = {"P05": 5.0, "P50": 7.0, "P95": 9.0}
        machines = {"Mill": {"starved": never, "blocked": never}, "Press": {"starved": some, "blocked": never}}
        return JobResult({"machines": machines, "output": {"good": good}, "bottleneck": {}, "buffers": {}}, {}, 0.1)


class Bench:
    """A live line over an engine, with a clock of its own."""

    def __init__(self, folder):
        planted(folder / "tree")
        (folder / "site.yaml").write_text(SITE)
        self.site = load(folder / "site.yaml", plugins())
        self.engine = Engine(self.site.tags, rules(self.site), (), self.site.sync)
        self.now_ns, self.words, self.jobs, self.told = NOW, Words(), Answers(), []
        self.live = LiveLine(lambda: self.site, self.engine.view, NoHistory(), Words(), lambda: self.now_ns)
        self.ahead = LineAhead(
            self.live, self.jobs, self.engine, lambda: self.site, self.words, self.commanded, lambda: self.now_ns
        )  # fmt: skip

    def commanded(self, _kind, update, **_):
        self.told += update.transitions

    async def sample(self, **values):
        ids = [self.site.tags.index[name.replace("_", ".")] for name in values]
        batch = SampleBatch.of(ids, list(values.values()), 0, self.now_ns, received_ns=self.now_ns)
        self.live.take(self.engine.step(batch, self.now_ns))

    async def pass_by(self, seconds):
        self.now_ns += seconds * S
        await self.live.step()

    async def issue(self, probability):
        """One forecast."""
        count, self.jobs.probability, self.ahead._due_s = len(self.jobs.asked), probability, 0.0
        self.ahead.step()
        await eventually(lambda: len(self.jobs.asked) > count and self.ahead._asking is None)


@pytest.fixture
async def bench(tmp_path):
    one = Bench(tmp_path)
    await one.live.step()
    await one.sample(mill_state=1, press_state=1, between=3)
    await one.pass_by(2)
    await one.pass_by(40)
    return one


async def test_each_tied_machine_has_two_conditions_and_they_are_rules_of_the_site(bench):
    names = [rule.condition for rule in rules_of(bench.site)]
    assert names == [f"{tag}/Forecast/{word}" for tag in ("mill.state", "press.state") for word in ("STARVED", "BLOCKED")]
    assert set(names) <= {rule.condition for rule in rules(bench.site)}


async def test_it_begins_with_the_states_their_age_and_the_buffers(bench):
    await bench.issue(0.0)
    state = bench.jobs.asked[-1].args["state"]
    assert [(one["name"], one["state"]) for one in state["machines"]] == [("Mill", "EXECUTE"), ("Press", "EXECUTE")]
    assert state["machines"][0]["elapsed_s"] == pytest.approx(39, abs=2)
    assert state["buffers"] == [["Mill", "Press", 3]]
    assert bench.jobs.asked[-1].args["until_s"] - state["at_s"] == pytest.approx(12 * 3600, abs=60)


async def test_a_wait_is_told_after_so_many_forecasts_and_ends_below_clear(bench):
    await bench.issue(0.9)
    assert not bench.engine.condition(NAME).active
    await bench.issue(0.8)
    assert bench.engine.condition(NAME).active
    assert bench.told[-1].condition.rule.condition == NAME
    await bench.issue(0.5)
    assert bench.engine.condition(NAME).active
    await bench.issue(0.2)
    assert not bench.engine.condition(NAME).active


async def test_a_wait_that_comes_is_a_hit_and_one_that_does_not_is_not(bench):
    await bench.issue(0.9)
    await bench.issue(0.9)
    await bench.sample(press_state=0)
    for _ in range(4):
        await bench.pass_by(30)
        bench.ahead.step()
    assert bench.ahead.report()["hits"] == 1
    await bench.issue(0.9)
    assert not bench.engine.condition(NAME).active  # it is there already


async def test_a_job_that_fails_is_said_and_the_last_forecast_stays(bench):
    await bench.issue(0.1)
    newest, bench.jobs.fails = bench.ahead.newest, True
    await bench.issue(0.1)
    assert bench.ahead.fault == "no forecast of the line: died: out of memory"
    assert bench.ahead.newest is newest
    bench.jobs.fails = False
    await bench.issue(0.1)
    assert bench.ahead.fault is None
    await asyncio.sleep(0)
