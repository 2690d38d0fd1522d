"""Replications on worker processes and on a real Dask cluster: the same bytes, whoever makes them and in however many pieces."""

import asyncio
from dataclasses import replace

import pytest
from distributed import LocalCluster

from gateway.jobs import farm as farms
from gateway.jobs.farm import farm
from gateway.jobs.replications import Target, replicated, until
from gateway.model.line import Line, Machine, Performance, Product, Quality, Reliability, between, exponential, serial
from gateway.simulation.line.figures import figures
from gateway.work import Job, JobFailed

MADE = (
    Machine("filler", exponential(1.0), reliability=Reliability(exponential(60.0), between(2.0, 9.0)), quality=Quality(0.05, 0.8)),
    Machine("packer", exponential(1.1), performance=Performance(0.05, exponential(3.0))),
)
LINE = Line("two", MADE, serial(["filler", "packer"], [4]), Product("sku", selling_price=2.0), duration_s=600.0)
EVENTFUL = replace(LINE, name="cut", machines=(MADE[0], replace(MADE[1], batch_out=2)))


@pytest.fixture(scope="module")
def scheduler():
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1") as cluster:
        yield cluster.scheduler_address


async def test_workers_and_a_cluster_give_the_bytes_of_one_process(scheduler):
    lines = {"plain": LINE, "eventful": EVENTFUL}
    alone = {name: figures(line, 4, range(3, 20)) for name, line in lines.items()}
    shares = []
    async with farm() as local:
        here = await replicated(local, lines, 4, 3, 17, progress=shares.append)
    async with farm(scheduler) as cluster:
        assert cluster.width == 2
        there = await replicated(cluster, lines, 4, 3, 17)
    for name, found in alone.items():
        assert here[name].values.tobytes() == there[name].values.tobytes() == found.values.tobytes()
        assert here[name].names == found.names
        assert (here[name].method, here[name].why) == (there[name].method, there[name].why) == (found.method, found.why)
    assert [here["plain"].method, here["eventful"].method] == ["recursion", "events"]
    assert here["eventful"].why == "packer makes 2 parts at a time"
    assert shares[-1] == pytest.approx(1.0)


async def test_a_target_is_reached_by_more_replications_that_start_with_the_same_ones(scheduler):
    figure = "flow.throughput_per_hour"
    goal = Target(figure, 0.01, relative=True)
    async with farm() as local:
        found = await until(local, LINE, 1, 5, goal, 2000, confidence=0.95)
        few = await until(local, LINE, 1, 5, goal, 12, confidence=0.95)
    async with farm(scheduler) as cluster:
        again = await until(cluster, LINE, 1, 5, goal, 2000, confidence=0.95)
    column = found.column(figure)
    assert 12 < len(column) < 2000
    assert 1.96 * column.std(ddof=1) / len(column) ** 0.5 < 0.01 * column.mean()
    assert again.values.tobytes() == found.values.tobytes()
    assert few.values.tobytes() == found.values[:12].tobytes()


@pytest.mark.parametrize("where", ["here", "there"])
async def test_a_line_that_is_none_is_refused_in_the_words_of_its_fault(where, scheduler):
    wrong = replace(LINE, machines=(MADE[0], replace(MADE[1], quality=Quality(1.5))))
    async with farm(scheduler if where == "there" else None) as place:
        with pytest.raises(JobFailed, match="a probability lies between 0 and 1") as failed:
            await replicated(place, {"": wrong}, 0, 0, 4)
        assert failed.value.reason == "refused"
        assert len((await replicated(place, {"": LINE}, 0, 0, 4))[""].values) == 4


async def test_cancelling_ends_the_pieces(scheduler):
    long = {"": replace(EVENTFUL, duration_s=1e8)}
    async with farm() as local:
        task = asyncio.create_task(replicated(local, long, 0, 0, 4))
        async with asyncio.timeout(10):
            while not local.workforce().busy:  # noqa: ASYNC110 - a worker that begins tells nobody
                await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert local.workforce().busy == 0


async def test_a_cluster_that_is_not_there_is_said_in_words(monkeypatch):
    monkeypatch.setattr(farms, "CONNECT_S", 0.3)
    with pytest.raises(JobFailed, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        async with farm("tcp://127.0.0.1:9"):
            pass


async def test_without_dask_a_cluster_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(JobFailed, match=r"not installed here: `pip install edgetwin\[dask\]`"):
        async with farm("tcp://127.0.0.1:9"):
            pass


async def test_a_piece_past_its_deadline_fails_as_such():
    args = {"line": {}, "seed": 0, "first": 0, "count": 1, "method": "auto"}
    async with farm() as local:
        with pytest.raises(JobFailed, match="deadline"):
            await local.run([Job("line.replicate", args, deadline_s=0.01)])
