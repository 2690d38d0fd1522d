"""The table of units, config/units.csv: UCUM code, UNECE common code, symbol, name, dimension, factor and offset to its base unit."""

import csv
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType
from typing import Final

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


_PLAIN: Final = str.maketrans({"²": "2", "³": "3", "·": "", ".": "", "*": "", "^": "", " ": "", "_": "", "[": "", "]": "", "μ": "µ"})
_SPOKEN: Final[Mapping[str, str]] = MappingProxyType(
    {
        # plain form, small letters -> UCUM code, for what is neither symbol nor name nor code of the unit
        **dict.fromkeys(("degc", "°c", "c", "ºc", "℃", "grdc", "gradc", "centigrade"), "Cel"),
        **dict.fromkeys(("degf", "°f", "f", "ºf", "℉"), "[degF]"),
        **dict.fromkeys(("rpm", "revs/min", "rev/min", "1/min", "u/min", "rev/m", "min-1", "upm"), "/min"),
        **dict.fromkeys(("m3/hr", "cbm/h", "m3h", "m3ph", "m3perh", "m3perhour", "cmh"), "m3/h"),
        **dict.fromkeys(("nm3/hr", "nm3h", "sm3/h"), "m3{norm}/h"),
        **dict.fromkeys(("lpm", "l/m", "ltr/min"), "L/min"),
        **dict.fromkeys(("lph", "l/hr", "ltr/h"), "L/h"),
        **dict.fromkeys(("ltr", "lit"), "L"),
        **dict.fromkeys(("kg/hr", "kgh", "kgph"), "kg/h"),
        **dict.fromkeys(("t/hr", "tph"), "t/h"),
        **dict.fromkeys(("kph", "kmh", "km/hr"), "km/h"),
        **dict.fromkeys(("sec", "secs"), "s"),
        **dict.fromkeys(("msec", "msecs"), "ms"),
        **dict.fromkeys(("mins",), "min"),
        **dict.fromkeys(("hr", "hrs"), "h"),
        **dict.fromkeys(("barg", "bara", "bar(g)", "bar(a)"), "bar"),
        **dict.fromkeys(("mmwc", "mmws"), "mm[H2O]"),
        **dict.fromkeys(("pct", "prozent"), "%"),
        **dict.fromkeys(("%rh", "rh"), "%{RH}"),
        **dict.fromkeys(("pcs", "pc", "stk"), "{piece}"),
        **dict.fromkeys(("cfm",), "[cft_i]/min"),
        **dict.fromkeys(("gpm",), "[gal_us]/min"),
        **dict.fromkeys(("ohms",), "Ohm"),
    }
)


def unit_hint(text: str, units: Mapping[str, Unit]) -> str:
    """A hint for a text that is no UCUM code: the unit that people write so, of that symbol, name or UNECE code, else the nearest one."""
    word = _plain(text[:100])
    spoken_code = _SPOKEN.get(word.lower(), "")
    if spoken_code in units:
        return f"did you mean {spoken_code}, {units[spoken_code].name}?"
    for written, form in ((word, str), (word.lower(), str.lower)):  # MWh and mWh differ: exact letters first
        for unit in units.values():
            if written in {form(_plain(each)) for each in (unit.symbol, unit.name, unit.ucum, unit.unece)}:
                return f"did you mean {unit.ucum}, {unit.name}?"
    word = text.strip().lower()
    spoken = {unit.name.lower(): unit for unit in units.values()} | {unit.ucum.lower(): unit for unit in units.values()}
    close = get_close_matches(word[:100], spoken, n=1, cutoff=0.6)
    return f"did you mean {spoken[close[0]].ucum}, {spoken[close[0]].name}?" if close else "write a UCUM code such as Cel, bar, kW.h or %"


def _plain(text: str) -> str:
    """Without what people write in several ways: dots of products, raised figures, brackets, blanks."""
    return text.strip().translate(_PLAIN)
