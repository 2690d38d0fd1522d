"""What the accounts of a real line come to: the figures of a run's summary, by the same functions, with the coverage of their inputs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gateway.model.line import SINK, Line, MachineState
from gateway.simulation.line.bottleneck import Bottleneck, found, periods
from gateway.simulation.line.ideal import Pace, pace
from gateway.simulation.line.measured import UNKNOWN, Account
from gateway.simulation.line.money import economics
from gateway.simulation.line.oee import Oee, losses, of_line, of_machine
from gateway.simulation.line.topology import final_forms, finished_units, order, units_per_part

Accounts = Mapping[str, Account]
"""Of one period, by machine. A machine that is not tied to tags has none."""
NOTHING = Oee(math.nan, math.nan, math.nan, math.nan, 0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Shape:
    """What the figures need of a line, worked out once. units: raw parts in one part that a machine makes; each: in one finished unit."""

    line: Line
    order: tuple[str, ...]
    last: frozenset[str]  # machines that feed the sink
    final: frozenset[str]  # machines whose parts have their final form
    units: Mapping[str, float]
    each: float
    pace: Pace

    @classmethod
    def of(cls, line: Line) -> "Shape":
        """Of a line that was checked."""
        forms = final_forms(line)
        return cls(
            line,
            tuple(order(line)),
            frozenset(edge.origin for edge in line.edges if edge.target == SINK),
            frozenset(machine.name for machine in line.machines if machine.output in forms),
            units_per_part(line),
            finished_units(line),
            pace(line),
        )


def figures(shape: Shape, accounts: Accounts) -> dict[str, Any]:
    """{"line": {...}, "machines": {name: {...}}} as in a summary; NaN where there is nothing to divide by."""
    each = {machine.name: of_machine(machine, one.seconds, one.made, one.bad) for machine, one in _tied(shape.line, accounts)}
    machines = {name: _machine(shape, name, accounts[name], each[name]) for name in each}
    return {"line": _line(shape, accounts, each), "machines": machines}


def _tied(line: Line, accounts: Accounts) -> list[tuple[Any, Account]]:
    return [(machine, accounts[machine.name]) for machine in line.machines if machine.name in accounts]


def _machine(shape: Shape, name: str, account: Account, figure: Oee) -> dict[str, Any]:
    machine = next(one for one in shape.line.machines if one.name == name)
    whole_s = sum(account.spent_ns) / 1e9
    seconds = {state.value: spent for state, spent in account.seconds.items()}
    good = account.produced - account.rejected
    found = {"oee": asdict(figure), "time_in_state_s": seconds}
    return {
        **found,
        "losses": losses(found),
        "uncovered_s": account.spent_ns[UNKNOWN] / 1e9,
        "coverage": account.coverage,
        "made": account.produced,
        "rejected": account.rejected,
        "good": good,
        "conversion_cost": machine.rates.per_hour * whole_s / 3600.0,
        "energy_kwh": account.energy_kwh,
        "energy_per_good_kwh": account.energy_kwh / good if good > 0 else math.nan,
    }


def _line(shape: Shape, accounts: Accounts, each: Mapping[str, Oee]) -> dict[str, Any]:
    line, units = shape.line, shape.units
    slowest = shape.pace.slowest
    most = max(slowest, key=lambda name: slowest[name])
    slow = most if set(slowest) <= set(each) else ""
    good = sum(units[name] * (one.made - one.bad) for name, one in accounts.items() if name in shape.last)
    scrapped = sum(units[name] * one.bad for name, one in accounts.items())
    figure = of_line(shape.pace, each, good, scrapped) if slow else NOTHING
    right = sum(one.produced - one.rejected for name, one in accounts.items() if name in shape.last)
    wrong = sum(one.rejected for name, one in accounts.items() if name in shape.final)
    before = sum(units[name] * one.rejected for name, one in accounts.items() if name not in shape.final) / shape.each
    seconds = max((sum(one.spent_ns) for one in accounts.values()), default=0) / 1e9
    others = [0] * len(line.products)
    money = economics(line, [right, *others], [wrong, *others], [before, *(0.0 for _ in others)], seconds)
    energy = math.fsum(one.energy_kwh for one in accounts.values())
    return {
        "oee": asdict(figure),
        "coverage": min((one.coverage for one in accounts.values()), default=0.0),
        "elapsed_s": seconds,
        "good": right,
        "rejected": wrong,
        "scrapped_units": before * shape.each,
        "good_per_hour": right / seconds * 3600.0 if seconds else math.nan,
        "economics": {**asdict(money), "gross_margin": money.gross_margin},
        "energy_kwh": energy,
        "energy_per_good_kwh": energy / right if right > 0 else math.nan,
        "losses": losses({"oee": asdict(each[slow]), "time_in_state_s": _words(accounts[slow])})
        if slow
        else losses({"oee": {"planned_busy_s": 0.0, "oee": None}, "time_in_state_s": {}}),
        "slowest": most,
    }


def _words(account: Account) -> dict[str, float]:
    return {state.value: spent for state, spent in account.seconds.items()}


def bottleneck(shape: Shape, accounts: Accounts) -> Bottleneck:
    """By both methods, over the tied machines."""
    along: Sequence[str] = [name for name in shape.order if name in accounts]
    active = {name: _active(accounts[name]) for name in along}
    starved = {name: accounts[name].seconds[MachineState.STARVED] for name in along}
    blocked = {name: accounts[name].seconds[MachineState.BLOCKED] for name in along}
    return found(along, active, starved, blocked)


def _active(account: Account) -> list[tuple[float, float]]:
    end_s = sum(account.spent_ns) / 1e9
    return periods([(turn - account.begin_ns) / 1e9 for turn in account.turns], 0.0, end_s, account.active)


def plain(value: Any) -> Any:
    """Without what JSON has no word for: NaN is null."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
