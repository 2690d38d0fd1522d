"""What the contract suite runs over: one case per driver and per sink, each in a file `case_<name>.py` beside this one.

A file defines DRIVER (a DriverCase) or SINK (a SinkCase); nothing else has to be touched to join.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from gateway.contracts import Driver, DriverContext, Sink
from gateway.model.tag import Tag


class Peer(Protocol):
    """A source that runs."""

    keys: dict[str, Any]  # the keys of a configuration that reaches it
    tags: Sequence[Tag]  # whose first one emit() changes

    async def emit(self, value: float) -> None:
        """A new sample of the first tag; it is the source's newest when this returns."""

    async def stop(self) -> None: ...
    async def start(self) -> None: ...


@dataclass(frozen=True)
class DriverCase:
    """name: the folder below drivers/. absent: keys that lead nowhere. endless: the source can be lost (a recording cannot)."""

    name: str
    driver: str  # "drivers.opcua.driver:OpcUaDriver"
    config: str  # "drivers.opcua.config:Config"
    peer: Callable[[Path], AbstractAsyncContextManager[Peer]]
    absent: Callable[[Path], dict[str, Any]]
    tags: Sequence[Tag]
    endless: bool = True

    def build(self, keys: dict[str, Any], context: DriverContext) -> Driver:
        config = named(self.config)(**keys)
        driver: Driver = named(self.driver)(config, context)
        return driver


@dataclass(frozen=True)
class SinkCase:
    """reachable, refused: a sink whose connect() works, and one whose connect() finds nobody (or a taken port); built, not connected.

    use: hands the connected sink something to write, or reads it back; AssertionError where it does not work.
    """

    name: str
    reachable: Callable[[Path], AbstractAsyncContextManager[Sink]]
    refused: Callable[[Path], AbstractAsyncContextManager[Sink]]
    use: Callable[[Sink], Awaitable[None]]


def named(place: str) -> Any:
    """module:attribute"""
    module, _, attribute = place.partition(":")
    return getattr(import_module(module), attribute)


def found(attribute: str) -> list[Any]:
    """All cases of that kind."""
    modules = [import_module(path.stem) for path in sorted(Path(__file__).parent.glob("case_*.py"))]
    return [getattr(module, attribute) for module in modules if hasattr(module, attribute)]
