"""What a roll has learned, as plain arrays: to be kept, and taken up by another roll, also one of other tags or models.

A key is the way to an array through the parts of a Rolling. Where names of tags or models are missing on one side, the fresh roll's own
beginnings stay.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gateway.simulation.forecast.lags import SLOTS
from gateway.simulation.forecast.rolling import Issued, Rolling

Arrays = dict[str, npt.NDArray[Any]]
_SHARED: Final = frozenset({"knots_s", "horizon_s", "overlap", "noise", "gamma", "next_s"})  # the same for all tags
_BY_MODEL: Final = frozenset({"choice.crps", "choice.gain", "choice.square", "choice.weight", "choice.behind"})  # (models, tags, knots)
_OWN: Final = frozenset({"members.model.inputs"})  # known again with the first sample
_ISSUED: Final = ("due_s", "mean", "sd", "centre", "spread", "own")


class Unfit(ValueError):
    """What was kept does not fit this roll; says why."""


def saved(rolling: Rolling) -> Arrays:
    """All that it has learned, and what it waits for. The arrays are the roll's own: write them before its next step."""
    found = {key: getattr(owner, name) for key, owner, name in _leaves(rolling, "")}
    found["now_s"] = np.array([np.nan if rolling.now_s is None else rolling.now_s])
    for knot, waiting in enumerate(rolling.waiting):
        found |= {f"waiting.{knot}.{name}": np.array([getattr(issued, name) for issued in waiting]) for name in _ISSUED if waiting}
    return found


def restore(rolling: Rolling, kept: Mapping[str, npt.NDArray[Any]], tags: Sequence[int], models: Sequence[str]) -> None:
    """Take up what another roll has learned. tags: for each of this roll's tags the row there, -1 for none; models: its names there.

    Raises Unfit, and then nothing has been taken.
    """
    old, row = np.asarray(tags, np.intp), np.flatnonzero(np.asarray(tags) >= 0)
    at = kept.get("knots_s", np.zeros(0))
    if at.shape != rolling.knots_s.shape or not np.allclose(at, rolling.knots_s):
        raise Unfit(f"it was learned for horizons of {_shown(at)} s, and these are {_shown(rolling.knots_s)} s")
    place = [models.index(name) if name in models else -1 for name in rolling.names]
    ready = []
    for key, owner, name in _leaves(rolling, ""):
        if (part := kept.get(key)) is not None and not (key == "model" and list(models) != list(rolling.names)):
            ready.append((owner, name, _taken(key, getattr(owner, name), part, old, row, place)))
    waiting = [_waited(kept, knot, old, row, place) for knot in range(rolling.knots_s.size)]
    for owner, name, value in ready:
        setattr(owner, name, value)
    rolling.waiting = tuple(deque(issued, maxlen=SLOTS + 2) for issued in waiting)
    now_s = float(kept["now_s"][0]) if "now_s" in kept else float("nan")
    rolling.now_s = None if np.isnan(now_s) else now_s


def _shown(at: npt.NDArray[Any]) -> str:
    return ", ".join(f"{one:g}" for one in at.tolist()) or "no"


def _leaves(part: Any, path: str) -> Iterator[tuple[str, Any, str]]:
    """(key, owner, attribute) of each array, depth first."""
    for field in fields(part):
        value, key = getattr(part, field.name), f"{path}{field.name}"
        if isinstance(value, np.ndarray) and key not in _OWN:
            yield key, part, field.name
        elif field.name == "members":
            for member in value:
                yield from _leaves(member, f"{key}.{member.name}.")
        elif is_dataclass(value):
            yield from _leaves(value, f"{key}.")


def _taken(
    key: str, fresh: npt.NDArray[Any], part: npt.NDArray[Any], old: npt.NDArray[np.intp], row: npt.NDArray[np.intp], place: Sequence[int]
) -> npt.NDArray[Any]:
    """One array of the fresh roll with the rows that are known."""
    if key.rpartition(".")[2] in _SHARED:
        return _checked(key, fresh.shape, part.shape, part.astype(fresh.dtype))
    out = fresh.copy()
    if key in _BY_MODEL:
        for own, there in enumerate(place):
            if there >= 0:
                out[own, row] = _checked(key, out[own, row].shape, part[there, old[row]].shape, part[there, old[row]])
    elif key == "board.loss":
        out[:, row] = _checked(key, out[:, row].shape, part[:, old[row]].shape, part[:, old[row]])
    else:
        out[row] = _checked(key, out[row].shape, part[old[row]].shape, part[old[row]])
    return out


def _checked(key: str, wanted: tuple[int, ...], found: tuple[int, ...], part: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if wanted != found:
        raise Unfit(f"{key} has the shape {found}, and should have {wanted}")
    return part


def _waited(
    kept: Mapping[str, npt.NDArray[Any]], knot: int, old: npt.NDArray[np.intp], row: npt.NDArray[np.intp], place: Sequence[int]
) -> list[Issued]:
    """What was issued and is not due yet; NaN for tags and models that were not there."""
    if (due := kept.get(f"waiting.{knot}.due_s")) is None:
        return []
    parts = {name: kept[f"waiting.{knot}.{name}"] for name in _ISSUED[1:]}
    found = []
    for at, due_s in enumerate(due.tolist()):
        mean, sd = (np.full((len(place), old.size), np.nan) for _ in range(2))
        for own, there in enumerate(place):
            if there >= 0:
                mean[own, row], sd[own, row] = parts["mean"][at, there, old[row]], parts["sd"][at, there, old[row]]
        own_parts = []
        for name in _ISSUED[3:]:
            column = np.full(old.size, np.nan)
            column[row] = parts[name][at, old[row]]
            own_parts.append(column)
        found.append(Issued(due_s, mean, sd, *own_parts))
    return found
