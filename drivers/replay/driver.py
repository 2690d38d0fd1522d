"""The replay source as the runner sees it."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from drivers.replay.config import Config
from drivers.replay.table import Chunk, chunks
from gateway.contracts import DriverContext, NotConnected
from gateway.model.batch import SampleBatch

_LOOP_GAP_NS = 1_000_000_000  # between the last sample and the first of the next round


class ReplayDriver:
    """Plays a file. At its end it stays silent, or begins again where it loops."""

    def __init__(self, config: Config, context: DriverContext) -> None:
        self._config, self._context = config, context
        self._chunks: Iterator[Chunk] | None = None
        self._chunk: Chunk | None = None
        self._reading: asyncio.Future[Chunk | None] | None = None
        self._row = 0
        self._first_ns: int | None = None  # source time of the round's first sample
        self._last_ns = 0
        self._began_ns = 0  # gateway's time of the round's first sample
        self._ended = False

    async def connect(self) -> None:
        """Open the file. Raises NotConnected where it is missing or not a recording."""
        await self.close()
        await self._open()

    async def _open(self) -> None:
        self._chunks = chunks(self._config.file, self._context.tags)
        self._first_ns, self._last_ns, self._ended = None, 0, False
        await self._next_chunk()

    async def read(self) -> SampleBatch:
        """What is due; waits for it. Never returns once the file is over and does not loop."""
        while True:
            chunk = self._chunk
            if chunk is None:
                await self._over()
                continue
            if self._row >= chunk.tag_id.size:
                await self._next_chunk()
                continue
            return await self._due(chunk)

    def accept(self, receipt: object) -> None:
        """A file needs no acknowledgement."""

    async def close(self) -> None:
        """Forget the file."""
        reading, self._reading = self._reading, None
        if reading is not None:
            await asyncio.wait([reading])
        self._chunks, self._chunk, self._row = None, None, 0

    async def _over(self) -> None:
        if self._chunks is None:
            raise NotConnected("not connected")
        if not self._ended:
            self._ended = True
            self._context.report.count("rounds")
        if not self._config.loop or self._first_ns is None:
            await asyncio.get_running_loop().create_future()
            return
        again_ns = self._began_ns + round((self._last_ns - self._first_ns + _LOOP_GAP_NS) / self._pace)
        await self._open()
        self._began_ns = again_ns

    @property
    def _pace(self) -> float:
        """Recorded seconds per second; as fast as it is taken, times keep their distances."""
        return 1.0 if self._config.speed == "max" else float(self._config.speed)

    async def _next_chunk(self) -> None:
        assert self._chunks is not None
        if self._reading is None:
            self._reading = asyncio.get_running_loop().run_in_executor(None, next, self._chunks, None)
        try:
            self._chunk = await asyncio.shield(self._reading)  # a cancelled read leaves it to the next one
        except (OSError, ValueError) as fault:
            await self.close()
            raise NotConnected(str(fault)) from fault
        self._reading = None
        self._row = 0
        if self._chunk is not None:
            for name in ("unknown", "wrong"):
                if number := getattr(self._chunk, name):
                    self._context.report.count(f"rows_{name}", number)
            times = self._chunk.source_ns
            if times.size and (bool((np.diff(times) < 0).any()) or int(times[0]) < self._last_ns):
                self._context.report.problem(str(self._config.file), "its rows are not in order of time: sort them by timestamp")

    async def _due(self, chunk: Chunk) -> SampleBatch:
        if self._first_ns is None:
            self._first_ns = int(chunk.source_ns[0])
            self._began_ns = max(self._began_ns, self._context.now_ns())
        if self._config.speed == "max":
            return self._take(chunk, chunk.tag_id.size)
        wait_ns = self._began_ns + round((int(chunk.source_ns[self._row]) - self._first_ns) / self._pace) - self._context.now_ns()
        if wait_ns > 0:
            await asyncio.sleep(wait_ns / 1e9)
        played = (self._context.now_ns() - self._began_ns) * self._pace + self._first_ns
        ahead = np.flatnonzero(chunk.source_ns[self._row :] > played)
        return self._take(chunk, self._row + int(ahead[0]) if ahead.size else chunk.tag_id.size)

    def _take(self, chunk: Chunk, end: int) -> SampleBatch:
        begin, end = self._row, max(end, self._row + 1)
        rows = slice(begin, end)
        self._row, self._last_ns = end, int(chunk.source_ns[end - 1])
        source_ns = chunk.source_ns[rows]
        if self._config.times == "now":
            source_ns = ((source_ns - (self._first_ns or 0)) / self._pace).astype(np.int64) + self._began_ns
        batch = SampleBatch.of(chunk.tag_id[rows], chunk.value[rows], chunk.status[rows], source_ns, received_ns=self._context.now_ns())
        text = {row - begin: words for row, words in chunk.text.items() if begin <= row < end} if chunk.text else {}
        return replace(batch, text=text) if text else batch
