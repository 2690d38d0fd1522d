"""The virtual plant as a process: `python -m gateway.demo.plant`.

Its first line on stdout is JSON with its addresses; then each JSON line on stdin is answered by one on stdout, with the same `id`:

    {"id": 1, "do": "inject", "fault": "freeze", "seconds": 5, "tags": ["production_line.temperature"]}    seconds, tags: optional
    {"id": 2, "do": "clear", "fault": "freeze"}                                                            without fault: all
    {"id": 3, "do": "write", "tag": "production_line.temperature_setpoint", "value": 24}
    {"id": 4, "do": "pause"}, "resume", "status"                                                           pause: nothing is given out
    {"id": 5, "do": "emitted", "path": "/tmp/x.npz", "since_ns": 0}                                        the ledger, see emission.load
    {"id": 6, "do": "stop"}

The end of stdin stops it too, so that it never outlives whoever started it.
"""

import argparse
import asyncio
import json
import logging
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from gateway.contracts import NotConnected
from gateway.demo.faults import FLOOD, Fault
from gateway.demo.line import VirtualLine
from gateway.demo.ports import free_from
from gateway.demo.signals import NAMESPACE
from gateway.settings.units import read_units
from gateway.wire.mqtt.broker import EmbeddedBroker
from gateway.wire.mqtt.sensors import SensorClient
from gateway.wire.opcua.plant import PlantServer, Variable

OPCUA_PORT, MQTT_PORT = 4841, 1883
RACES = 20
Part = TypeVar("Part", PlantServer, EmbeddedBroker)


