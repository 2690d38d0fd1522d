"""The table of units, config/units.csv: UCUM code, UNECE common code, symbol, name, dimension, factor and offset to its base unit."""

import csv
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType

from gateway.model.unit import Unit


def data(name: str) -> Traversable:
    """A file of config/: inside the wheel, else in the checkout."""
    packed = resources.files("gateway") / "_config" / name
    return packed if packed.is_file() else Path(__file__).parents[2] / "config" / name


@cache
def read_units() -> Mapping[str, Unit]:
    """All units by UCUM code, in the order of the table."""
    rows = csv.DictReader(data("units.csv").read_text("utf-8").splitlines())
    return MappingProxyType({
        row["ucum"]: Unit(
            row["ucum"], row["unece"], row["symbol"], row["name"], row["dimension"], float(row["factor"]), float(row["offset"])
        )
        for row in rows
    })  # fmt: skip


def unit_hint(text: str, units: Mapping[str, Unit]) -> str:
    """A hint for a text that is no UCUM code: the unit of that symbol, name or UNECE code, else the nearest one."""
    word = text.strip().lower()
    for unit in units.values():
        if word in {unit.symbol.lower(), unit.name.lower(), unit.ucum.lower(), unit.unece.lower(), unit.ucum.strip("[]").lower()}:
            return f"did you mean {unit.ucum}, {unit.name}?"
    spoken = {unit.name.lower(): unit for unit in units.values()} | {unit.ucum.lower(): unit for unit in units.values()}
    close = get_close_matches(word[:100], spoken, n=1, cutoff=0.6)
    return f"did you mean {spoken[close[0]].ucum}, {spoken[close[0]].name}?" if close else "write a UCUM code such as Cel, bar, kW.h or %"
