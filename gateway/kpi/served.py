"""The figures of a live line as they are served: by name, with unit, coverage and instant."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from gateway.contracts import Dated, Figure
from gateway.kpi.live import LiveLine
from gateway.kpi.periods import PREVIOUS, SHIFT, TODAY
from gateway.model import quality
from gateway.model.instant import iso
from gateway.model.kpi import KpiValue
from gateway.model.line import MachineState
from gateway.simulation.line.plant import plain

LOW: Final = 0.9
"""Coverage below which a figure is Uncertain."""
FOLDERS: Final = {SHIFT: "", PREVIOUS: "PreviousShift", TODAY: "Today"}
_OEE: Final = {"OEE": "oee", "Availability": "availability", "Performance": "performance", "Quality": "quality"}
_LOSSES: Final = ("rejects", "speed", "starved", "blocked", "jammed", "changeover", "down")
_MONEY: Final = {
    "MaterialCost": "material_cost",
    "ConversionCost": "conversion_cost",
    "Revenue": "revenue",
    "GrossMargin": "gross_margin",
}
Named = dict[str, tuple[float | str, str]]
"""Value and unit by name."""


def _factors(found: Mapping[str, Any]) -> Named:
    """What machine and line have in common."""
    return {
        **{name: (found["oee"][word], "1") for name, word in _OEE.items()},
        "Coverage": (found["coverage"], "1"),
        **{f"Loss{word.title()}": (found["losses"][word], "1") for word in _LOSSES},
        "Good": (float(found["good"]), "1"),
        "Rejected": (float(found["rejected"]), "1"),
        "Energy": (found["energy_kwh"], "kW.h"),
        "EnergyPerGood": (found["energy_per_good_kwh"], "kW.h"),
    }


def _line(live: LiveLine, period: str) -> Named:
    found, bottleneck = live.figures[period]["line"], live.bottlenecks[period]
    return {
        **_factors(found),
        "GoodPerHour": (found["good_per_hour"], "1/h"),
        **{name: (found["economics"][word], "") for name, word in _MONEY.items()},
        "Elapsed": (found["elapsed_s"], "s"),
        "Bottleneck": (bottleneck.active_period, ""),
        "TurningPoint": (bottleneck.turning_point, ""),
    }


def _machine(live: LiveLine, period: str, name: str) -> Named:
    found, bottleneck = live.figures[period]["machines"][name], live.bottlenecks[period]
    whole = math.fsum([*bottleneck.sole_s.values(), *bottleneck.shifting_s.values()])
    sole = bottleneck.sole_s.get(name, 0.0) + bottleneck.shifting_s.get(name, 0.0)
    state = live.state(name) if period == SHIFT else None
    return {
        **_factors(found),
        "Produced": (float(found["made"]), "1"),
        "ConversionCost": (found["conversion_cost"], ""),
        **{f"Time{state.value.title()}": (found["time_in_state_s"][state.value], "s") for state in MachineState},
        "TimeUncovered": (found["uncovered_s"], "s"),
        "BottleneckShare": (sole / whole if whole else math.nan, "1"),
        **({} if state is None else {"State": (state[0], ""), "StateTime": (state[1], "s")}),
    }


def named(live: LiveLine) -> Iterator[tuple[str, str, Named, float]]:
    """(period, machine or "", figures, coverage) of everything; nothing before the first figures."""
    for period in live.figures:
        yield period, "", _line(live, period), live.figures[period]["line"]["coverage"]
        for name, found in live.figures[period]["machines"].items():
            yield period, name, _machine(live, period, name), found["coverage"]


def foretold(live: LiveLine, ahead: Mapping[str, Any] | None) -> dict[str, Named]:
    """The forecast by where it stands below `Kpi`, of a line that has one; NaN before the first."""
    if live.rule is None or live.rule.ahead is None:
        return {}
    none = {"P05": math.nan, "P50": math.nan, "P95": math.nan}
    good = none if ahead is None else ahead["output"]["good"]
    so_far = 0.0 if ahead is None else float(ahead["good_so_far"])
    following = {} if ahead is None else ahead["bottleneck"]["next"]
    found: dict[str, Named] = {
        "Forecast": {
            **{f"Output{word}": (float(so_far + good[word]), "1") for word in none},
            **{f"Remaining{word}": (float(good[word]), "1") for word in none},
            "NextBottleneck": (max(following, key=lambda name: following[name] or 0.0) if following else "", ""),
            "ShiftProbability": (_number(None if ahead is None else ahead["bottleneck"]["shift"]["probability"]), "1"),
            "ShiftMinutes": (_number(None if ahead is None else ahead["bottleneck"]["shift"]["median_min"]), "min"),
        }
    }
    for name in live.inputs.machines:
        waits = {} if ahead is None else ahead["machines"][name]
        found[f"{name}/Forecast"] = _passages(waits, ("starved", "blocked"))
    for edge in live.rule.buffers:
        levels = {} if ahead is None else ahead["buffers"]["->".join(edge)]
        found[f"Forecast/{'_'.join(edge)}"] = _passages(levels, ("empty", "full"))
    return found


def _passages(told: Mapping[str, Any], words: tuple[str, ...]) -> Named:
    found: Named = {}
    for word in words:
        one = told.get(word, {})
        found[f"{word.title()}Probability"] = (_number(one.get("probability")), "1")
        found[f"{word.title()}Minutes"] = (_number(one.get("median_min")), "min")
    return found


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def path(period: str, machine: str) -> str:
    """Below `Kpi`: "", `stringer`, `Today`, `stringer/Today`."""
    return "/".join(part for part in (machine, FOLDERS[period]) if part)


def status_of(value: float | str, coverage: float) -> int:
    """UncertainSubNormal: made of fewer Good inputs than it should be (Part 8, 6.3.2)."""
    if coverage <= 0:
        return quality.BAD_WAITING_FOR_INITIAL_DATA
    nothing = isinstance(value, float) and math.isnan(value)
    return quality.UNCERTAIN_SUB_NORMAL if coverage < LOW or nothing else quality.GOOD


class Served:
    """The same figures for OPC UA, MQTT, REST and Prometheus; made once for each second."""

    def __init__(self, live: LiveLine) -> None:
        self.live = live
        self.ahead: dict[str, Any] | None = None  # the newest forecast
        self._at_ns = -1
        self._figures: dict[str, dict[str, Figure | Dated]] = {}

    def figures(self) -> Mapping[str, Mapping[str, Figure | Dated]]:
        """For OPC UA, by `Kpi` and `Kpi/<machine>`; names are there from the start."""
        live = self.live
        if live.rule is None or not live.figures:
            return self._figures if live.rule is not None else {}
        if live.at_ns != self._at_ns or not self._figures:
            self._at_ns = live.at_ns
            self._figures = {
                "/".join(part for part in ("Kpi", path(period, machine)) if part): {
                    name: Dated(value, quality.GOOD if name == "Coverage" else status_of(value, coverage), live.at_ns)
                    for name, (value, _) in found.items()
                }
                for period, machine, found, coverage in named(live)
            }
            status = quality.BAD_WAITING_FOR_INITIAL_DATA if self.ahead is None else quality.UNCERTAIN_SIMULATED
            for prefix, told in foretold(live, self.ahead).items():
                dated: dict[str, Figure | Dated] = {name: Dated(value, status, self._told_ns()) for name, (value, _) in told.items()}
                self._figures[f"Kpi/{prefix}"] = dated
        return self._figures

    def _told_ns(self) -> int:
        return self.live.at_ns if self.ahead is None else int(self.ahead["issued_ns"])

    def values(self) -> Iterator[KpiValue]:
        """Of the line and its machines, in all periods."""
        for period, machine, found, coverage in named(self.live):
            prefix = path(period, machine)
            for name, (value, unit) in found.items():
                yield KpiValue(f"{prefix}/{name}" if prefix else name, value, unit, coverage, self.live.at_ns)
        for prefix, told in foretold(self.live, self.ahead).items():
            for name, (value, unit) in told.items():
                yield KpiValue(f"{prefix}/{name}", value, unit, 1.0, self._told_ns())

    def metrics(self) -> Iterator[tuple[str, Mapping[str, str], float, str]]:
        """For Prometheus: one gauge, by period, machine (empty: the line) and name."""
        for period, machine, found, _ in named(self.live):
            for name, (value, _) in found.items():
                if isinstance(value, float) and math.isfinite(value):
                    yield "edgetwin_kpi", {"period": period, "machine": machine, "name": name}, value, "gauge"

    def document(self) -> dict[str, Any] | None:
        """JSON values for REST; None without a line."""
        live = self.live
        if live.rule is None:
            return None
        spans = live.periods
        found: dict[str, Any] = {
            "line": live.rule.line.name,
            "scenario": live.rule.line.scenario,
            "at": iso(live.at_ns) if live.at_ns else None,
            "fault": live.fault,
            "forecast": None if self.ahead is None else {name: value for name, value in self.ahead.items() if name != "issued_ns"},
            "periods": {},
        }
        for period in live.figures if spans is not None else ():
            span = getattr(spans, period)
            figures, bottleneck = live.figures[period], live.bottlenecks[period]
            found["periods"][period] = {
                "name": span.name,
                "begin": iso(span.begin_ns),
                "end": iso(span.end_ns),
                "line": figures["line"],
                "machines": figures["machines"],
                "bottleneck": {
                    "active_period": bottleneck.active_period,
                    "turning_point": bottleneck.turning_point,
                    "average_s": dict(bottleneck.average_s),
                    "sole_s": dict(bottleneck.sole_s),
                    "shifting_s": dict(bottleneck.shifting_s),
                },
            }
        found["states"] = {name: {"state": word, "for_s": for_s} for name in live.inputs.machines for word, for_s in [live.state(name)]}
        return {key: plain(value) for key, value in found.items()}
