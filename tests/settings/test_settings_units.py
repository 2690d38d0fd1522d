"""The table of units: codes, conversions and hints."""

import math
import re

import pytest

from gateway.settings import read_units
from gateway.settings.units import unit_hint

UNITS = read_units()


def convert(value: float, from_: str, to: str) -> float:
    one, other = UNITS[from_], UNITS[to]
    assert one.dimension == other.dimension
    return (value * one.factor + one.offset - other.offset) / other.factor


def test_codes_are_unique_and_have_their_shape():
    """UCUM codes are printable ASCII without spaces (UCUM 2.3); UNECE Rec. 20 codes are two or three capitals or digits, one unit each.

    Only units that differ by an annotation in braces, which says what is counted, may share a code.
    """
    assert len(UNITS) >= 200
    assert all(re.fullmatch(r"[!-~]+", code) for code in UNITS)
    assert all(re.fullmatch(r"[0-9A-Z]{2,3}", unit.unece) for unit in UNITS.values() if unit.unece)
    plain = [unit.unece for code, unit in UNITS.items() if unit.unece and "{" not in code]
    assert len(plain) == len(set(plain))
    assert all(unit.symbol and unit.name and unit.dimension for unit in UNITS.values())


def test_each_dimension_has_one_scale():
    """Factors are positive and finite, only temperatures have an offset, and each dimension has one base unit or a power of ten of it."""
    for unit in UNITS.values():
        assert 0 < unit.factor < math.inf
        assert unit.offset == 0 or unit.dimension == "temperature"
    names = [(unit.dimension, unit.name) for unit in UNITS.values()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("value", "from_", "to", "expected"),
    [
        (100, "Cel", "[degF]", 212),
        (-40, "[degF]", "Cel", -40),
        (0, "Cel", "K", 273.15),
        (1, "kW.h", "MJ", 3.6),
        (1, "bar", "kPa", 100),
        (1, "[psi]", "Pa", 6894.757293168),
        (1, "atm", "mbar", 1013.25),
        (1, "mm[Hg]", "Pa", 133.322),
        (1, "m3/h", "L/min", 1000 / 60),
        (1, "[in_i]", "mm", 25.4),
        (1, "[lb_av]", "kg", 0.45359237),
        (1, "[gal_us]", "L", 3.785411784),
        (1, "d", "h", 24),
        (180, "deg", "rad", math.pi),
        (3000, "/min", "Hz", 50),
        (1, "[HP]", "W", 745.6998715822702),
        (1, "[lbf_av].[ft_i]", "N.m", 1.3558179483314004),
        (36, "km/h", "m/s", 10),
        (1, "uS/cm", "mS/cm", 0.001),
        (1, "cSt", "mm2/s", 1),
        (1, "cP", "mPa.s", 1),
        (1, "g/cm3", "kg/m3", 1000),
        (1, "A.h", "C", 3600),
        (1, "t/h", "kg/s", 1 / 3.6),
        (50, "%", "1", 0.5),
    ],
)
def test_known_conversions(value, from_, to, expected):
    assert convert(value, from_, to) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    ("code", "unece", "unit_id"),
    [
        ("Cel", "CEL", 4408652),
        ("kW.h", "KWH", 4937544),
        ("%", "P1", 20529),
        ("1", "C62", 4404786),
        ("m3/h", "MQH", 5067080),
        ("bar", "BAR", 4342098),
    ],
)
def test_unit_ids_of_opc_ua(code, unece, unit_id):
    """Part 8, 5.6.4.3: the characters of the common code as big-endian bytes, as in the OPC Foundation's mapping table."""
    assert (UNITS[code].unece, UNITS[code].unit_id) == (unece, unit_id)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("°C", "Cel"),
        ("celsius", "Cel"),
        ("kWh", "kW.h"),
        ("KWH", "kW.h"),
        ("rpm", "/min"),
        ("psi", "[psi]"),
        ("kvar", "kV.A{reactive}"),
        ("percent", "%"),
        ("l/min", "L/min"),
    ],
)
def test_hints_speak_the_plants_language(text, code):
    """Symbols, names and UNECE codes lead to the UCUM code."""
    assert unit_hint(text, UNITS).startswith(f"did you mean {code},")
