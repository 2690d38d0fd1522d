"""The workers of a daemon: started when they are needed, one job at a time each, killed at a deadline, ended when idle.

Never forked and never a pool: each is a process of its own, so that what one does to itself harms no other.
"""

import asyncio
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import gateway
from gateway.jobs import frames
from gateway.work import Column, Job, JobFailed, JobResult, Progress, Workforce, silent

WAITING: Final = 64  # jobs at most, beside those that are worked on
IDLE_S: Final = 60.0
COMMAND: Final = (sys.executable, "-P", "-m", "gateway.jobs.worker")  # -P: never what lies in the present folder
_ROOT: Final = str(Path(gateway.__file__).parents[1])
_ONE_THREAD: Final = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
_KEPT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "MPLCONFIGDIR", "LD_LIBRARY_PATH")
_LIMIT: Final = 2**20  # bytes of a stream's buffer
_LAST_WORDS: Final = 2000  # characters of stderr
_END_S: Final = 2.0


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Worker:
    """One process. job counts what it was given."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.idle: asyncio.TimerHandle | None = None
        self.job = 0
        self._words: deque[bytes] = deque(maxlen=20)
        self._listening = asyncio.create_task(self._listen(), name=f"worker {process.pid}: stderr")

    async def _listen(self) -> None:
        assert self.process.stderr is not None
        while chunk := await self.process.stderr.read(4096):
            self._words.append(chunk)

    async def last_words(self) -> str:
        """The end of what it said on stderr, once it is gone."""
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._listening), 1.0)
        return b"".join(self._words).decode("utf-8", "replace").strip()[-_LAST_WORDS:]

    async def work(self, job: Job, progress: Progress) -> tuple[Mapping[str, Any], Mapping[str, Column]]:
        """Raises JobFailed with `refused` or `error` where the worker goes on, any other reason where it is of no more use."""
        self.job += 1
        header = {"job": self.job, "kind": job.kind, "args": job.args, "seed": job.seed, "deadline_s": job.deadline_s}
        try:
            pieces = frames.encode(header, job.arrays)
        except (TypeError, ValueError) as fault:
            raise JobFailed("refused", str(fault)) from None
        assert self.process.stdin is not None
        with suppress(ConnectionError):  # it died: the end of its output says so
            self.process.stdin.writelines(pieces)
            await self.process.stdin.drain()
        while True:
            header, arrays = await self._answer()
            if header.get("job") != self.job:
                raise JobFailed("nonsense", f"an answer to job {header.get('job')!r}")
            if "progress" in header:
                progress(_share(header["progress"]))
            elif isinstance(values := header.get("result"), dict):
                return values, arrays
            else:
                raise _failure(header.get("failure"))

    async def _answer(self) -> tuple[dict[str, Any], dict[str, Column]]:
        assert self.process.stdout is not None
        try:
            message = await frames.receive(self.process.stdout)
        except frames.Nonsense as fault:
            raise JobFailed("nonsense", f"the worker wrote {fault}") from None
        if message is None:
            code = await self.process.wait()
            words = await self.last_words()
            how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
            raise JobFailed("died", f"the worker ended {how}" + (f": {words.splitlines()[-1]}" if words else ""))
        return message

    def kill(self) -> None:
        if self.idle is not None:
            self.idle.cancel()
        with suppress(ProcessLookupError):
            self.process.kill()

    async def gone(self) -> None:
        """Waits for its end; its pipes are closed."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        await self.process.wait()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._listening, _END_S)


class Workers:
    """Jobs of `gateway.work`. most: how many at once, by default one less than there are cores, and one at least."""

    def __init__(self, most: int | None = None, *, idle_s: float = IDLE_S, command: Sequence[str] = COMMAND) -> None:
        self.most = max(1, cores() - 1) if most is None else most
        self._idle_s, self._command = idle_s, tuple(command)
        self._room = asyncio.Semaphore(self.most)
        self._all: set[_Worker] = set()
        self._free: list[_Worker] = []
        self._ending: set[asyncio.Task[None]] = set()
        self._waiting = self._busy = self._done = self._failed = 0
        self._closed = False

    async def run(self, job: Job, progress: Progress = silent) -> JobResult:
        """Raises JobFailed."""
        try:
            result = await self._run(job, progress)
        except BaseException:
            self._failed += 1
            raise
        self._done += 1
        return result

    async def _run(self, job: Job, progress: Progress) -> JobResult:
        if self._closed:
            raise JobFailed("cancelled", "the gateway is stopping")
        if self._waiting >= WAITING:
            raise JobFailed("busy", f"{self._waiting} jobs wait already: try again later")
        self._waiting += 1
        try:
            await self._room.acquire()
        finally:
            self._waiting -= 1
        self._busy += 1
        try:
            return await self._work(await self._worker(), job, progress)
        finally:
            self._busy -= 1
            self._room.release()

    async def _work(self, worker: _Worker, job: Job, progress: Progress) -> JobResult:
        began_s, usable = time.monotonic(), False
        try:
            async with asyncio.timeout(job.deadline_s):
                values, arrays = await worker.work(job, progress)
            usable = True
        except TimeoutError:
            raise JobFailed("deadline", f"it was not done within {job.deadline_s:g} s") from None
        except JobFailed as fault:
            usable = fault.reason in {"refused", "error"}
            raise
        finally:
            if usable and not self._closed:
                self._rest(worker)
            else:
                self._end(worker)
        return JobResult(values, arrays, time.monotonic() - began_s)

    async def _worker(self) -> _Worker:
        """One that is free and alive, or a new one."""
        while self._free:
            worker = self._free.pop()
            if worker.idle is not None:
                worker.idle.cancel()
            if worker.process.returncode is None:
                return worker
            self._end(worker)
        if self._closed:
            raise JobFailed("cancelled", "the gateway is stopping")
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ} | _ONE_THREAD
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (_ROOT, os.environ.get("PYTHONPATH"))))
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, limit=_LIMIT, start_new_session=True
            )
        except OSError as fault:
            raise JobFailed("unstarted", f"no worker could be started: {fault}") from None
        worker = _Worker(process)
        self._all.add(worker)
        return worker

    def _rest(self, worker: _Worker) -> None:
        worker.idle = asyncio.get_running_loop().call_later(self._idle_s, self._dismiss, worker)
        self._free.append(worker)

    def _dismiss(self, worker: _Worker) -> None:
        self._free.remove(worker)
        self._end(worker)

    def _end(self, worker: _Worker) -> None:
        worker.kill()
        self._all.discard(worker)
        task = asyncio.create_task(worker.gone(), name=f"worker {worker.process.pid}: end")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def workforce(self) -> Workforce:
        resident = sum(_resident(worker.process.pid) for worker in self._all)
        return Workforce(len(self._all), self._busy, self._waiting, resident, self._done, self._failed)

    async def close(self) -> None:
        """Ends all workers, and with them their jobs. Idempotent."""
        self._closed = True
        self._free.clear()
        for worker in list(self._all):
            self._end(worker)
        if self._ending:
            await asyncio.wait(self._ending)


def _share(told: object) -> float:
    if not isinstance(told, int | float) or not 0 <= told <= 1:
        raise JobFailed("nonsense", f"a progress of {str(told)[:40]}")
    return float(told)


def _failure(told: object) -> JobFailed:
    if isinstance(told, dict) and told.get("reason") in {"refused", "error"} and isinstance(told.get("why"), str):
        return JobFailed(told["reason"], told["why"])
    return JobFailed("nonsense", "the worker answered neither with a result nor with a failure")


def _resident(pid: int) -> int:
    """Bytes of memory of a process; 0 where it cannot be told."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
