"""Scenarios and runs in edgetwin.db."""

import sqlite3
from dataclasses import replace

import pytest

from gateway.model.process import Run, RunState, Scenario
from gateway.model.tag import TagTable
from gateway.store import runs
from gateway.store.config import StoreConfig
from gateway.store.store import Store

S = 1_000_000_000
START = 1_800_000_000 * S


@pytest.fixture
async def store(tmp_path):
    made = await Store.open(tmp_path, StoreConfig(), TagTable.of([]), START)
    yield made
    await made.close()


def run(number, **more):
    return Run(f"run-{number}", "simulate", ("warm",), "ann", START + number * S, {"horizon_s": 60.0}, **more)


async def test_a_scenario_is_kept_until_it_is_removed(store):
    """Saved again it keeps its time of creation."""
    warm = Scenario("warm", "a warm hall", {"line.setpoint": 26.0}, 600.0, None, 100, START, START)
    await store.runs.put_scenario(warm)
    await store.runs.put_scenario(replace(warm, description="warmer", created_ns=START + S, updated_ns=START + S))
    assert await store.runs.scenarios() == [replace(warm, description="warmer", updated_ns=START + S)]
    assert await store.runs.remove_scenario("warm")
    assert not await store.runs.remove_scenario("warm")
    assert await store.runs.scenarios() == []


async def test_the_last_runs_are_kept(store, monkeypatch):
    """The list is without results, newest first; who asks for one run gets them."""
    monkeypatch.setattr(runs, "KEPT", 3)
    await store.runs.put_run(run(0))
    done = run(0, state=RunState.DONE, seconds=0.5, steps=60, results={"limits": []})
    assert await store.runs.put_run(done) == []
    gone = [await store.runs.put_run(run(number)) for number in (1, 2, 3)]
    assert gone == [[], [], ["run-0"]]
    assert [one.run_id for one in await store.runs.runs()] == ["run-3", "run-2", "run-1"]
    await store.runs.put_run(replace(run(1), state=RunState.DONE, results={"limits": [1]}))
    assert (await store.runs.run("run-1")).results == {"limits": [1]}
    assert await store.runs.run("run-0") is None


async def test_what_a_stop_cut_off_is_failed(store):
    await store.runs.put_run(run(0))
    await store.runs.put_run(run(1, state=RunState.DONE))
    assert await store.runs.end_interrupted("the gateway stopped") == 1
    assert [(one.state, one.why) for one in await store.runs.runs()] == [(RunState.DONE, ""), (RunState.FAILED, "the gateway stopped")]


async def test_people_read_runs_with_the_columns_of_the_source_documents(store, tmp_path):
    """H07: simulations(id, timestamp, parameters, results, duration, steps)."""
    await store.runs.put_run(run(0, state=RunState.DONE, seconds=0.5, steps=60))
    with sqlite3.connect(tmp_path / "edgetwin.db") as plain:
        row = plain.execute("SELECT id, timestamp, parameters, results, duration, steps FROM simulations").fetchone()
    assert row == ("run-0", "2027-01-15T08:00:00.000Z", '{"horizon_s": 60.0}', "{}", 0.5, 60)
