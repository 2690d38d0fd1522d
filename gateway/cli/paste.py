"""Variables of a server as tags that can be pasted into a configuration. Pure: what was found goes in, text comes out."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from gateway.model.unit import Unit
    from gateway.wire.opcua.browse import Found

RESERVED: Final = frozenset({"Twin", "Simulation", "Kpi", "Gateway"})
_COLUMNS: Final = ("name", "source", "address", "type", "unit", "range", "labels")


@dataclass(frozen=True, slots=True)
class Pasted:
    """One tag's keys, and what a person should know of it; fits is False for what cannot be a tag as it stands."""

    keys: Mapping[str, Any]
    note: str
    fits: bool


def tags(found: "Sequence[Found]", source: str, units: Mapping[str, object]) -> list[Pasted]:
    """A tag for each variable, with a name that no other one has. units: the known UCUM codes."""
    names = _names([one.name for one in found])
    return [_tag(one, name, source, units) for one, name in zip(found, names, strict=True)]


def _tag(one: "Found", name: str, source: str, units: Mapping[str, object]) -> Pasted:
    notes = [f"{one.data_type}, {'/'.join(one.path)}"]
    keys: dict[str, Any] = {"name": name, "source": source, "address": one.address, "type": one.type}
    if one.labels:
        keys["labels"] = dict(one.labels)
    elif one.type == "enum":
        keys["type"] = "int"
        notes.append("an enumeration: type enum takes labels")
    number = keys["type"] in {"float", "int"}
    if one.unit in units and number:
        keys["unit"] = one.unit
    elif one.unit:
        notes.append(f"its unit is {one.unit!r}")
    if one.range is not None and number:
        keys["range"] = list(one.range)
    if one.array:
        notes.append("an array: add [0] or another index to the address")
    if not one.type:
        notes.append("a structure: it cannot be a tag")
    if one.writable:
        notes.append("can be written")
    return Pasted(keys, "; ".join(notes).replace("\n", " "), bool(one.type) and not one.array)


def codes(units: "Mapping[str, Unit]") -> dict[int, str]:
    """UCUM code by OPC UA unit id: of several that share one, the plain one without annotation, and of those the first."""
    found: dict[int, str] = {}
    for unit in sorted(units.values(), key=lambda unit: any(bracket in unit.ucum for bracket in "{[")):
        if unit.unece:
            found.setdefault(unit.unit_id, unit.ucum)
    return found


def _names(wished: Sequence[str]) -> list[str]:
    """Names that are allowed and differ, and of which none is a level of another."""
    made: list[str] = []
    taken: set[str] = set()
    levels = {level for name in wished for level in _levels(_allowed(name))}
    for wish in wished:
        name = _allowed(wish)
        if name in levels:
            name += ".value"
        free, n = name, 2
        while free in taken or free in levels:
            free, n = f"{name}_{n}", n + 1
        taken.add(free)
        made.append(free)
    return made


def _allowed(wish: str) -> str:
    name = wish.lstrip("_.")[:200] or "node"
    return f"{name.partition('.')[0]}_{name[len(name.partition('.')[0]) :]}" if name.partition(".")[0] in RESERVED else name


def _levels(name: str) -> Iterator[str]:
    """All levels above a name."""
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def as_yaml(pasted: Sequence[Pasted], source: str, section: Mapping[str, Any]) -> str:
    """The sections sources (with the keys of this one) and tags; what does not fit is a comment with the reason."""
    lines = ["sources:", f"  {source}: {_flow(section)}", "tags:"]
    for each in pasted:
        keys = ", ".join(f"{key}: {_flow(value)}" for key, value in each.keys.items())
        lines.append(f"  {'' if each.fits else '# '}- {{{keys}}}  # {each.note}")
    return "\n".join(lines) + "\n"


def _flow(value: Any) -> str:
    """YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(inner)}" for key, inner in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


def as_csv(pasted: Sequence[Pasted]) -> str:
    """A table for `tags_from`; only what fits."""
    out = io.StringIO()
    writer = csv.DictWriter(out, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for each in pasted:
        if each.fits:
            writer.writerow({
                key: json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value for key, value in each.keys.items()
            })  # fmt: skip
    return out.getvalue()


def as_json(pasted: Sequence[Pasted], url: str) -> dict[str, Any]:
    """One document with everything."""
    return {"url": url, "tags": [{**each.keys, "note": each.note, "fits": each.fits} for each in pasted]}
