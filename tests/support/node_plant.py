"""A plant on node-opcua in a child process: tests/node/server.mjs."""

import asyncio
import os
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from support.ports import free_port

SCRIPT = Path(__file__).parents[1] / "node" / "server.mjs"


class NodePlant:
    """server.mjs as a child; say() sends a command and gives its answer."""

    def __init__(self, node, port, folder):
        self._node, self._port, self._folder = node, port, folder
        self.url = f"opc.tcp://127.0.0.1:{port}/plant"

    async def start(self):
        self._child = await asyncio.create_subprocess_exec(
            self._node.binary,
            SCRIPT,
            str(self._port),
            str(self._folder),
            env=self._node.env,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await self._until("ready", 60)

    async def _until(self, word, within=10):
        async with asyncio.timeout(within):
            while True:
                line = (await self._child.stdout.readline()).decode()
                assert line, "node-opcua ended"
                if line.startswith(word):
                    return line.split()[1:]

    async def say(self, command, answer):
        self._child.stdin.write(f"{command}\n".encode())
        return await self._until(answer)

    async def set(self, name, value):
        await self.say(f"set {name} {value}", "set")

    def signal(self, number):
        os.kill(self._child.pid, number)

    async def kill(self):
        with suppress(ProcessLookupError):
            self._child.kill()
        await self._child.wait()


@asynccontextmanager
async def running(node, folder):
    plant = NodePlant(node, free_port(), folder / "pki-server")
    await plant.start()
    try:
        yield plant
    finally:
        await plant.kill()
