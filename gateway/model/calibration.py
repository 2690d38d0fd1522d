"""Calibrated parameters as the store keeps them, and what a configuration says of the upkeep of a model: values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Upkeep:
    """`calibrate` of a model: how often (0: never by itself), from which window, whether what is better is applied, which parameters."""

    every_s: float = 0.0
    window_s: float = 86_400.0
    apply: bool = False
    parameters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Watch:
    """`residual` of a model: how often it is compared with the plant, the mean time between two false alarms, and the stand-in."""

    step_s: float = 1.0
    false_alarm_s: float = 604_800.0
    stand_in: bool = False


class VersionState(StrEnum):
    KEPT = "kept"  # never in force
    APPLIED = "applied"  # in force
    REPLACED = "replaced"  # by a newer one; a rollback goes back to it
    ROLLED_BACK = "rolled_back"
    VOID = "void"  # the model has been changed in the configuration


@dataclass(frozen=True, slots=True)
class Version:
    """One calibration of a model.

    number       counts per model from 1           model_hash  of the model as it was configured
    data_hash    sha256 of the samples it came from
    parameters   that it puts in place of the configuration's; spread their standard deviations
    applied      how manieth application of this model it was, 0: never
    report       JSON values: estimates with intervals, fits, whiteness, excitation, tuning, warnings
    """

    model: str
    number: int
    run_id: str
    user: str
    created_ns: int
    start_ns: int
    end_ns: int
    data_hash: str
    model_hash: str
    parameters: Mapping[str, float]
    spread: Mapping[str, float]
    report: Mapping[str, Any] = field(default_factory=dict)
    state: VersionState = VersionState.KEPT
    applied: int = 0
