"""The table of units: codes, conversions and hints."""

import math
import re
from collections import Counter

import pytest

from gateway.settings import read_units
from gateway.settings.units import _SPOKEN, _plain, unit_hint

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


# UCUM's own definitions (UCUM 4.2-4.5): factor to SI and exponents of m, kg, s, A, K, mol, cd.
ATOMS = {
    "1": (1, ""), "%": (0.01, ""), "[ppth]": (1e-3, ""), "[ppm]": (1e-6, ""), "[ppb]": (1e-9, ""), "rad": (1, ""),
    "deg": (math.pi / 180, ""), "'": (math.pi / 10800, ""), "''": (math.pi / 648000, ""), "gon": (math.pi / 200, ""), "bit": (1, ""),
    "By": (8, ""), "[pH]": (1, ""), "dB": (1, ""), "dB[SPL]": (1, ""), "m": (1, "m"), "g": (1e-3, "kg"), "s": (1, "s"), "A": (1, "A"),
    "K": (1, "K"), "mol": (1, "mol"), "cd": (1, "cd"), "Cel": (1, "K"), "[degF]": (5 / 9, "K"), "[degR]": (5 / 9, "K"), "min": (60, "s"),
    "h": (3600, "s"), "d": (86400, "s"), "wk": (604800, "s"), "mo": (2629800, "s"), "a": (31557600, "s"), "L": (1e-3, "m3"),
    "ar": (100, "m2"), "t": (1000, "kg"), "Hz": (1, "s-1"), "N": (1, "kg m s-2"), "Pa": (1, "kg m-1 s-2"), "J": (1, "kg m2 s-2"),
    "W": (1, "kg m2 s-3"), "C": (1, "A s"), "V": (1, "kg m2 s-3 A-1"), "Ohm": (1, "kg m2 s-3 A-2"), "S": (1, "kg-1 m-2 s3 A2"),
    "F": (1, "kg-1 m-2 s4 A2"), "H": (1, "kg m2 s-2 A-2"), "Wb": (1, "kg m2 s-2 A-1"), "T": (1, "kg s-2 A-1"), "lm": (1, "cd"),
    "lx": (1, "cd m-2"), "Bq": (1, "s-1"), "Sv": (1, "m2 s-2"), "P": (0.1, "kg m-1 s-1"), "St": (1e-4, "m2 s-1"),
    "bar": (1e5, "kg m-1 s-2"), "atm": (101325, "kg m-1 s-2"), "att": (98066.5, "kg m-1 s-2"), "m[Hg]": (133322, "kg m-1 s-2"),
    "m[H2O]": (9806.65, "kg m-1 s-2"), "[in_i'Hg]": (133322 * 0.0254, "kg m-1 s-2"), "[in_i'H2O]": (9806.65 * 0.0254, "kg m-1 s-2"),
    "[psi]": (0.45359237 * 9.80665 / 0.0254**2, "kg m-1 s-2"), "eV": (1.602176634e-19, "kg m2 s-2"), "gf": (9.80665e-3, "kg m s-2"),
    "[g]": (9.80665, "m s-2"), "[lbf_av]": (0.45359237 * 9.80665, "kg m s-2"), "[lb_av]": (0.45359237, "kg"),
    "[oz_av]": (0.45359237 / 16, "kg"), "[ston_av]": (907.18474, "kg"), "[lton_av]": (1016.0469088, "kg"), "[in_i]": (0.0254, "m"),
    "[ft_i]": (0.3048, "m"), "[yd_i]": (0.9144, "m"), "[mi_i]": (1609.344, "m"), "[nmi_i]": (1852, "m"), "[mil_i]": (2.54e-5, "m"),
    "[kn_i]": (1852 / 3600, "m s-1"), "[sin_i]": (0.0254**2, "m2"), "[sft_i]": (0.3048**2, "m2"), "[cin_i]": (0.0254**3, "m3"),
    "[cft_i]": (0.3048**3, "m3"), "[gal_us]": (231 * 0.0254**3, "m3"), "[gal_br]": (4.54609e-3, "m3"),
    "[bbl_us]": (9702 * 0.0254**3, "m3"), "[HP]": (550 * 0.3048 * 0.45359237 * 9.80665, "kg m2 s-3"),
    "[Btu_IT]": (1055.05585262, "kg m2 s-2"),
}  # fmt: skip
PREFIXES = {"G": 1e9, "M": 1e6, "k": 1e3, "h": 100, "d": 0.1, "c": 0.01, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12}


def measured(code: str) -> tuple[float, Counter]:
    """Factor and exponents of a UCUM code: its operators bind from left to right, annotations in braces count for nothing (UCUM 2.3)."""
    factor, exponents, sign = 1.0, Counter(), 1
    for token in re.findall(r"\([^)]*\)|[./]|(?:\[[^]]*\]|[^./([])+", re.sub(r"\{[^}]*\}", "", code)):
        if token in {".", "/"}:
            sign = 1 if token == "." else -1
            continue
        inner, powers = measured(token[1:-1]) if token[0] == "(" else atom(token)
        factor *= inner**sign
        for dimension, exponent in powers.items():
            exponents[dimension] += sign * exponent
    return factor, Counter({dimension: exponent for dimension, exponent in exponents.items() if exponent})


def atom(token: str) -> tuple[float, Counter]:
    name, power = (token, 1) if token in ATOMS else (token.rstrip("23"), int(re.search(r"[23]?$", token)[0] or 1))
    prefix = 1.0 if name in ATOMS else PREFIXES[name[0]]
    factor, dimensions = ATOMS[name if name in ATOMS else name[1:]]
    exponents = Counter()
    for dimension, exponent in re.findall(r"([a-zA-Z]+)(-?\d?)", dimensions):
        exponents[dimension] += power * int(exponent or 1)
    return (prefix * factor) ** power, exponents


def test_each_factor_is_what_its_code_says():
    """The factor of each code, computed from UCUM's definitions; units of one dimension have the same exponents."""
    found: dict[str, Counter] = {}
    for code, unit in UNITS.items():
        if code.startswith("{") and unit.dimension in {"count", "angle"}:
            continue  # a pair is two, a revolution a whole turn: said by the table alone
        factor, exponents = measured(code)
        assert unit.factor == pytest.approx(factor, rel=1e-9), code
        assert found.setdefault(unit.dimension, exponents) == exponents, code


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
        ("degC", "Cel"),
        ("C", "Cel"),
        ("deg C", "Cel"),
        ("degF", "[degF]"),
        ("kW h", "kW.h"),
        ("kW*h", "kW.h"),
        ("MWh", "MW.h"),
        ("m³/h", "m3/h"),
        ("m^3/h", "m3/h"),
        ("m3/hr", "m3/h"),
        ("Nm3/h", "m3{norm}/h"),
        ("1/min", "/min"),
        ("r/min", "/min"),
        ("RPM", "/min"),
        ("N m", "N.m"),
        ("barg", "bar"),
        ("pcs", "{piece}"),
        ("sec", "s"),
        ("Bar", "bar"),
    ],
)
def test_hints_speak_the_plants_language(text, code):
    """Symbols, names and UNECE codes lead to the UCUM code."""
    assert unit_hint(text, UNITS).startswith(f"did you mean {code},")


def test_every_spoken_word_leads_to_a_unit_of_the_table():
    assert set(_SPOKEN.values()) <= set(UNITS)
    assert all(word == word.lower() == _plain(word) for word in _SPOKEN)
