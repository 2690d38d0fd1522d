"""A TCP proxy that loses what it carries: connections are cut, or what the server says falls silent first."""

import asyncio
from contextlib import asynccontextmanager, suppress


class Cutter:
    """Forwards 127.0.0.1:port to a target. Over `control`, "mute" and "cut" (a line each) can be asked for by another process."""

    def __init__(self, target: int) -> None:
        self.target, self.port, self.control = target, 0, 0
        self.cuts = 0
        self._muted = False
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()

    def mute(self) -> None:
        """From now on, until the next cut, nothing that the server says arrives."""
        self._muted = True

    def cut(self) -> None:
        """All connections end at once, without a word."""
        self.cuts += 1
        self._muted = False
        for pair in list(self._pairs):
            for writer in pair:
                writer.transport.abort()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        pair = (writer, far_writer)
        self._pairs.add(pair)
        try:
            await asyncio.gather(self._pump(reader, far_writer, heard=True), self._pump(far_reader, writer, heard=False))
        finally:
            self._pairs.discard(pair)
            for one in pair:
                one.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, heard: bool) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                if heard or not self._muted:
                    writer.write(data)
                    await writer.drain()
        writer.transport.abort()

    async def obey(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while word := (await reader.readline()).decode().strip():
            {"mute": self.mute, "cut": self.cut}[word]()
            writer.write(b"done\n")
        writer.close()


@asynccontextmanager
async def cutter(target: int):
    """A running Cutter; its ports are free ones."""
    made = Cutter(target)
    async with (
        await asyncio.start_server(made.carry, "127.0.0.1", 0) as carrying,
        await asyncio.start_server(made.obey, "127.0.0.1", 0) as obeying,
    ):
        made.port, made.control = (server.sockets[0].getsockname()[1] for server in (carrying, obeying))
        try:
            yield made
        finally:
            made.cut()
