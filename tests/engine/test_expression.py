"""The language of derived tags and interlocks."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import quality
from gateway.model.expression import HOUR_NS, ExpressionError, parse

S = 1_000_000_000
NAMES = ("line.power", "good.count", "a.b", "a.b-c", "c", "3d.x", "line.estop", "max")


def value(text, **values):
    named = {
        "line.power": 10.0,
        "good.count": 4.0,
        "a.b": 7.0,
        "a.b-c": 100.0,
        "c": 2.0,
        "3d.x": 5.0,
        "line.estop": 0.0,
        "max": 1.0,
    } | values
    expression = parse(text, NAMES)
    return expression.evaluate([named[name] for name in expression.names], [0] * len(expression.names))[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7.0),
        ("(1 + 2) * 3", 9.0),
        ("10 - 4 - 3", 3.0),
        ("-2 * -3", 6.0),
        ("12 / 4 / 3", 1.0),
        ("1e-3 + .5", 0.501),
        ("line.power / max(good.count, 1)", 2.5),
        ("clip(line.power, 0, 5) + abs(-1) + sqrt(9)", 9.0),
        ("min(3, 1, 2)", 1.0),
        ("if(line.power > 5, 1, 1 / 0)", 1.0),
        ("line.power >= 10 and not line.estop", 1.0),
        ("not line.power == 10 or false", 0.0),
        ("1 < 2 != false", None),
        ("true + true", 2.0),
    ],
)
def test_what_it_computes(text, expected):
    if expected is None:
        with pytest.raises(ExpressionError, match="do not chain"):
            value(text)
    else:
        assert value(text) == expected


def test_the_longest_known_name_wins_and_what_is_none_is_a_difference():
    assert value("a.b-c") == 100.0
    assert value("a.b - c") == 5.0
    assert value("c-c") == 0.0
    assert value("3d.x-1") == 4.0
    assert value("a.b-3") == 4.0
    assert value("max + max(max, 3)") == 4.0


@pytest.mark.parametrize(
    ("text", "position", "why"),
    [
        ("", 0, "ends too early"),
        ("1 +", 3, "ends too early"),
        ("line.powr * 2", 0, "no tag 'line.powr'"),
        ("1 + foo(2)", 4, "no tag 'foo'"),
        ("(1 + 2", 6, r"'\)' expected"),
        ("1 2", 2, "does not continue"),
        ("min()", 4, "cannot stand here"),
        ("abs(1, 2)", 0, "takes 1 arguments, not 2"),
        ("a.b ; c", 4, "not part of the language"),
        ("__import__('os')", 0, "no tag"),
        ("and 1", 0, "cannot stand here"),
        ("a.b ** 2", 5, "cannot stand here"),
        ("(" * 100 + "1" + ")" * 100, 48, "nested deeper"),
        ("1" * 5000, 4096, "longer than"),
    ],
)
def test_a_fault_names_its_place(text, position, why):
    with pytest.raises(ExpressionError, match=why) as fault:
        parse(text, NAMES)
    assert fault.value.position == position


@pytest.mark.parametrize("text", ["+".join(["c"] * 1500), " and ".join(["c"] * 500), "-" * 40 + "c", "min(" * 40 + "c" + ", 1)" * 40])
def test_no_length_or_depth_that_is_read_is_too_deep_to_compute(text):
    assert math.isfinite(value(text))


def test_an_unknown_name_brings_the_nearest_one():
    with pytest.raises(ExpressionError, match=r"did you mean line\.power"):
        parse("line.powr * 2", NAMES)


def test_an_interlock_cannot_remember():
    with pytest.raises(ExpressionError, match="derived tag of its own"):
        parse("integral(line.power) > 3", NAMES, stateful=False)


@pytest.mark.parametrize("text", ["1 / (c - 2)", "1e308 * 1e308", "sqrt(-1)", "1e308 * 10 - 1e308 * 10", "0 * (1e308 * 10)"])
def test_no_number_is_bad_out_of_range(text):
    expression = parse(text, NAMES)
    number, status = expression.evaluate([2.0] * len(expression.names), [0] * len(expression.names))
    assert math.isnan(number)
    assert status == quality.BAD_OUT_OF_RANGE


def test_the_worst_input_gives_the_status():
    expression = parse("c + a.b + line.power", NAMES)
    codes = [quality.GOOD_LOCAL_OVERRIDE, quality.UNCERTAIN_LAST_USABLE, quality.GOOD]
    assert expression.evaluate([1.0, 2.0, 3.0], codes) == (6.0, quality.UNCERTAIN_LAST_USABLE)
    number, status = expression.evaluate([1.0, 2.0, 3.0], [*codes[:2], quality.BAD_NO_COMMUNICATION])
    assert math.isnan(number)
    assert status == quality.BAD_NO_COMMUNICATION


def advance(expression, memories, x, at_s, status=0):
    return expression.advance([x], [status], at_s * S, memories)


def test_an_integral_of_kilowatts_is_in_kilowatt_hours():
    expression = parse("integral(c)", NAMES)
    memories = expression.memories()
    found = [advance(expression, memories, x, at)[0] for x, at in [(10.0, 0), (20.0, 1800), (0.0, 3600)]]
    assert found == [0.0, 5.0, 15.0]


def test_a_value_reported_by_exception_holds_until_the_next_one():
    """An hour of silence at 50 kW, then zero: a source that reports changes alone means 50 kWh, not the 25 of a straight line."""
    expression = parse("integral(c)", NAMES)
    memories = expression.memories()
    advance(expression, memories, 50.0, 0)
    assert advance(expression, memories, 0.0, 3600)[0] == 50.0


def test_an_integral_does_not_bridge_a_gap():
    """Nobody knows what was used while the link was down."""
    expression = parse("integral(c)", NAMES)
    memories = expression.memories()
    advance(expression, memories, 10.0, 0)
    assert advance(expression, memories, 10.0, 3600)[0] == 10.0
    assert advance(expression, memories, 10.0, 5000, quality.BAD_NO_COMMUNICATION)[1] == quality.BAD_NO_COMMUNICATION
    assert advance(expression, memories, 10.0, 7200) == (10.0, quality.GOOD)
    assert advance(expression, memories, 10.0, 10800) == (20.0, quality.GOOD)


def test_a_rate_waits_for_a_second_sample_and_counts_per_second():
    expression = parse("rate(c)", NAMES)
    memories = expression.memories()
    assert advance(expression, memories, 1.0, 0)[1] == quality.BAD_WAITING_FOR_INITIAL_DATA
    assert advance(expression, memories, 5.0, 2) == (2.0, quality.GOOD)
    assert advance(expression, memories, 9.0, 2) == (2.0, quality.GOOD)


def test_an_integral_runs_on_in_a_branch_that_is_not_taken():
    expression = parse("if(c > 5, integral(c), 0)", NAMES)
    memories = expression.memories()
    for x, at in [(4.0, 0), (4.0, 3600), (6.0, 3600)]:
        found = advance(expression, memories, x, at)
    assert found[0] == 4.0
    assert memories[0].at_ns == HOUR_NS


OPERATORS = st.sampled_from(["+", "-", "*", "/", "<", "<=", ">", ">=", "==", "!="])
NUMBERS = st.integers(0, 9).map(str) | st.sampled_from(["c", "a.b", "good.count"])
TREES = st.recursive(
    NUMBERS,
    lambda inner: (
        st.tuples(inner, OPERATORS, inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})")
        | st.tuples(st.sampled_from(["min", "max"]), inner, inner).map(lambda t: f"{t[0]}({t[1]}, {t[2]})")
        | inner.map(lambda t: f"abs(-{t})")
    ),
    max_leaves=12,
)


@given(TREES)
def test_it_computes_what_python_computes(text):
    python = text.replace("a.b", "7.0").replace("good.count", "4.0").replace("c", "2.0")
    try:
        expected = float(eval(python, {"abs": abs, "min": min, "max": max}))
    except ZeroDivisionError:
        expected = math.nan
    found = value(text)
    assert found == expected or (math.isnan(found) and not math.isfinite(expected))


@given(st.text(st.sampled_from("ab.c-1e+*/()<>=!, andortnifmx"), max_size=40))
def test_any_text_is_read_or_refused_with_a_place_inside_it(text):
    position = 0
    try:
        parse(text, NAMES)
    except ExpressionError as fault:
        position = fault.position
    assert 0 <= position <= len(text)
