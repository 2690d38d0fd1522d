"""Many pieces of one job at once: in worker processes of this machine, or on a Dask cluster. The pieces come back in their order."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from gateway.jobs.table import Impossible, work
from gateway.jobs.workers import Workers, cores
from gateway.work import Column, Job, JobFailed, JobResult, Progress, Workforce, silent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CONNECT_S: Final = 10.0
HINT: Final = "`pip install edgetwin[dask]`, here and on every machine of the cluster"


class Farm(Protocol):
    """Where pieces are worked on. width: how many at once."""

    width: int

    async def run(self, pieces: Sequence[Job], progress: Progress = silent) -> list[JobResult]:
        """In the order of the pieces. Raises JobFailed of the first that fails; the others are given up."""
        ...


class Local:
    """Worker processes, one for each core."""

    def __init__(self, workers: Workers) -> None:
        self._workers, self.width = workers, workers.most

    def workforce(self) -> Workforce:
        return self._workers.workforce()

    async def run(self, pieces: Sequence[Job], progress: Progress = silent) -> list[JobResult]:
        shares, gate = [0.0] * len(pieces), asyncio.Semaphore(self.width)

        async def one(place: int, job: Job) -> JobResult:
            def told(share: float) -> None:
                shares[place] = share
                progress(sum(shares) / len(shares))

            async with gate:
                result = await self._workers.run(job, told)
            told(1.0)
            return result

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(place, job)) for place, job in enumerate(pieces)]
        except* JobFailed as failed:
            raise failed.exceptions[0] from None
        return [task.result() for task in tasks]


class Cluster:
    """A Dask cluster whose machines have this program installed."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.width = max(1, sum(client.nthreads().values()))

    async def run(self, pieces: Sequence[Job], progress: Progress = silent) -> list[JobResult]:
        futures = [self._client.submit(perform, job.kind, dict(job.args), job.seed, pure=False) for job in pieces]
        try:
            return await asyncio.to_thread(self._gathered, futures, max((job.deadline_s for job in pieces), default=0.0), progress)
        finally:
            self._client.cancel(futures)

    def _gathered(self, futures: list[Any], deadline_s: float, progress: Progress) -> list[JobResult]:
        distributed: Any = import_module("distributed")
        try:
            with self._client.as_current():
                for done, _ in enumerate(distributed.as_completed(futures, timeout=deadline_s), 1):
                    progress(done / len(futures))
                found = self._client.gather(futures, errors="raise")
        except TimeoutError:
            raise JobFailed("deadline", f"the cluster was not done within {deadline_s:g} s") from None
        return [_result(*one) for one in found]


def _result(failure: str, values: Mapping[str, Any], arrays: Mapping[str, Column]) -> JobResult:
    if failure:
        raise JobFailed("refused", failure)
    return JobResult(values, arrays, 0.0)


def perform(kind: str, args: Mapping[str, Any], seed: int) -> tuple[str, Mapping[str, Any], Mapping[str, Column]]:
    """A piece, on a machine of the cluster: (why it cannot be, values, arrays)."""
    try:
        values, arrays = work(kind)(args, {}, np.random.Generator(np.random.PCG64(seed)), silent)
    except Impossible as why:
        return str(why), {}, {}
    return "", values, arrays


@asynccontextmanager
async def farm(cluster: str | None = None) -> "AsyncIterator[Farm]":
    """A place to work, ended with the block. cluster: the address of a Dask scheduler. Raises JobFailed where it cannot be had."""
    if cluster is None:
        workers = Workers(cores())
        try:
            yield Local(workers)
        finally:
            await workers.close()
        return
    client = await asyncio.to_thread(_connected, cluster)
    try:
        yield Cluster(client)
    finally:
        await asyncio.to_thread(client.close)


def _connected(address: str) -> Any:
    try:
        distributed: Any = import_module("distributed")
    except ImportError:
        raise JobFailed("unstarted", f"a cluster needs Dask, which is not installed here: {HINT}") from None
    try:
        client = distributed.Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as fault:
        raise JobFailed("unstarted", f"no Dask scheduler answers at {address}: {fault}") from None
    if not client.nthreads():
        client.close()
        raise JobFailed("unstarted", f"the Dask scheduler at {address} has no workers")
    return client
