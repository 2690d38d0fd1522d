"""The kinds of process models that `models:` knows: a name, and what makes one from parameters."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from gateway.simulation.plugged import model_class, places
from gateway.simulation.process.arrhenius import ArrheniusConversion, Reaction
from gateway.simulation.process.arx import NamedArx
from gateway.simulation.process.balance import EnergyRegister, Integrator, Inventory, MaterialBalance
from gateway.simulation.process.equations import FASTEST, Equations
from gateway.simulation.process.linear import FirstOrder, FirstOrderDeadTime, OrnsteinUhlenbeck, SecondOrder, SecondOrderDeadTime
from gateway.simulation.process.model import MEASUREMENT_NOISE, Model, ModelError, Process, unknown
from gateway.simulation.process.power import StatePower
from gateway.simulation.process.pv_line import PvLine
from gateway.simulation.process.thermal import NewtonCooling, Room


@dataclass(frozen=True, slots=True)
class Kind:
    """seconds: parameters that are times; noise: the parameter that process noise is, where the model has one of that name.

    own: of a model of equations, all its parameters.
    """

    make: Callable[[Mapping[str, float]], Process | PvLine]
    seconds: frozenset[str] = frozenset()
    noise: str = "process_noise"
    own: frozenset[str] | None = None

    @property
    def parameters(self) -> Mapping[str, float]:
        """With their defaults."""
        return self.make({}).defaults if self.own is None else dict.fromkeys(self.own, 0.0)

    @property
    def noises(self) -> Mapping[str, str]:
        """The words under `noise:` -> parameters."""
        found, known = {"process": self.noise, "measurement": MEASUREMENT_NOISE}, self.parameters
        return {word: name for word, name in found.items() if name in known}


def _state_power(parameters: Mapping[str, float]) -> Process:
    return StatePower(parameters=parameters)


def _material_balance(parameters: Mapping[str, float]) -> Process:
    return MaterialBalance(parameters=parameters)


class _Kinds(Mapping[str, Kind]):
    """The product's own kinds, and those of others by entry point, which are loaded when they are asked for."""

    def __init__(self, own: Mapping[str, Kind]) -> None:
        self._own = own

    def __getitem__(self, word: str) -> Kind:
        if word in self._own:
            return self._own[word]
        if word not in places():
            raise KeyError(word)
        made = model_class(word)
        return Kind(made, made.seconds)

    def __iter__(self) -> Iterator[str]:
        return iter([*self._own, *(word for word in places() if word not in self._own)])

    def __len__(self) -> int:
        return len({*self._own, *places()})


KINDS: Final[Mapping[str, Kind]] = _Kinds(
    {
        "first_order": Kind(FirstOrder, frozenset({"tau"})),
        "first_order_dead_time": Kind(FirstOrderDeadTime, frozenset({"tau", "theta"})),
        "second_order": Kind(SecondOrder, frozenset({"tau"})),
        "second_order_dead_time": Kind(SecondOrderDeadTime, frozenset({"tau", "theta"})),
        "ornstein_uhlenbeck": Kind(OrnsteinUhlenbeck, noise="s"),
        "integrator": Kind(Integrator),
        "energy_register": Kind(EnergyRegister),
        "inventory": Kind(Inventory),
        "newton_cooling": Kind(NewtonCooling),
        "arrhenius_conversion": Kind(ArrheniusConversion),
        "reaction": Kind(Reaction, Reaction.seconds),
        "room": Kind(Room, frozenset({"temperature_tau", "humidity_tau"})),
        "state_power": Kind(_state_power, frozenset({"wobble_tau"}), "wobble"),
        "material_balance": Kind(_material_balance, frozenset({"rate_s"})),
        "arx": Kind(NamedArx, NamedArx.seconds),
        "pv_line": Kind(PvLine, frozenset({"step_s"})),
    }
)


def loadable() -> dict[str, Kind]:
    """All kinds but those of others that cannot be loaded; who names one of these in a configuration is told why."""
    found = dict[str, Kind]()
    for word in KINDS:
        with suppress(ModelError):
            found[word] = KINDS[word]
    return found


EQUATIONS: Final = "equations"
"""The kind whose states and outputs stand in the configuration."""


def of_equations(names: Collection[str]) -> Kind:
    """The kind of a model with equations and parameters of its own; each of them may be a time."""
    own = frozenset({*names, FASTEST})
    return Kind(FirstOrder, own, own=own | {"process_noise", MEASUREMENT_NOISE})


def build(kind: str, parameters: Mapping[str, float], equations: Mapping[str, Mapping[str, str]]) -> Model:
    """The model; equations: `states` and, where there are, `outputs`. Raises ModelError that names what is wrong."""
    if kind == EQUATIONS:
        return Equations(equations.get("states", {}), equations.get("outputs"), parameters=parameters)
    unknown([kind], [*KINDS, EQUATIONS], "kind of model")
    if equations:
        raise ModelError(f"a model of kind {kind} has no equations")
    return KINDS[kind].make(parameters)
