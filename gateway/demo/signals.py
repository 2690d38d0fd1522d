"""Every value that the demo's plant gives out: its name, type, unit, range and way, and how it is read from the line's state."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from gateway.demo.physics import LAMINATOR, MACHINES, MATERIALS, TESTED, Inputs, MachineState, Parameters, State
from gateway.model.tag import TagType

NAMESPACE: Final = "urn:edgetwin:plant"
STATES: Final = {int(state): state.name.lower() for state in MachineState}
LINE_STATES: Final = {code: word for code, word in STATES.items() if code <= MachineState.FAULT}
Read = Callable[[State, Inputs], float]
Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Signal:
    """One value of the plant.

    interval_ms  how often it is given out; OPC UA: only where it changed
    topic        the MQTT topic of its sensor, whose JSON names it by the last segment of name; empty: OPC UA node `s=<name>`
    setpoint     clients may write it
    """

    name: str
    read: Read
    interval_ms: int
    type: TagType = TagType.FLOAT
    unit: str = ""
    range: Range | None = None
    topic: str = ""
    labels: dict[int, str] = field(default_factory=dict)
    setpoint: bool = False

    @property
    def key(self) -> str:
        return self.name.rsplit(".", 1)[1]

    @property
    def address(self) -> str:
        """As a tag of the configuration writes it."""
        return f"{self.topic}#/{self.key}" if self.topic else f"nsu={NAMESPACE};s={self.name}"


def signals(parameters: Parameters, extra: int = 0) -> tuple[Signal, ...]:
    """The demo's signals, and `extra` more on OPC UA (`extra.g000.t0000` ...), each a sine of its own around 50 %."""
    line = [*_line(), *_laminator(), *(signal for row in range(len(MACHINES)) for signal in _machine(row))]
    return (*line, *_buffers(), *_materials(parameters), *_environment(), *(_extra(number) for number in range(extra)))


