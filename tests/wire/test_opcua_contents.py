"""Plain contents and the library's Variants, both ways (Part 6, 5.1), and which value fits which argument (Part 4, 5.11.2.4)."""

import string

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import variant_from_binary, variant_to_binary
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.opcua.contents import ANY, content, fits, key_of, variant
from gateway.wire.opcua.face import Builtin, EnumValue, EuInformation, Range, Reading, Text, TimeZone
from gateway.wire.opcua.methods import Argument

TEXTS = st.text(max_size=20)
SCALARS = {
    Builtin.BOOLEAN: st.booleans(),
    Builtin.BYTE: st.integers(0, 2**8 - 1),
    Builtin.UINT16: st.integers(0, 2**16 - 1),
    Builtin.INT32: st.integers(-(2**31), 2**31 - 1),
    Builtin.UINT32: st.integers(0, 2**32 - 1),
    Builtin.INT64: st.integers(-(2**63), 2**63 - 1),
    Builtin.DOUBLE: st.floats(allow_nan=False),
    Builtin.STRING: TEXTS,
    Builtin.BYTE_STRING: st.binary(max_size=20),
    Builtin.LOCALIZED_TEXT: st.builds(Text, TEXTS, st.sampled_from(["en", "de-DE"])),
}
KINDS = st.sampled_from(sorted(SCALARS))


def over_the_wire(value):
    return variant_from_binary(Buffer(variant_to_binary(value)))


def argument(kind, *, array=False):
    return Argument("a", int(kind), array, "")


@st.composite
def typed(draw):
    kind = draw(KINDS)
    return kind, draw(SCALARS[kind])


@given(typed())
def test_a_scalar_comes_back_as_it_went(pair):
    kind, value = pair
    wire = over_the_wire(variant(Reading(value, kind)))
    assert fits(wire, argument(kind))
    assert content(wire) == value


@given(KINDS.flatmap(lambda kind: st.tuples(st.just(kind), st.lists(SCALARS[kind], max_size=5).map(tuple))))
def test_an_array_comes_back_as_it_went_and_is_no_scalar(pair):
    kind, values = pair
    wire = over_the_wire(variant(Reading(values, kind)))
    assert fits(wire, argument(kind, array=True))
    assert not fits(wire, argument(kind))
    assert content(wire) == values


@given(typed(), KINDS)
def test_a_value_fits_its_own_type_and_any_but_no_other(pair, other):
    kind, value = pair
    wire = over_the_wire(variant(Reading(value, kind)))
    assert fits(wire, argument(other)) is (other is kind)
    assert fits(wire, argument(kind, array=True)) is False
    assert fits(wire, argument(ANY)) is (kind is not Builtin.BYTE_STRING)


def test_a_null_fits_what_can_be_null():
    null = ua.Variant()
    nullable = {Builtin.STRING, Builtin.BYTE_STRING, Builtin.LOCALIZED_TEXT}
    assert {kind for kind in SCALARS if fits(null, argument(kind))} == nullable
    assert all(fits(null, argument(kind, array=True)) for kind in SCALARS)
    assert not fits(null, argument(ANY))


def test_a_matrix_fits_nothing():
    matrix = over_the_wire(ua.Variant([1, 2, 3, 4], ua.VariantType.Int32, Dimensions=[2, 2], is_array=True))
    assert not fits(matrix, argument(Builtin.INT32, array=True))


@given(st.text(string.ascii_letters, min_size=1))
def test_text_that_is_not_utf8_is_refused(start):
    for held in (f"{start}\udcff", ua.LocalizedText("\udcff"), ua.LocalizedText("x", "\udcff")):
        kind = ua.VariantType.String if isinstance(held, str) else ua.VariantType.LocalizedText
        with pytest.raises(ValueError, match="surrogates"):
            content(ua.Variant(held, kind))


def test_what_is_no_scalar_has_the_type_of_the_standard():
    for held, name in (
        (Range(0.0, 1.0), "Range"),
        (EuInformation(1, "C", "Celsius"), "EUInformation"),
        (TimeZone(120), "TimeZoneDataType"),
        (argument(Builtin.DOUBLE), "Argument"),
    ):
        assert type(over_the_wire(variant(Reading(held))).Value).__name__ == name
    states = over_the_wire(variant(Reading((EnumValue(0, "off"), EnumValue(1, "on")))))
    assert [(one.Value, one.DisplayName.Text) for one in states.Value] == [(0, "off"), (1, "on")]


def test_identifiers_times_and_statuses():
    for key in (2253, "line.temp"):
        assert key_of(over_the_wire(variant(Reading(key, Builtin.NODE_ID))).Value) == key
    assert over_the_wire(variant(Reading(0, Builtin.NODE_ID))).Value.is_null()
    assert key_of(ua.NodeId(5, 7)) is None
    assert over_the_wire(variant(Reading(1_790_000_000_000_000_000, Builtin.DATE_TIME))).Value.timestamp() == 1_790_000_000
    assert variant_to_binary(variant(Reading(0, Builtin.DATE_TIME)))[1:] == bytes(8)
    assert over_the_wire(variant(Reading(0x80340000, Builtin.STATUS_CODE))).Value.value == 0x80340000
    assert variant(Reading(None, Builtin.DOUBLE)) == ua.Variant()
