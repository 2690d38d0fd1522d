"""The Methods of `s=Simulation`: what-ifs and scenarios through the one door for changes. A result is the key below `s=Simulation/Runs`."""

import math
from collections.abc import Mapping
from typing import Any, Final

from gateway.model.quality import BAD_OUT_OF_RANGE, BAD_TYPE_MISMATCH
from gateway.sinks.opcua.figures import SIMULATION
from gateway.sinks.opcua.methods import Declared
from gateway.wire.opcua.face import Builtin
from gateway.wire.opcua.methods import Argument, MethodRefused

SETPOINTS: Final = 200
_BAD_INVALID_ARGUMENT: Final = 0x80AB_0000
_LONGEST: Final = 300  # characters of one setpoint
_SHOWN: Final = Argument("run", int(Builtin.STRING), array=False, description="The run: s=Simulation/Runs/<run>.")
_SETPOINTS: Final = Argument("setpoints", int(Builtin.STRING), array=True, description="tag=value or model.parameter=value, each.")
_NUMBERS: Final = (
    Argument("horizon_s", int(Builtin.DOUBLE), array=False, description="How far, in seconds. Null: as usual.", usual=True),
    Argument("step_s", int(Builtin.DOUBLE), array=False, description="In which steps, in seconds. Null: as usual.", usual=True),
    Argument("runs", int(Builtin.UINT32), array=False, description="How many paths. Null: as usual.", usual=True),
    Argument("seed", int(Builtin.INT64), array=False, description="The same seed gives the same result. Null: any.", usual=True),
)


def _what_if(setpoints: tuple[str | None, ...], *numbers: float | None) -> Mapping[str, Any]:
    """The command's arguments. Raises MethodRefused that says of each input what is wrong with it (Part 4, 5.11.2.4)."""
    horizon_s, step_s, runs, seed = numbers
    changes, wrong = _changes(setpoints)
    statuses = (
        wrong,
        _unfit(horizon_s, whole=False, least=0, exclusive=True),
        _unfit(step_s, whole=False, least=0, exclusive=True),
        _unfit(runs, whole=True, least=1),
        _unfit(seed, whole=True, least=0),
    )
    if any(statuses):
        raise MethodRefused(_BAD_INVALID_ARGUMENT, statuses)
    given = {"horizon_s": horizon_s, "step_s": step_s, "runs": _plain(runs), "seed": _plain(seed)}
    return {"parameters": changes, **{name: value for name, value in given.items() if value is not None}}


def _changes(setpoints: tuple[str | None, ...]) -> tuple[dict[str, float], int]:
    """By name, and a StatusCode where one of them is no `name=number`, stands twice, or there are too many."""
    found: dict[str, float] = {}
    if len(setpoints) > SETPOINTS:
        return found, BAD_OUT_OF_RANGE
    for setpoint in setpoints:
        name, equals, text = (setpoint or "")[: _LONGEST + 1].partition("=")
        name = name.strip()
        try:
            value = float(text)
        except ValueError:
            return found, BAD_TYPE_MISMATCH
        if not equals or not name or "_" in text:  # 1_000 is Python's
            return found, BAD_TYPE_MISMATCH
        if not math.isfinite(value) or name in found or len(setpoint or "") > _LONGEST:
            return found, BAD_OUT_OF_RANGE
        found[name] = value
    return found, 0


def _unfit(value: float | None, *, whole: bool, least: float, exclusive: bool = False) -> int:
    if value is None:
        return 0
    if not math.isfinite(value) or value < least or (exclusive and value == least):
        return BAD_OUT_OF_RANGE
    return BAD_TYPE_MISMATCH if whole and value != int(value) else 0


def _plain(value: float | None) -> int | None:
    return None if value is None else int(value)


def _calibration(tag: str | None, window: float | None) -> Mapping[str, Any]:
    wrong = _unfit(window, whole=False, least=0, exclusive=True)
    if wrong:
        raise MethodRefused(_BAD_INVALID_ARGUMENT, (0, wrong))
    return {"tag": tag or ""} | ({} if window is None else {"window_s": window})


def _run_of(result: Mapping[str, Any]) -> tuple[str]:
    return (str(result["run"]),)


SIMULATION_METHODS: Final = (
    Declared(
        *(SIMULATION, "WhatIf", "simulation.run", "Simulate from the present state with these values changed; nothing is written."),
        (_SETPOINTS, *_NUMBERS),
        _what_if,
        (_SHOWN,),
        _run_of,
    ),
    Declared(
        *(SIMULATION, "RunScenario", "scenario.run", "Simulate a named scenario from the present state."),
        (Argument("name", int(Builtin.STRING), array=False, description="The scenario's name."),),
        lambda name: {"name": name or ""},
        (_SHOWN,),
        _run_of,
    ),
    Declared(
        *(SIMULATION, "CompareScenarios", "scenario.compare", "Simulate scenarios under the same chance; differences are to the first."),
        (Argument("names", int(Builtin.STRING), array=True, description="Names of scenarios; now is the plant as it is."),),
        lambda names: {"names": [name or "" for name in names]},
        (_SHOWN,),
        _run_of,
    ),
    Declared(
        *(SIMULATION, "Cancel", "simulation.cancel", "End a run that is under way."),
        (Argument("run", int(Builtin.STRING), array=False, description="The run."),),
        lambda run: {"run": run or ""},
    ),
    Declared(
        *(SIMULATION, "Calibrate", "calibration.run", "Parameters of the model that gives this tag, from its history; kept, not in force."),
        (
            Argument("tag", int(Builtin.STRING), array=False, description="A tag that a model gives."),
            Argument("window", int(Builtin.DOUBLE), array=False, description="Seconds of the newest history. Null: as usual.", usual=True),
        ),
        _calibration,
        (_SHOWN,),
        _run_of,
    ),
    Declared(
        *(SIMULATION, "ApplyCalibration", "calibration.apply", "Put a version of calibrated parameters in force."),
        (
            Argument("model", int(Builtin.STRING), array=False, description="The model's name."),
            Argument("version", int(Builtin.UINT32), array=False, description="The number of the version."),
        ),
        lambda model, version: {"model": model or "", "version": int(version)},
    ),
    Declared(
        *(SIMULATION, "RollbackCalibration", "calibration.rollback", "Go back to the parameters that were in force before."),
        (Argument("model", int(Builtin.STRING), array=False, description="The model's name."),),
        lambda model: {"model": model or ""},
    ),
)
