"""A line as plain values (what JSON and YAML hold) and back, and its digest: equal lines give equal bytes.

Fields at their default are written as well, so that a document keeps its meaning when a default changes.
"""

import hashlib
import json
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import StrEnum
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from gateway.model.distribution import PARAMETERS, Distribution
from gateway.model.line import Line, LineState


def document(value: object) -> Any:
    """Dicts, lists, text and numbers of a Line or of any value inside one; a distribution by the names of its parameters."""
    if isinstance(value, Distribution):
        written: dict[str, Any] = {"kind": value.kind, **value.parameters}
        if value.kind == "empirical":
            written |= {"values": list(value.values), "weights": list(value.weights)}
        return written
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: document(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [document(item) for item in value]
    return str(value) if isinstance(value, StrEnum) else value


def line_of(written: Mapping[str, Any]) -> Line:
    """The line of a document. Raises ValueError that names the place where it does not hold what a line holds."""
    line: Line = _read(Line, written, "line")
    return line


def state_of(written: Mapping[str, Any]) -> LineState:
    """The state of a document. Raises ValueError as line_of."""
    state: LineState = _read(LineState, written, "state")
    return state


def digest(line: Line) -> str:
    """SHA-256 over the document as JSON with sorted keys."""
    text = json.dumps(document(line), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _read(kind: Any, value: Any, place: str) -> Any:
    origin = get_origin(kind)
    if origin is Literal:
        return value if value in get_args(kind) else _refuse(place, value, " or ".join(map(repr, get_args(kind))))
    if origin in {types.UnionType, Union}:
        return _read_union(get_args(kind), value, place)
    if origin is tuple:
        return _read_tuple(get_args(kind), value, place)
    return _read_single(kind, value, place)


def _read_single(kind: type, value: Any, place: str) -> Any:
    if kind is Distribution:
        return _distribution(value, place)
    if is_dataclass(kind):
        return _record(kind, value, place)
    if issubclass(kind, StrEnum):
        return kind(value) if value in set(kind) else _refuse(place, value, " or ".join(kind))
    if kind is float and type(value) in {int, float}:
        return float(value)
    return value if type(value) is kind else _refuse(place, value, kind.__name__)


def _read_union(kinds: tuple[Any, ...], value: Any, place: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    found = [kind for kind in kinds if kind is not type(None)]
    if len(found) == 1:
        return _read(found[0], value, place)
    return value if type(value) in {*found, int} else _refuse(place, value, " or ".join(kind.__name__ for kind in found))


def _read_tuple(kinds: tuple[Any, ...], value: Any, place: str) -> Any:
    if not isinstance(value, list | tuple):
        return _refuse(place, value, "list")
    if kinds[-1] is Ellipsis:
        return tuple(_read(kinds[0], item, f"{place}[{row}]") for row, item in enumerate(value))
    if len(value) != len(kinds):
        return _refuse(place, value, f"list of {len(kinds)}")
    return tuple(_read(kind, item, f"{place}[{row}]") for row, (kind, item) in enumerate(zip(kinds, value, strict=True)))


def _record(kind: type, value: Any, place: str) -> Any:
    if not isinstance(value, Mapping):
        return _refuse(place, value, "mapping")
    known = get_type_hints(kind)
    if unknown := set(value) - set(known):
        raise ValueError(f"{place}: there is no {min(map(str, unknown))!r} here: {', '.join(known)}")
    try:
        return kind(**{name: _read(known[name], item, f"{place}.{name}") for name, item in value.items()})
    except TypeError as error:
        raise ValueError(f"{place}: {error}") from error


def _distribution(value: Any, place: str) -> Any:
    if not isinstance(value, Mapping) or value.get("kind") not in PARAMETERS:
        return _refuse(place, value, f"distribution with a kind ({', '.join(PARAMETERS)})")
    try:
        if value["kind"] == "empirical":
            return Distribution("empirical", values=tuple(map(float, value["values"])), weights=tuple(map(float, value.get("weights", ()))))
        return Distribution.of(value["kind"], **{name: item for name, item in value.items() if name != "kind"})
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{place}: {error}") from error


def _refuse(place: str, value: Any, wanted: str) -> Any:
    raise ValueError(f"{place}: {value!r} is no {wanted}")
