"""The runs that a server shows: what they hold in memory, and what it does while the store is away."""

import pytest

from gateway.model.process import Run, RunState
from gateway.sinks.opcua import runs
from gateway.sinks.opcua.runs import RUNS, Runs
from gateway.wire.opcua.face import NodeClass, Target

ABOVE = Target("Simulation", NodeClass.OBJECT, "Simulation", 58)


class StoreAway(Exception):
    """The disk is away."""


class Kept:
    """A RunView over a few runs."""

    def __init__(self, kept=(), away=False):
        self.kept, self.away, self.told = {one.run_id: one for one in kept}, away, []

    async def runs(self, limit):
        if self.away:
            raise StoreAway
        return list(reversed(self.kept.values()))[:limit]

    async def run(self, run_id):
        return self.kept.get(run_id)

    def progress(self, run_id):
        return 0.5

    def watch(self, told):
        self.told.append(told)
        return lambda: self.told.remove(told)


def run_of(number, state=RunState.DONE, tags=("a.x",), points=3):
    column = [float(k) for k in range(points)]
    outputs = {tag: dict.fromkeys(("mean", "sd", "p05", "p50", "p95"), column) for tag in tags}
    results = {"time_s": column, "outputs": outputs, "limits": [], "partial": "", "warnings": []} if state is RunState.DONE else {}
    return Run(
        f"r{number}", "simulate", (), "ola", 1000 + number, {"parameters": {"a.x": 1.0}, "seed": number}, state, 0.1, points, "", results
    )


def opened(view):
    changes = []
    return Runs(view, ABOVE, changes.extend, (StoreAway,)), changes


def content(annex, path):
    return annex.node(f"{RUNS}/{path}").read().content


async def test_a_run_is_shown_as_it_goes_on():
    view = Kept()
    annex, changes = opened(view)
    end = await annex.open()
    for told in view.told:
        told(run_of(1, RunState.RUNNING), [])
        assert (content(annex, "r1/State"), content(annex, "r1/Progress")) == ("running", 0.5)
        assert annex.node(f"{RUNS}/r1/Outputs") is None
        told(run_of(1), [])
    assert (content(annex, "r1/State"), content(annex, "r1/Progress"), content(annex, "r1/Setpoints")) == ("done", 1.0, ("a.x=1",))
    assert content(annex, "r1/Outputs/a.x/P50") == (0.0, 1.0, 2.0)
    assert [change.verb for change in changes] == [1, 4]
    end()
    assert view.told == []


@pytest.mark.parametrize("path", ["", "/", "/r9", "/r1/", "/r1/Nothing", "/r1/State/x", "/r1/Outputs/a.x/P51", "/r1//State", "x/r1"])
async def test_there_is_nothing_else(path):
    annex, _ = opened(Kept([run_of(1)]))
    await annex.open()
    assert annex.node(f"{RUNS}{path}" if path else "Simulation/Run") is None


async def test_a_store_that_is_away_keeps_no_server_from_starting():
    annex, _ = opened(Kept(away=True))
    await annex.open()
    assert len(annex.node(RUNS).references) == 1  # the way back


async def test_the_oldest_results_give_way_where_there_are_too_many(monkeypatch):
    monkeypatch.setattr(runs, "RESULTS_BYTES", 3 * 6 * (8 * 3 + 200))
    annex, _ = opened(Kept([run_of(number) for number in range(5)]))
    await annex.open()
    shown = [annex.node(f"{RUNS}/r{number}/Outputs/a.x/P05") is not None for number in range(5)]
    assert shown == [False, False, True, True, True]
    assert content(annex, "r0/State") == "done"
