"""Edgetwin: an industrial edge gateway with a live digital twin. `from gateway import Twin` is its offline face."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.twin import Twin as Twin

__version__ = "0.1.0"
__all__ = ["Twin", "__version__"]


def __getattr__(name: str) -> object:
    # The daemon imports this package a hundred times over; only who asks for the Twin pays for it.
    if name == "Twin":
        from gateway.twin import Twin

        return Twin
    raise AttributeError(name)