class Plant:
    """Line, server, broker and the commands that act on them."""

    def __init__(self, seed: int, extra: int) -> None:
        self.line = VirtualLine(seed, extra)
        self._extra, units = extra, read_units()
        self._variables = [
            Variable(one.name, one.type, units.get(one.unit), one.range, one.labels, one.setpoint)
            for one in self.line.signals
            if not one.topic
        ]
        self.broker: EmbeddedBroker | None = None
        self.stopping = asyncio.Event()

    async def listen(self, opcua_port: int, mqtt_port: int, mqtt_url: str | None) -> None:
        """Brings up server and broker (none where there is a broker of one's own). Raises NotConnected, OSError."""
        self.server = await _listening(lambda port: PlantServer(port, NAMESPACE, self._variables, self._written), opcua_port)
        if mqtt_url is None:
            self.broker = await _listening(EmbeddedBroker, mqtt_port)
        self.mqtt_url = self.broker.url if self.broker is not None else mqtt_url or ""
        self.sensors = SensorClient(self.mqtt_url, f"sensors-{self.server.port}")

    async def run(self, commands: asyncio.StreamReader) -> None:
        """Until stop, end of the commands, SIGTERM or SIGINT. Everything listens already."""
        _say({"ready": True, "opcua_url": self.server.url, "mqtt_url": self.mqtt_url, "tags": len(self.line.signals)})
        tasks = [
            asyncio.create_task(self.line.run(self.server, self.sensors)),
            asyncio.create_task(self._keep_faults()),
            asyncio.create_task(self._obey(commands)),
        ]
        stop = asyncio.create_task(self.stopping.wait())
        try:
            done, _ = await asyncio.wait([*tasks, stop], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in [*tasks, stop]:
                task.cancel()
            await asyncio.gather(*tasks, stop, return_exceptions=True)
            await self.sensors.close()
            await self.server.stop()
            if self.broker is not None:
                await self.broker.stop()

    def _written(self, name: str, value: Any) -> None:
        with suppress(KeyError, ValueError):  # a write that the controller ignores; its read-back says so
            self.line.write(name, value, served=True)

    async def _keep_faults(self) -> None:
        """Makes server, broker and access rights follow the faults that hold."""
        refusing = False
        while True:
            now = time.monotonic()
            await self._keep(self.server, Fault.KILL_SOURCE, now)
            if self.broker is not None:
                await self._keep(self.broker, Fault.DISCONNECT_MQTT, now)
            elif self.line.faults.holds(Fault.DISCONNECT_MQTT, now):
                await self.sensors.close()
            refuse = self.line.faults.holds(Fault.REFUSE_WRITE, now)
            if refuse is not refusing:
                await self.server.allow_writes(not refuse)
                refusing = refuse
            await asyncio.sleep(0.05)

    async def _keep(self, part: PlantServer | EmbeddedBroker, fault: Fault, now: float) -> None:
        down = self.line.faults.holds(fault, now)
        if down and part.running:
            await part.stop()
        elif not down and not part.running:
            await part.start()
            if part is self.server:
                self.line.reset_reports()

    async def _obey(self, commands: asyncio.StreamReader) -> None:
        while line := await commands.readline():
            answer: dict[str, Any] = {"id": None}
            try:
                command = json.loads(line)
                answer["id"] = command.get("id")
                answer |= {"ok": True, **await self._do(command)}
            except (ValueError, KeyError, AttributeError, TypeError, OSError) as error:
                answer |= {"ok": False, "why": f"{type(error).__name__}: {error}"}
            _say(answer)
        self.stopping.set()

    async def _do(self, command: dict[str, Any]) -> dict[str, Any]:
        verb = command["do"]
        line = self.line
        if verb == "inject":
            self._inject(Fault(command["fault"]), command.get("seconds"), frozenset(command.get("tags", ())))
        elif verb == "clear":
            line.faults.clear(Fault(command["fault"]) if "fault" in command else None)
        elif verb == "write":
            line.write(command["tag"], command["value"])
        elif verb in ("pause", "resume"):
            line.paused = verb == "pause"
            await line.drained()
        elif verb == "emitted":
            return {"count": line.ledger.save(Path(command["path"]), line.signals, command.get("since_ns", 0))}
        elif verb == "stop":
            self.stopping.set()
        elif verb != "status":
            raise ValueError(f"{verb!r} is not inject, clear, write, pause, resume, emitted, status or stop")
        return {"emitted": len(line.ledger), "dropped": line.dropped, "faults": line.faults.active(time.monotonic())}

    def _inject(self, fault: Fault, seconds: float | None, tags: frozenset[str]) -> None:
        if fault is Fault.FLOOD and self._extra < FLOOD:
            raise ValueError(f"a flood needs {FLOOD} extra tags; the plant was started with {self._extra}")
        self.line.faults.inject(fault, time.monotonic(), seconds, tags)


async def _listening(make: Callable[[int], Part], port: int) -> Part:
    """What listens on the first free port from `port` on, also where another process takes that port in the same moment."""
    for _ in range(RACES):
        port = free_from(port)
        part = make(port)
        try:
            await part.start()
        except NotConnected:
            port += 1
            continue
        return part
    raise NotConnected(f"no port from {port} on stays free")


def _say(words: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


async def _main(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    plant = Plant(options.seed, options.extra)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, plant.stopping.set)
    await plant.listen(options.opcua_port, options.mqtt_port, options.mqtt_url)
    await plant.run(commands)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0, or 1 where a port or file was not to be had."""
    parser = argparse.ArgumentParser(prog="python -m gateway.demo.plant", description="a virtual PV-module line")
    parser.add_argument("--opcua-port", type=int, default=OPCUA_PORT, help="or the next free one")
    parser.add_argument("--mqtt-port", type=int, default=MQTT_PORT, help="of the embedded broker, or the next free one")
    parser.add_argument("--mqtt-url", help="a broker of your own, instead of the embedded one")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--extra", type=int, default=0, help="further tags, for load and floods")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    for name in ("asyncua", "asyncio", "edgetwin.sensors"):  # what they say at the end of a connection helps nobody
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        asyncio.run(_main(options))
    except (NotConnected, OSError) as error:
        sys.stderr.write(f"plant: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
