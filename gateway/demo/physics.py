"""The process of a line for photovoltaic modules, as mathematics: climate, heat, vacuum, vibration, materials, power and energy, on top of
what its machines do.

State, the machines' moment and inputs go in, the next state comes out; dt_s and the numpy Generator are arguments. Linear lags and
Ornstein-Uhlenbeck noise are stepped exactly, x' = m + (x - m) e^(-dt/tau) + s sqrt(1 - e^(-2 dt/tau)) z, so that the result does not depend
on the length of the step.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from math import exp, log, sqrt
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Mask = NDArray[np.bool_]

MACHINES: Final = ("stringer", "layup", "laminator", "framer", "flash_tester", "packer")
LAMINATOR: Final = MACHINES.index("laminator")
TESTED: Final = MACHINES.index("flash_tester")
MATERIALS: Final = ("silicon_wafer", "solar_glass")
N: Final = len(MACHINES)
STOPPED_BELOW: Final = 5.0  # % of speed


class MachineState(IntEnum):
    """As the machines' controllers show it."""

    STOPPED = 0
    IDLE = 1  # on a break
    RUNNING = 2
    FAULT = 3  # waits for a repair
    STARVED = 4
    BLOCKED = 5
    JAMMED = 6  # a short stop


@dataclass(frozen=True)
class Moment:
    """What the machines came to: a row per machine, a buffer behind each but the last. Counts never fall."""

    state: Integers
    produced: Integers  # in units of its own: the packer's are pallets
    rejected: Integers  # of those, found defective
    work: Floats  # cycles, with the share of the one that it is at
    cycle_s: Floats
    buffer: Integers
    rate: float  # modules/min that are tested


@dataclass(frozen=True)
class Parameters:
    """The line's constants; arrays have a row per machine or per material."""

    nominal_rate: float = 8.3  # modules/min that the line is made for
    temperature_tau_s: float = -1.0 / log(0.9)  # 0.1 of the distance per second
    temperature_sd: float = 0.1 / sqrt(1.0 - 0.9**2)  # stationary, from 0.1 per second
    temperature_ramp: float = 0.5  # K/s that the climate's target follows its setpoint
    rate_ramp: float = 0.2  # modules/min per second that the displayed rate follows
    standby_kw: Floats = field(default_factory=lambda: np.array([2.0, 1.0, 9.0, 1.5, 1.0, 0.8]))
    running_kw: Floats = field(default_factory=lambda: np.array([19.0, 8.0, 52.0, 11.0, 7.5, 4.5]))  # beside standby, at work, 100 % speed
    climate_kw: float = 3.2
    rise_k: Floats = field(default_factory=lambda: np.array([28.0, 8.0, 0.0, 12.0, 10.0, 6.0]))  # above ambient at 100 % speed
    thermal_tau_s: Floats = field(default_factory=lambda: np.array([25.0, 30.0, 20.0, 30.0, 25.0, 30.0]))
    load_tau_s: float = 4.0  # of drives and heaters behind the machine's work
    draw: Floats = field(default_factory=lambda: np.array([0.5, 0.2]))  # per module
    draw_at: tuple[int, int] = (0, 1)  # wafers go in at the stringer, glass at the layup
    recycled_share: Floats = field(default_factory=lambda: np.array([0.3, 0.6]))  # of the waste
    reorder_below: Floats = field(default_factory=lambda: np.array([300.0, 150.0]))
    delivery: Floats = field(default_factory=lambda: np.array([600.0, 300.0]))
    curing_per_s: float = 0.35  # at 145 Cel
    curing_activation_k: float = 9000.0  # Ea/R
    batch_modules: float = 12.0


@dataclass(frozen=True)
class Inputs:
    """What acts on the line: setpoints, and disturbances on top of them."""

    temperature_setpoint: float = 22.5  # Cel
    laminator_setpoint: float = 145.0  # Cel
    speed_setpoint: Floats = field(default_factory=lambda: np.full(N, 100.0))  # %
    heat: float = 0.0  # K added to what the hall tends to
    draught: float = 0.0  # % of humidity taken away
    leak: float = 0.0  # kPa added to the laminator's vacuum
    plate: float = 0.0  # K by which the laminator's plate is hotter than its setpoint
    loss: float = 0.0  # wafers taken from the stock per minute, beside what the line draws; while any are, none are delivered
    faulty: Mask = field(default_factory=lambda: np.zeros(N, bool))  # machines that are forced into a fault


