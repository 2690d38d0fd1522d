"""The running line: steps the virtual plant by the clock and gives its values out over OPC UA and MQTT."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import orjson

from gateway.contracts import NotConnected
from gateway.demo.disturbances import SLOW, Push, disturbed, pushed
from gateway.demo.emission import CYCLE, TICK_MS, Ledger, schedule
from gateway.demo.faults import FLOOD, Fault, Faults
from gateway.demo.physics import MACHINES, Inputs
from gateway.demo.signals import Signal, signals, texts
from gateway.demo.virtual import VirtualPlant
from gateway.model.tag import TagType
from gateway.wire.mqtt.sensors import SensorClient
from gateway.wire.opcua.plant import PlantServer

FLOOD_VALUE: Final = 97.0
WAITING_MESSAGES: Final = 1000
RETRY_S: Final = 0.25
_TICK_S: Final = TICK_MS / 1000.0
Message = tuple[str, bytes, tuple[int, ...], int]


class VirtualLine:
    """Values in `ledger` were given out: written to the address space, or acknowledged by the broker."""

    def __init__(self, seed: int, extra: int) -> None:
        self._plant = VirtualPlant(seed)
        self.signals = signals(self._plant.parameters, extra)
        self.ledger, self.faults, self.inputs = Ledger(), Faults(), Inputs()
        self.paused = False
        self.dropped = 0  # MQTT messages that found no broker
        self._row = {signal.name: row for row, signal in enumerate(self.signals)}
        self._due = schedule(self.signals)
        self._last: list[float | str | None] = [None] * len(self.signals)
        self._last_ns = 0
        self._messages: asyncio.Queue[Message] = asyncio.Queue(WAITING_MESSAGES)

    async def run(self, server: PlantServer, sensors: SensorClient) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tick(server))
            group.create_task(self._publish(sensors))

    def write(self, name: str, value: Any, *, served: bool = False) -> None:
        """A setpoint; held within its range, as a controller would. served: the server holds this value already, a client wrote it there.

        Raises KeyError, ValueError.
        """
        row = self._row[name]
        signal = self.signals[row]
        if not signal.setpoint or signal.range is None:
            raise KeyError(name)
        number = float(value)
        if not np.isfinite(number):
            raise ValueError(f"{name}: {number} is no setpoint")
        held = float(np.clip(number, *signal.range))
        self.inputs = _with_setpoint(self.inputs, name, held)
        self._last[row] = held if served and held == number else None  # read back what the server does not hold yet

    def reset_reports(self) -> None:
        """All values are new again: for a server that was built anew."""
        self._last = [None] * len(self.signals)

    async def drained(self) -> None:
        """Returns when every message has met its fate."""
        await self._messages.join()

    async def _tick(self, server: PlantServer) -> None:
        begin, done = time.monotonic(), 0
        await self._emit(server, range(len(self.signals)))
        while True:
            await asyncio.sleep(max(begin + (done + 1) * _TICK_S - time.monotonic(), 0.0))
            elapsed = max(int((time.monotonic() - begin) / _TICK_S) - done, 1)  # a late tick is a longer step
            self._plant.step(self._acting(time.monotonic()), elapsed * _TICK_S)
            rows = {row for tick in range(done + 1, done + 1 + min(elapsed, CYCLE)) for row in self._due[tick % CYCLE]}
            done += elapsed
            await self._emit(server, sorted(rows))

    def _acting(self, now_s: float) -> Inputs:
        # The inputs, with the script's troubles and the faults that hold on top.
        worn = [(push, share) for fault, push in SLOW.items() if (share := self.faults.grown(fault, now_s))]
        down = [machine for machine in MACHINES if self.faults.holds(Fault.BREAKDOWN, now_s, f"machines.{machine}.state")]
        troubled = disturbed(self.inputs, self._plant.state.time_s)
        return pushed(troubled, [*worn, *((Push(machine=machine), 1.0) for machine in down)])

    async def _emit(self, server: PlantServer, rows: Sequence[int]) -> None:
        if self.paused:
            return
        source_ns = self._instant()
        words = texts(self._plant.state, self._plant.parameters)
        sensed: dict[str, list[int]] = {}
        for row in rows:
            signal = self.signals[row]
            value = self._value(signal, words)
            if signal.topic:
                self._last[row] = self._last[row] if value is None else value
                sensed.setdefault(signal.topic, []).append(row)
            elif value is not None and value != self._last[row] and server.running:
                self._last[row] = value
                self.ledger.add(row, source_ns)
                await server.emit(signal.name, value, source_ns)
        for topic, members in sensed.items():
            self._queue(topic, members, source_ns)

    def _value(self, signal: Signal, words: dict[str, str]) -> float | str | None:
        # None: nothing to give out.
        now = time.monotonic()
        if self.faults.holds(Fault.FREEZE, now, signal.name):
            return None
        if signal.type is TagType.TEXT:
            return words[signal.name]
        if signal.type is TagType.FLOAT and self.faults.holds(Fault.NAN, now, signal.name):
            return float("nan")
        if signal.name.startswith("extra.") and int(signal.name[-4:]) < FLOOD and self.faults.holds(Fault.FLOOD, now):
            return FLOOD_VALUE
        return signal.read(self._plant.state, self.inputs)

    def _instant(self) -> int:
        # Whole milliseconds, which every notation of a time holds exactly; never the same twice.
        self._last_ns = max(time.time_ns() // 1_000_000 * 1_000_000, self._last_ns + 1_000_000)
        return self._last_ns

    def _queue(self, topic: str, rows: list[int], source_ns: int) -> None:
        if self.faults.holds(Fault.FREEZE, time.monotonic()):
            return
        at = datetime.fromtimestamp(source_ns // 1_000_000 / 1000.0, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        fields = {self.signals[row].key: self._last[row] for row in rows}
        try:
            self._messages.put_nowait((topic, orjson.dumps({"timestamp": at, **fields}), tuple(rows), source_ns))
        except asyncio.QueueFull:
            self.dropped += 1

    async def _publish(self, sensors: SensorClient) -> None:
        connected = False
        while True:
            topic, payload, rows, source_ns = await self._messages.get()
            try:
                if not connected:
                    await sensors.connect()
                    connected = True
                await sensors.publish(topic, payload)
            except NotConnected:
                self.dropped += 1
                connected = False
                await sensors.close()
                await asyncio.sleep(RETRY_S)
            else:
                for row in rows:
                    self.ledger.add(row, source_ns)
            finally:
                self._messages.task_done()


def _with_setpoint(inputs: Inputs, name: str, value: float) -> Inputs:
    if name == "production_line.temperature_setpoint":
        return replace(inputs, temperature_setpoint=value)
    if name == "machines.laminator.temperature_setpoint":
        return replace(inputs, laminator_setpoint=value)
    speeds = inputs.speed_setpoint.copy()
    speeds[MACHINES.index(name.split(".")[1])] = value
    return replace(inputs, speed_setpoint=speeds)
