"""A line that makes photovoltaic modules: temperature, rate, power and energy, materials, quality, the room, the cure of the laminate.

Its configuration is SIMULATION_PARAMETERS, whose figures are per step of the line's own clock, `step_s` seconds; here they become rates and
time constants, so that any step of a simulation means the same process. Nothing is rounded on the way.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from gateway.simulation.process.arrhenius import ArrheniusConversion
from gateway.simulation.process.balance import MaterialBalance
from gateway.simulation.process.line import Line, Part, changed
from gateway.simulation.process.linear import FirstOrder
from gateway.simulation.process.model import MEASUREMENT_NOISE, Array, ModelError, Parameter, Process, finite, step_of, unknown
from gateway.simulation.process.power import HOUR_S, STATES, StatePower
from gateway.simulation.process.thermal import Room

DEFAULTS: Final[Mapping[str, float]] = MappingProxyType(
    {
        "temperature_increment": 0.5,  # K per step: the most that the target moves
        "energy_consumption_increment": 2.0,  # kW.h per step while running
        "production_rate_increment": 0.2,  # units/min per step: the most that the rate moves
        "default_simulation_steps": 10.0,
        "target_temperature": 22.5,  # Cel
        "temperature_regulation": 0.1,  # share of the distance to the target per step
        "silicon_wafer_consumption_rate": 0.5,  # per unit
        "solar_glass_consumption_rate": 0.2,  # per unit
        "step_s": 60.0,
        "temperature_noise": 0.1,  # K, standard deviation of a step
        "energy_noise": 0.1,  # relative standard deviation of power
        "idle_share": 0.3,  # power when idle over power when running
        "defect_rate": 0.02,
        "efficiency": 0.92,
        "quality_noise": 0.002,  # standard deviation of the defect rate
        "reaction_rate": 0.05,  # per step at 20 Cel
        "measurement_noise": 0.0,  # K
    }
)
STEPS: Final = int(DEFAULTS["default_simulation_steps"])
START: Final[Mapping[str, float]] = MappingProxyType(
    {
        "production_line.status": 1.0,
        "production_line.setpoint": 22.5,
        "production_line.target_rate": 8.3,
        "production_line.temperature": 22.5,
        "production_line.energy": 120.5,
        "production_line.production_rate": 8.3,
        "materials.silicon_wafer": 850.0,
        "materials.solar_glass": 420.0,
        "environment.temperature": 22.0,
        "environment.humidity": 45.0,
    }
)
"""A line at work: inputs (status 0 stopped, 1 running, 2 idle; setpoint; target_rate in units/min) and states."""


class Ramp(Process):
    """y goes towards its input by at most `most` per second; where gate is not 1 (running), towards 0."""

    inputs: tuple[str, ...] = ("u", "gate")
    defaults = MappingProxyType({"most": 1.0, MEASUREMENT_NOISE: 0.0})
    positive = frozenset({"most"})

    def initial(self, given: Mapping[str, float], runs: int) -> Array:
        """y, else the input where it is known."""
        return super().initial({"y": given.get("u", 0.0), **given}, runs)

    def step(self, x: Array, u: Array, dt_s: float, noise: Array | None) -> Array:  # noqa: ARG002 - it has no noise
        """Exact."""
        target = np.where(np.rint(u[:, 1]) == 1.0, u[:, 0], 0.0)
        reach = self.parameters["most"] * dt_s
        return np.asarray(x[:, 0] + np.clip(target - x[:, 0], -reach, reach))[:, None]


class Target(Ramp):
    """y goes towards its input by at most `most` per second, always."""

    inputs: tuple[str, ...] = ("u",)

    def step(self, x: Array, u: Array, dt_s: float, noise: Array | None) -> Array:
        """Exact."""
        return super().step(x, np.concatenate([u, np.ones_like(u)], axis=1), dt_s, noise)


class Quality(Process):
    """defect_rate and efficiency by temperature: best at `best` Cel, worse by the square of the distance; both fluctuate together.

    defects and efficiency are the best values, slope the defects per K^2, spread the standard deviation of the fluctuation, tau s its time.
    """

    states = ("wobble",)
    outputs = ("defect_rate", "efficiency")
    inputs = ("temperature",)
    noises = 1
    defaults = MappingProxyType(
        {"defects": 0.02, "efficiency": 0.92, "best": 22.5, "slope": 0.002, "spread": 0.002, "tau": 600.0, MEASUREMENT_NOISE: 0.0}
    )
    positive = frozenset({"tau"})
    not_negative = frozenset({"defects", "efficiency", "slope", "spread"})

    @property
    def fastest_s(self) -> float:
        """tau."""
        return float(np.min(self.parameters["tau"]))

    def initial(self, given: Mapping[str, float], runs: int) -> Array:
        """wobble alone: the outputs are made of it and the temperature."""
        return super().initial({name: value for name, value in given.items() if name not in self.outputs}, runs)

    def step(self, x: Array, u: Array, dt_s: float, noise: Array | None) -> Array:  # noqa: ARG002 - temperature acts at once
        """Exact."""
        keep = np.exp(-dt_s / np.asarray(self.parameters["tau"]))
        after = x[:, 0] * keep
        if noise is not None:
            after = after + self.parameters["spread"] * np.sqrt(1 - keep**2) * noise[:, 0]
        return np.asarray(after)[:, None]

    def observe(self, x: Array, u: Array, noise: Array | None) -> Array:  # noqa: ARG002 - shares are not measured
        """Shares, each between 0 and 1."""
        p = self.parameters
        worse = p["slope"] * (u[:, 0] - p["best"]) ** 2 + x[:, 0]
        return np.clip(np.stack([p["defects"] + worse, p["efficiency"] - worse], axis=1), 0.0, 1.0)


def plain(value: npt.ArrayLike) -> Parameter:
    """A number, or one for each run."""
    found = np.asarray(value, np.float64)
    return found if found.ndim else float(found)


class PvLine(Line):
    """The line of a configuration; what is not named has its default. Raises ModelError for an unknown key or a figure that cannot be.

    Its parameters are the keys of the configuration and those of its parts, <part>.<parameter>, which go before what the keys say of them.
    Inputs: production_line.{status, setpoint, target_rate}, environment.{heat, moisture}, materials.<material>_feed (per second). Outputs:
    production_line.{temperature (Cel), production_rate (units/min), power (kW), energy (kW.h), defect_rate, efficiency, reaction_progress},
    materials.{silicon_wafer, solar_glass, good, scrap, ...}, environment.{temperature (Cel), humidity (%)}.
    """

    defaults = DEFAULTS

    def __init__(self, parameters: Mapping[str, Parameter] | None = None) -> None:
        given = dict(parameters or {})
        self._keys = {name: value for name, value in given.items() if "." not in name}
        self._own = {name: value for name, value in given.items() if name not in self._keys}
        unknown(self._keys, DEFAULTS, "key of SIMULATION_PARAMETERS")
        c: dict[str, Parameter] = {**DEFAULTS, **self._keys}
        finite(c, "SIMULATION_PARAMETERS")
        if not (np.all(np.asarray(c["temperature_regulation"]) > 0) and np.all(np.asarray(c["temperature_regulation"]) < 1)):
            raise ModelError("temperature_regulation lies between 0 and 1")
        if not np.all(np.asarray(c["step_s"]) > 0):
            raise ModelError("step_s is a length of time and must be positive")
        parts = [*_process(c), *_flows(c)]
        super().__init__(changed(parts, self._own))
        unknown(self._own, self.parameters, "parameter")
        self.parameters = MappingProxyType({**c, **self.parameters})

    def at(self, dt_s: float) -> Line:
        """Itself: it has no dead time."""
        step_of(dt_s)
        return self

    def with_parameters(self, parameters: Mapping[str, Parameter]) -> Self:
        """Keys of the configuration, parameters of the parts, or both."""
        unknown(parameters, self.parameters, "parameter")
        return type(self)({**self._keys, **self._own, **parameters})


def pv_line(config: Mapping[str, float] | None = None) -> PvLine:
    """The line of a configuration, SIMULATION_PARAMETERS by key. Raises ModelError."""
    return PvLine(config)


def _process(c: Mapping[str, Parameter]) -> list[Part]:
    step_s, keep = c["step_s"], 1 - c["temperature_regulation"]
    tau = plain(-step_s / np.log(keep))
    noise = plain(c["temperature_noise"] / np.sqrt(tau / 2 * (1 - keep**2)))
    name = "production_line"
    regulated = FirstOrder({"tau": tau, "process_noise": noise, MEASUREMENT_NOISE: c["measurement_noise"]})
    quality = Quality(
        {"defects": c["defect_rate"], "efficiency": c["efficiency"], "best": c["target_temperature"], "spread": c["quality_noise"]}
    )
    return [
        Part("target", Target({"most": c["temperature_increment"] / step_s}), {"u": f"{name}.setpoint"}, {"y": f"{name}.target"}),
        Part("temperature", regulated, {"u": f"{name}.target"}, {"y": f"{name}.temperature"}),
        Part(
            "rate",
            Ramp({"most": c["production_rate_increment"] / step_s}),
            {"u": f"{name}.target_rate", "gate": f"{name}.status"},
            {"y": f"{name}.production_rate"},
        ),
        Part("quality", quality, {"temperature": f"{name}.temperature"}, {out: f"{name}.{out}" for out in Quality.outputs}),
        Part(
            "reaction",
            ArrheniusConversion({"k_ref": c["reaction_rate"] / step_s}),
            {"temperature": f"{name}.temperature"},
            {"conversion": f"{name}.reaction_progress"},
        ),
    ]


def _flows(c: Mapping[str, Parameter]) -> list[Part]:
    step_s, name = c["step_s"], "production_line"
    running = c["energy_consumption_increment"] * HOUR_S / step_s
    power = StatePower(STATES, {"running": running, "idle": c["idle_share"] * running, "wobble": c["energy_noise"], "wobble_tau": step_s})
    draws = {f"{m}_draw": c[f"{m}_consumption_rate"] for m in ("silicon_wafer", "solar_glass")}
    materials = MaterialBalance(("silicon_wafer", "solar_glass"), {**draws, "rate_s": 60.0})
    return [
        Part(
            "power",
            power,
            {"state": f"{name}.status", "rate": f"{name}.production_rate"},
            {"power": f"{name}.power", "energy": f"{name}.energy"},
        ),
        Part("materials", materials, {"rate": f"{name}.production_rate", "defects": f"{name}.defect_rate"}),
        Part("environment", Room()),
    ]
