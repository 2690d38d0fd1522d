"""Process models of others: a class by entry point, in the group `edgetwin.models`.

The class is a subclass of gateway.simulation.process.model.Process that is made from its parameters alone; `seconds` names those that are
times. It is loaded when its kind is first asked for, like any import, and names of the product's own kinds go before.
"""

from functools import lru_cache
from importlib.metadata import entry_points
from typing import Final

from gateway.simulation.process.model import ModelError, Process

GROUP: Final = "edgetwin.models"


@lru_cache(maxsize=1)
def places() -> dict[str, str]:
    """Kind -> module:class, of all that is installed."""
    return {entry.name: entry.value for entry in entry_points(group=GROUP)}


@lru_cache(maxsize=256)
def model_class(kind: str) -> type[Process]:
    """The class of a kind that is there. Raises ModelError where it cannot be loaded or is no process model."""
    entry = next(entry for entry in entry_points(group=GROUP) if entry.name == kind)
    try:
        found = entry.load()
    except (ImportError, AttributeError) as error:
        raise ModelError(f"the model {kind} of {entry.value} cannot be loaded: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Process)):
        raise ModelError(f"the model {kind} is {entry.value}, which is no Process")
    return found
