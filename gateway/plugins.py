"""Which drivers and sinks there are: one table, imported when asked for; third parties join by entry point.

The groups are `edgetwin.drivers` and `edgetwin.sinks`.
A plugin is a class in a package that also has a module `config` with a frozen pydantic model `Config`, so that a configuration is checked
without loading a protocol library.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final

from pydantic import BaseModel

from gateway.contracts import Driver, DriverContext, Sink, SinkContext
from gateway.settings import Plugins

DRIVERS: Final = {
    "opcua": "drivers.opcua.driver:OpcUaDriver",
    "mqtt": "drivers.mqtt.driver:MqttDriver",
    "replay": "drivers.replay.driver:ReplayDriver",
}
SINKS: Final = {
    "mqtt": "gateway.sinks.mqtt.sink:MqttSink",
    "opcua": "gateway.sinks.opcua.sink:OpcUaSink",
}
SECTIONS: Final = {
    "opcua": "gateway.sinks.opcua.config:Config",
    "web": "gateway.web.config:WebConfig",
    "store": "gateway.store.config:StoreConfig",
    "log": "gateway.logs:LogConfig",
}

OPTIONAL: Final = frozenset({"opcua"})  # no section, no server


def plugins() -> Plugins:
    """The configuration models that a site file is checked against."""
    return Plugins(
        drivers={kind: _config_of(place) for kind, place in _table(DRIVERS, "edgetwin.drivers").items()},
        upstream={kind: _config_of(place) for kind, place in _table(SINKS, "edgetwin.sinks").items() if kind not in SECTIONS},
        sections={name: _named(place) for name, place in SECTIONS.items()},
        optional=OPTIONAL,
    )


def driver_class(kind: str) -> Callable[[BaseModel, DriverContext], Driver]:
    """The driver of that kind; KeyError for one that is not in the table."""
    found: Callable[[BaseModel, DriverContext], Driver] = _named(_table(DRIVERS, "edgetwin.drivers")[kind])
    return found


def sink_class(kind: str) -> Callable[[BaseModel, SinkContext], Sink]:
    """The sink of that kind; KeyError for one that is not in the table."""
    found: Callable[[BaseModel, SinkContext], Sink] = _named(_table(SINKS, "edgetwin.sinks")[kind])
    return found


def _table(own: dict[str, str], group: str) -> dict[str, str]:
    return {entry.name: entry.value for entry in entry_points(group=group)} | own


def _config_of(place: str) -> type[BaseModel]:
    module = place.partition(":")[0]
    config: type[BaseModel] = _named(f"{module.rpartition('.')[0]}.config:Config")
    return config


def _named(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
