"""The configuration: YAML and CSV files to one frozen Site, or every fault of theirs by file, line and column."""

from gateway.settings.difference import Difference, difference
from gateway.settings.faults import Fault, Place, SettingsError
from gateway.settings.load import load
from gateway.settings.schema import schema
from gateway.settings.site import Plugins, Site, Unit
from gateway.settings.units import read_units

__all__ = [
    "Difference",
    "Fault",
    "Place",
    "Plugins",
    "SettingsError",
    "Site",
    "Unit",
    "difference",
    "load",
    "read_units",
    "schema",
]