@dataclass(frozen=True)
class State:
    """The line at one moment. Registers (energy, counts, consumption) never fall."""

    time_s: float
    machines: Moment
    target: float  # the climate's ramped target, Cel
    temperature: float
    ambient: float
    humidity: float
    draught: float
    vacuum: float  # kPa
    leak: float
    progress: float  # of curing, 0..1
    efficiency: float
    defect_rate: float
    rate: float  # modules/min
    speed: Floats  # %
    load: Floats  # share of what the machine draws at work, 100 % speed
    heat: Floats  # Cel, of each machine
    wobble: Floats  # relative noise of each machine's power
    vibration: Floats  # mm/s
    power: Floats  # kW
    energy: Floats  # kW.h
    line_energy: float  # kW.h
    line_power: float
    inventory: Floats
    consumed: Floats
    waste: Floats
    delivered: Floats
    quality: Floats


def start(machines: Moment, parameters: Parameters) -> State:
    """The line as it has run for a while: settled, registers at zero."""
    heat = 22.0 + parameters.rise_k
    heat[LAMINATOR] = 145.0
    power = parameters.standby_kw + parameters.running_kw
    return State(
        time_s=0.0,
        machines=machines,
        target=22.5,
        temperature=22.5,
        ambient=22.0,
        humidity=45.0,
        draught=0.0,
        vacuum=1.2,
        leak=0.0,
        progress=0.0,
        efficiency=0.92,
        defect_rate=0.02,
        rate=machines.rate,
        speed=np.full(N, 100.0),
        load=np.ones(N),
        heat=heat,
        wobble=np.ones(N),
        vibration=np.full(N, 1.8),
        power=power,
        energy=np.zeros(N),
        line_energy=0.0,
        line_power=float(power.sum()) + parameters.climate_kw,
        inventory=np.array([850.0, 420.0]),
        consumed=np.zeros(2),
        waste=np.zeros(2),
        delivered=np.zeros(2),
        quality=np.array([0.95, 0.98]),
    )


def strain(temperature: float) -> float:
    """By how many kelvins the hall is farther from its best temperature than modules bear."""
    return max(abs(temperature - 22.5) - 1.0, 0.0)


def defects(temperature: float) -> float:
    """The share of modules that turn defective in a hall of that temperature."""
    return min(0.02 * exp(0.25 * strain(temperature)), 0.2)


def step(now: State, machines: Moment, inputs: Inputs, dt_s: float, rng: np.random.Generator, parameters: Parameters) -> State:
    """The state dt_s > 0 seconds later, when the machines have come to that. Raises ValueError for a step that is not positive."""
    if not dt_s > 0:
        raise ValueError("a step is longer than nothing")
    z = rng.standard_normal(10 + 3 * N)
    p = parameters
    target = now.target + float(np.clip(inputs.temperature_setpoint - now.target, -p.temperature_ramp * dt_s, p.temperature_ramp * dt_s))
    temperature = _drift(now.temperature, target + inputs.heat, p.temperature_tau_s, p.temperature_sd, dt_s, z[0])
    defect_rate = min(max(_drift(now.defect_rate, defects(temperature), 5.0, 0.001, dt_s, z[1]), 0.0), 0.5)
    speed = _speeds(now, machines, inputs, dt_s)
    load: Floats = _drift(now.load, speed / 100.0 * (machines.state == MachineState.RUNNING), p.load_tau_s, 0.0, dt_s, 0.0)
    wobble = np.clip(_drift(now.wobble, 1.0, 4.0, 0.03, dt_s, z[10 : 10 + N]), 0.5, 1.5)
    power = (p.standby_kw + p.running_kw * load) * wobble * (machines.state != MachineState.STOPPED)
    line_power = float(power.sum()) + p.climate_kw * (1.0 + abs(inputs.temperature_setpoint - temperature) / 5.0)
    rate = now.rate + float(np.clip(machines.rate - now.rate, -p.rate_ramp * dt_s, p.rate_ramp * dt_s))
    used, lost, delivered = _materials(now, machines, inputs, dt_s, p)
    return State(
        time_s=now.time_s + dt_s,
        machines=machines,
        target=target,
        temperature=temperature,
        ambient=_drift(now.ambient, 22.0, 600.0, 0.4, dt_s, z[2]),
        humidity=min(max(_drift(now.humidity, 45.0, 300.0, 1.5, dt_s, z[3]), 0.0), 100.0),
        draught=_drift(now.draught, inputs.draught, 2.0, 0.0, dt_s, 0.0),
        vacuum=max(_drift(now.vacuum, 1.2, 3.0, 0.03, dt_s, z[4]), 0.1),
        leak=_drift(now.leak, inputs.leak, 1.5, 0.0, dt_s, 0.0),
        progress=_cure(now, machines, dt_s, p),
        efficiency=min(max(_drift(now.efficiency, _efficiency(rate, temperature, p), 5.0, 0.004, dt_s, z[5]), 0.0), 1.0),
        defect_rate=defect_rate,
        rate=rate,
        speed=speed,
        load=load,
        heat=_machine_heat(now, inputs, load, dt_s, p, z[10 + N : 10 + 2 * N]),
        wobble=wobble,
        vibration=np.abs(_drift(now.vibration, 0.3 + 1.5 * speed / 100.0 + 4.0 * inputs.faulty, 2.0, 0.1, dt_s, z[10 + 2 * N :])),
        power=power,
        energy=now.energy + power * dt_s / 3600.0,
        line_energy=now.line_energy + line_power * dt_s / 3600.0,
        line_power=line_power,
        inventory=now.inventory - used - lost + delivered,
        consumed=now.consumed + used + lost,
        waste=now.waste + used * defect_rate,
        delivered=now.delivered + delivered,
        quality=np.clip(_drift(now.quality, np.array([0.95, 0.98]), 60.0, 0.005, dt_s, z[6:8]), 0.0, 1.0),
    )


