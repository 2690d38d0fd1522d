"""What `load` takes and gives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel

from gateway.model.alarm import AlarmRule
from gateway.model.calibration import Upkeep, Watch
from gateway.model.derived import DerivedRule
from gateway.model.kpi import LineSite
from gateway.model.process import ProcessModel, Scenario
from gateway.model.sync import Sync
from gateway.model.tag import TagTable
from gateway.model.unit import Unit as EngineeringUnit
from gateway.settings.faults import Fault
from gateway.settings.forecasting import Forecast
from gateway.settings.sections import Events, Gateway, Kpi


@dataclass(frozen=True)
class Plugins:
    """The configuration model of each kind of driver (`sources`), of upstream sink, and of each section of its own name."""

    drivers: Mapping[str, type[BaseModel]] = field(default_factory=dict)
    upstream: Mapping[str, type[BaseModel]] = field(default_factory=dict)
    sections: Mapping[str, type[BaseModel]] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()  # sections that are there only where the file has them


@dataclass(frozen=True)
class Unit:
    """One driver or sink: its name, its kind, its configuration."""

    name: str
    kind: str
    config: BaseModel


@dataclass(frozen=True)
class Site:
    """A configuration without faults.

    sections  opcua, web, store, log: those of Plugins; defaults where the file is silent, but for the optional ones
    digest    sha256 of the configuration without the values of secrets
    faults    warnings only
    files     every file that was read, the first is the one asked for
    """

    gateway: Gateway
    sources: Mapping[str, Unit]
    upstream: tuple[Unit, ...]
    tags: TagTable
    rules: tuple[AlarmRule, ...]
    derived: tuple[DerivedRule, ...]
    sync: Sync
    events: Events
    kpi: Kpi
    sections: Mapping[str, BaseModel]
    units: Mapping[str, EngineeringUnit]
    digest: str
    faults: tuple[Fault, ...]
    files: tuple[Path, ...]
    models: tuple[ProcessModel, ...] = ()
    scenarios: Mapping[str, Scenario] = field(default_factory=dict)
    upkeep: Mapping[str, Upkeep] = field(default_factory=dict)  # by name of the model
    watches: Mapping[str, Watch] = field(default_factory=dict)
    forecast: Forecast | None = None
    line: LineSite | None = None
