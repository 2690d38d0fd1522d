"""Input arguments of a Call (Part 4, 5.11.2): whatever a client sends, it is refused by number, type or size, or it fits."""

from asyncua import ua
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.opcua import limits
from gateway.wire.opcua.call import checked_inputs
from gateway.wire.opcua.face import Text
from gateway.wire.opcua.methods import Argument, MethodRefused

Type = ua.VariantType
BAD_TYPE_MISMATCH, BAD_INVALID_ARGUMENT, BAD_OUT_OF_RANGE = 0x80740000, 0x80AB0000, 0x803C0000
BAD_ARGUMENTS_MISSING, BAD_TOO_MANY_ARGUMENTS = 0x80760000, 0x80E50000
HELD = {
    # DataType of an argument -> what its contents are in Python
    1: bool,
    7: int,
    11: float,
    12: str | None,
    15: bytes | None,
    21: Text | None,
    24: bool | int | float | str | Text,
    290: float,
}
SCALARS = st.one_of(
    st.builds(ua.Variant, st.booleans(), st.just(Type.Boolean)),
    st.builds(ua.Variant, st.integers(0, 2**32 - 1), st.sampled_from([Type.UInt32, Type.Int64, Type.UInt64])),
    st.builds(ua.Variant, st.floats(), st.sampled_from([Type.Double, Type.Float])),
    st.builds(ua.Variant, st.text(max_size=5), st.just(Type.String)),
    st.builds(ua.Variant, st.binary(max_size=5), st.just(Type.ByteString)),
    st.builds(lambda text: ua.Variant(ua.LocalizedText(text, "en"), Type.LocalizedText), st.text(max_size=5)),
    st.sampled_from(
        [ua.Variant(), ua.Variant(None, Type.String), ua.Variant(ua.NodeId(1), Type.NodeId), ua.Variant("\udcff", Type.String)]
    ),
    st.just(ua.Variant(ua.StatusCode(5), Type.StatusCode)),
    st.just(ua.Variant("x" * (limits.ARGUMENT_LENGTH + 1), Type.String)),
)
ARRAYS = st.builds(lambda values: ua.Variant(values, Type.Int32, is_array=True), st.lists(st.integers(0, 9), max_size=3))
VARIANTS = st.lists(st.one_of(SCALARS, ARRAYS), max_size=4)
ARGUMENTS = st.lists(st.builds(Argument, st.just("a"), st.sampled_from(sorted(HELD)), st.booleans(), st.just("")), max_size=4).map(tuple)


def outcome(arguments, values):
    """(status, one per input where they are to blame, contents)."""
    try:
        return 0, (), checked_inputs(arguments, values)
    except MethodRefused as refused:
        return refused.status, refused.inputs, None


@given(ARGUMENTS, VARIANTS)
def test_inputs_fit_or_are_refused_for_a_reason(arguments, values):
    status, inputs, held = outcome(arguments, values)
    if len(values) != len(arguments):
        assert (status, inputs) == (BAD_ARGUMENTS_MISSING if len(values) < len(arguments) else BAD_TOO_MANY_ARGUMENTS, ())
    elif held is None:
        assert (status, len(inputs), any(inputs)) == (BAD_INVALID_ARGUMENT, len(arguments), True)
        assert set(inputs) <= {0, BAD_TYPE_MISMATCH, BAD_OUT_OF_RANGE}
    else:
        for argument, content in zip(arguments, held, strict=True):
            assert isinstance(content, tuple) if argument.array else isinstance(content, HELD[argument.data_type])