def texts(state: State, parameters: Parameters) -> dict[str, str]:
    """The text signals' words."""
    batch = int(_good(state) // parameters.batch_modules) + 1
    return {"production_line.batch_id": f"PV-{batch:05d}", "machines.laminator.recipe": "EVA 145" if batch % 2 else "POE 150"}


def values(chosen: tuple[Signal, ...], state: State, inputs: Inputs) -> NDArray[np.float64]:
    """float64[n] of the signals in their order; NaN for text."""
    return np.array([signal.read(state, inputs) for signal in chosen], np.float64)


def _line() -> list[Signal]:
    line = "production_line."
    return [
        Signal(line + "status", lambda s, _: float(_line_status(s)), 500, TagType.ENUM, labels=LINE_STATES),
        Signal(line + "temperature", lambda s, _: s.temperature, 100, unit="Cel", range=(0.0, 60.0)),
        Signal(line + "temperature_setpoint", lambda _, i: i.temperature_setpoint, 500, unit="Cel", range=(15.0, 35.0), setpoint=True),
        Signal(line + "power", lambda s, _: s.line_power, 200, unit="kW", range=(0.0, 300.0)),
        Signal(line + "energy_consumption", lambda s, _: s.line_energy, 1000, unit="kW.h", range=(0.0, 1e6)),
        Signal(line + "production_rate", lambda s, _: s.rate, 500, unit="{unit}/min", range=(0.0, 15.0)),
        Signal(line + "efficiency", lambda s, _: s.efficiency, 1000, unit="1", range=(0.0, 1.0)),
        Signal(line + "defect_rate", lambda s, _: s.defect_rate, 1000, unit="1", range=(0.0, 1.0)),
        Signal(line + "quality", lambda s, _: 1.0 - s.defect_rate, 1000, unit="1", range=(0.0, 1.0)),
        Signal(line + "cycle_time", lambda s, _: 60.0 / max(s.rate, 0.1), 1000, unit="s", range=(0.0, 600.0)),
        Signal(line + "reaction_progress", lambda s, _: s.progress, 200, unit="1", range=(0.0, 1.0)),
        Signal(line + "good_count", lambda s, _: float(_good(s)), 1000, TagType.INT),
        Signal(line + "reject_count", lambda s, _: float(s.machines.rejected.sum()), 1000, TagType.INT),
        Signal(line + "batch_id", lambda *_: np.nan, 1000, TagType.TEXT),
        Signal(line + "fault", lambda s, _: float((s.machines.state == MachineState.FAULT).any()), 500, TagType.BOOL),
    ]


def _good(state: State) -> int:
    # modules that passed the flash tester
    return int(state.machines.produced[TESTED] - state.machines.rejected[TESTED])


def _line_status(state: State) -> MachineState:
    shown = state.machines.state
    if (shown == MachineState.FAULT).any():
        return MachineState.FAULT
    if (shown == MachineState.STOPPED).all():
        return MachineState.STOPPED
    return MachineState.RUNNING if (shown == MachineState.RUNNING).any() else MachineState.IDLE


def _laminator() -> list[Signal]:
    return [
        Signal(
            "machines.laminator.temperature_setpoint",
            lambda _, i: i.laminator_setpoint,
            500,
            unit="Cel",
            range=(100.0, 170.0),
            setpoint=True,
        ),
        Signal("machines.laminator.vacuum", lambda s, _: s.vacuum + s.leak, 100, unit="kPa", range=(0.0, 110.0)),
        Signal("machines.laminator.recipe", lambda *_: np.nan, 1000, TagType.TEXT),
    ]


def _machine(row: int) -> list[Signal]:
    prefix = f"machines.{MACHINES[row]}."
    hot = (0.0, 200.0) if row == LAMINATOR else (0.0, 100.0)
    sensor = f"cell/{MACHINES[row]}/vibration"
    return [
        Signal(prefix + "state", lambda s, _: float(s.machines.state[row]), 200, TagType.ENUM, labels=STATES),
        Signal(prefix + "temperature", lambda s, _: float(s.heat[row]), 500, unit="Cel", range=hot),
        Signal(prefix + "power", lambda s, _: float(s.power[row]), 500, unit="kW", range=(0.0, 100.0)),
        Signal(prefix + "energy", lambda s, _: float(s.energy[row]), 1000, unit="kW.h", range=(0.0, 1e6)),
        Signal(prefix + "cycle_time", lambda s, _: float(s.machines.cycle_s[row]), 1000, unit="s", range=(0.0, 600.0)),
        Signal(prefix + "produced", lambda s, _: float(s.machines.produced[row]), 500, TagType.INT),
        Signal(prefix + "rejected", lambda s, _: float(s.machines.rejected[row]), 500, TagType.INT),
        Signal(prefix + "good_count", lambda s, _: float(s.machines.produced[row] - s.machines.rejected[row]), 1000, TagType.INT),
        Signal(prefix + "reject_count", lambda s, _: float(s.machines.rejected[row]), 1000, TagType.INT),
        Signal(prefix + "speed", lambda s, _: float(s.speed[row]), 500, unit="%", range=(0.0, 120.0)),
        Signal(prefix + "speed_setpoint", lambda _, i: float(i.speed_setpoint[row]), 500, unit="%", range=(0.0, 120.0), setpoint=True),
        Signal(prefix + "fault", lambda s, _: float(s.machines.state[row] == MachineState.FAULT), 200, TagType.BOOL),
        Signal(prefix + "vibration", lambda s, _: float(s.vibration[row]), 500, unit="mm/s", range=(0.0, 50.0), topic=sensor),
    ]


def _buffers() -> list[Signal]:
    return [Signal(f"buffers.{a}_{b}", _level(row), 500, TagType.INT) for row, (a, b) in enumerate(pairwise(MACHINES))]


def _level(row: int) -> Read:
    return lambda s, _: float(s.machines.buffer[row])


def _materials(parameters: Parameters) -> list[Signal]:
    return [signal for row in range(len(MATERIALS)) for signal in _material(row, float(parameters.recycled_share[row]))]


def _material(row: int, recycled: float) -> list[Signal]:
    prefix, topic = f"materials.{MATERIALS[row]}.", f"cell/materials/{MATERIALS[row]}"
    return [
        Signal(prefix + "inventory", lambda s, _: float(s.inventory[row]), 1000, unit="1", range=(0.0, 5000.0), topic=topic),
        Signal(prefix + "quality", lambda s, _: float(s.quality[row]), 1000, unit="1", range=(0.0, 1.0), topic=topic),
        Signal(prefix + "consumption", lambda s, _: float(s.consumed[row]), 1000, unit="1", range=(0.0, 1e7), topic=topic),
        Signal(prefix + "waste", lambda s, _: float(s.waste[row]), 1000, unit="1", range=(0.0, 1e7), topic=topic),
        Signal(prefix + "recycled", lambda s, _: float(s.waste[row]) * recycled, 1000, unit="1", range=(0.0, 1e7), topic=topic),
    ]


def _environment() -> list[Signal]:
    topic = "cell/environment"
    return [
        Signal("environment.temperature", lambda s, _: s.ambient, 500, unit="Cel", range=(-20.0, 60.0), topic=topic),
        Signal("environment.humidity", lambda s, _: max(s.humidity - s.draught, 0.0), 500, unit="%", range=(0.0, 100.0), topic=topic),
    ]


def _extra(number: int) -> Signal:
    def sine(state: State, _: Inputs) -> float:
        return float(50.0 + 20.0 * np.sin(state.time_s / 5.0 + number))

    return Signal(f"extra.g{number // 100:03d}.t{number:04d}", sine, 1000, unit="%", range=(0.0, 100.0))
