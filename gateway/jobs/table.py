"""Which jobs there are: kind -> function, loaded in the worker when it is asked for.

A function is pure: (args, arrays, generator, progress) -> (values, arrays), JSON values and numpy arrays. It raises Impossible for
arguments that cannot work, and calls progress(share) now and then.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final

import numpy as np

from gateway.work import Column, Progress

Work = Callable[[Mapping[str, Any], Mapping[str, Column], np.random.Generator, Progress], tuple[Mapping[str, Any], Mapping[str, Column]]]

KINDS: Final[dict[str, str]] = {
    "simulate": "gateway.jobs.simulate:simulate",
    "compare": "gateway.jobs.simulate:compare",
    "sensitivity": "gateway.jobs.simulate:sensitivity",
    "calibrate": "gateway.jobs.calibrate:calibrate",
    "forecast": "gateway.jobs.forecast:forecast",
    "line.replicate": "gateway.jobs.line:replicate",
    "line.series": "gateway.jobs.line:series",
    "line.forecast": "gateway.jobs.ahead:forecast",
    "line.score": "gateway.jobs.ahead:score",
}


class Impossible(Exception):
    """These arguments cannot work; says why in words."""


def work(kind: str) -> Work:
    """The function of a kind. Raises Impossible for one that is not in the table."""
    place = KINDS.get(kind)
    if place is None:
        raise Impossible(f"there is no job {kind!r}; known: {', '.join(sorted(KINDS))}")
    module, _, name = place.partition(":")
    function: Work = getattr(import_module(module), name)
    return function