def _drift(x: Any, mean: float | Floats, tau_s: float | Floats, sd: float, dt_s: float, z: float | Floats) -> Any:
    # The exact step of an Ornstein-Uhlenbeck process with stationary deviation sd; a first-order lag where sd is 0.
    phi = np.exp(-dt_s / np.asarray(tau_s))
    moved = mean + (x - mean) * phi + sd * np.sqrt(1.0 - phi * phi) * z
    return moved if isinstance(x, np.ndarray) else float(moved)


def _speeds(now: State, machines: Moment, inputs: Inputs, dt_s: float) -> Floats:
    stuck = (machines.state == MachineState.FAULT) | (machines.state == MachineState.JAMMED)
    wanted = np.where(stuck, 0.0, np.clip(inputs.speed_setpoint, 0.0, 120.0))
    speed: Floats = _drift(now.speed, wanted, np.where(stuck, 0.3, 3.0), 0.0, dt_s, 0.0)
    return speed


def _materials(now: State, machines: Moment, inputs: Inputs, dt_s: float, p: Parameters) -> tuple[Floats, Floats, Floats]:
    # (used, lost, delivered); what is used leaves the stock as the work goes on.
    place = list(p.draw_at)
    used = np.minimum((machines.work[place] - now.machines.work[place]) * p.draw, now.inventory)
    lost = np.array([min(inputs.loss / 60.0 * dt_s, float(now.inventory[0] - used[0])), 0.0])
    short = now.inventory - used < p.reorder_below
    return used, lost, np.where(short & (np.array([inputs.loss, 0.0]) == 0.0), p.delivery, 0.0)


def _efficiency(rate: float, temperature: float, p: Parameters) -> float:
    return 0.92 * min(rate / p.nominal_rate, 1.0) - 0.02 * strain(temperature)


def _machine_heat(now: State, inputs: Inputs, load: Floats, dt_s: float, p: Parameters, z: Floats) -> Floats:
    tends_to = now.ambient + p.rise_k * load
    tends_to[LAMINATOR] = inputs.laminator_setpoint + inputs.plate
    heat: Floats = _drift(now.heat, tends_to, p.thermal_tau_s, 0.15, dt_s, z)
    return heat


def _cure(now: State, machines: Moment, dt_s: float, p: Parameters) -> float:
    # Arrhenius: k(T) = k(145 Cel) exp(Ea/R (1/418.15 - 1/T)); p' = 1 - (1 - p) e^(-k dt). With the cycle it begins anew.
    if int(machines.work[LAMINATOR]) > int(now.machines.work[LAMINATOR]):
        return 0.0
    if machines.state[LAMINATOR] != MachineState.RUNNING:
        return now.progress
    per_s = p.curing_per_s * exp(p.curing_activation_k * (1.0 / 418.15 - 1.0 / (float(now.heat[LAMINATOR]) + 273.15)))
    return 1.0 - (1.0 - now.progress) * exp(-per_s * dt_s)
