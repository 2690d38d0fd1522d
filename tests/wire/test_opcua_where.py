"""Where clauses (Part 4, 7.7): three-valued logic, patterns, conversions, types, and what is refused. Pure."""

import asyncio
import re
import struct
from datetime import UTC, datetime
from uuid import UUID

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import variant_from_binary
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.opcua import limits
from gateway.wire.opcua.casts import Typed, cast, common, of_variant
from gateway.wire.opcua.event_fields import Fields
from gateway.wire.opcua.event_filter import compile_filter
from gateway.wire.opcua.event_types import EventTypes
from gateway.wire.opcua.face import Builtin, NodeClass, Reading, Text
from gateway.wire.opcua.like import Pattern
from gateway.wire.opcua.occurrences import EventType, Occurrence
from gateway.wire.opcua.standard import StandardNodes, standard_file
from gateway.wire.opcua.where import compile_where
from support.opcua_face import CACHE

Op = ua.FilterOperator
PREDICTED = EventType("PredictedLimitAlarmType", 2915, (("2:Horizon",),))
LEVEL_ALARM = 10060  # NonExclusiveLevelAlarmType
FIELDS = {
    ("Severity",): Reading(700, Builtin.UINT16),
    ("Message",): Reading(Text("Oven is hot"), Builtin.LOCALIZED_TEXT),
    ("SourceName",): Reading("line.oven", Builtin.STRING),
    ("Retain",): Reading(True, Builtin.BOOLEAN),
    ("Quality",): Reading(None, Builtin.STATUS_CODE, status=0x80000000),
    ("ConditionName",): Reading("12", Builtin.STRING),
    ("EventId",): Reading(b"\x01" * 16, Builtin.BYTE_STRING),
    ("ReceiveTime",): Reading(1_790_000_000_000_000_000, Builtin.DATE_TIME),
}


@pytest.fixture(scope="module")
def types():
    return EventTypes(StandardNodes(asyncio.run(standard_file(CACHE))), [PREDICTED])


def event(event_type=LEVEL_ALARM, fields=FIELDS):
    return Fields(Occurrence(event_type, "line.oven", 1_790_000_000_000_000_000, fields.get))


def literal(value, kind=None):
    return ua.LiteralOperand(value if isinstance(value, ua.Variant) else ua.Variant(value, kind))


NULL = literal(ua.Variant())


def attribute(*path, of=2041):
    return ua.SimpleAttributeOperand(ua.NodeId(of), [ua.QualifiedName(name) for name in path], ua.AttributeIds.Value)


def clause(*elements):
    return ua.ContentFilter([ua.ContentFilterElement(operator, list(operands)) for operator, operands in elements])


def passes(types, *elements, of=None):
    where, results = compile_where(clause(*elements), types)
    assert not any(result.status for result in results), results
    return where.passes(of or event())


def truth(types, operator, *operands):
    """TRUE, FALSE or NULL (None) of one element, found out by asking for it and for its opposite."""
    if passes(types, (operator, operands)):
        return True
    return False if passes(types, (Op.Not, [ua.ElementOperand(1)]), (operator, operands)) else None


# --- three-valued logic ----------------------------------------------------------------------------------------------------------------

KLEENE = st.sampled_from([True, False, None])


def of_truth(value):
    return NULL if value is None else literal(value)


@given(KLEENE, KLEENE)
def test_and_or_not_follow_the_truth_tables(types, left, right):
    """7.7.3, logical AND and OR truth tables: NULL is what is not known."""
    either = [left, right]
    conjunction = False if False in either else None if None in either else True
    disjunction = True if True in either else None if None in either else False
    assert truth(types, Op.And, of_truth(left), of_truth(right)) is conjunction
    assert truth(types, Op.Or, of_truth(left), of_truth(right)) is disjunction
    assert truth(types, Op.Not, of_truth(left)) is (None if left is None else not left)


trees = st.recursive(
    KLEENE,
    lambda below: st.one_of(
        st.tuples(st.just(Op.Not), below), st.tuples(st.just(Op.And), below, below), st.tuples(st.just(Op.Or), below, below)
    ),
    max_leaves=20,
)


def evaluated(tree):
    if not isinstance(tree, tuple):
        return tree
    values = [evaluated(branch) for branch in tree[1:]]
    if tree[0] is Op.Not:
        return None if values[0] is None else not values[0]
    decides = tree[0] is Op.Or
    return decides if decides in values else None if None in values else not decides


def flattened(tree, elements):
    """The operand that stands for a tree; its elements go behind those that are there."""
    if not isinstance(tree, tuple):
        return of_truth(tree)
    place = len(elements)
    elements.append(None)
    elements[place] = (tree[0], [flattened(branch, elements) for branch in tree[1:]])
    return ua.ElementOperand(place)


@given(trees)
def test_any_tree_of_elements_is_evaluated_as_it_is_written(types, tree):
    elements = []
    flattened((Op.Or, tree, False), elements)
    assert passes(types, *elements) is (evaluated(tree) is True)


def test_a_ladder_of_shared_elements_is_evaluated_in_one_pass(types):
    """Each element refers twice to the next: as many paths as 2^100, and no deeper than its own length."""
    rungs = [(Op.And, [ua.ElementOperand(n + 1)] * 2) for n in range(limits.FILTER_ELEMENTS - 1)]
    assert passes(types, *rungs, (Op.Not, [literal(False)]))


# --- Like ------------------------------------------------------------------------------------------------------------------------------

ALPHABET = "ab-]^\\%_[é\n"


def reference(pattern):
    """The same pattern as a regular expression, written down independently."""
    parts, at = [], 0
    while at < len(pattern):
        rest = pattern[at:]
        listed = re.match(r"\[(\^?+)((?:\\.|[^\]\\])+)\]", rest, re.DOTALL)
        if listed:
            inside = re.findall(r"\\(.)|(.)", listed[2], re.DOTALL)
            characters = [(escaped or plain, bool(escaped)) for escaped, plain in inside]
            body, place = [], 0
            while place < len(characters):
                low = characters[place][0]
                if place + 2 < len(characters) and characters[place + 1] == ("-", False):
                    high = characters[place + 2][0]
                    body.append("" if low > high else f"{re.escape(low)}-{re.escape(high)}")
                    place += 3
                else:
                    body.append(re.escape(low))
                    place += 1
            joined = "".join(body)
            if listed[1]:
                parts.append(f"[^{joined}]" if joined else ".")
            else:
                parts.append(f"[{joined}]" if joined else "(?!)")
            at += listed.end()
        elif rest[0] == "\\" and len(rest) > 1:
            parts.append(re.escape(rest[1]))
            at += 2
        else:
            parts.append({"%": ".*", "_": "."}.get(rest[0], re.escape(rest[0])))
            at += 1
    return re.compile("".join(parts), re.DOTALL)


@given(st.text(ALPHABET, max_size=8), st.text(ALPHABET, max_size=8))
def test_patterns_match_what_the_same_expression_matches(pattern, text):
    assert Pattern.of(pattern).matches(text) is bool(reference(pattern).fullmatch(text))


@pytest.mark.parametrize(
    ("pattern", "fits", "fits_not"),
    [  # the standard's own examples (7.7.3, wildcard characters) come first
        ("main%", ["main", "main road"], ["a main", "Main"]),
        ("%en%", ["entail", "green", "en"], ["ne"]),
        ("abc[13-68]", ["abc1", "abc3", "abc4", "abc6", "abc8"], ["abc2", "abc7", "abc"]),
        ("ABC[^13-5]", ["ABC2", "ABC6"], ["ABC1", "ABC4"]),
        (r"50\%", ["50%"], ["500", "50"]),
        ("_", ["x", "%"], ["", "xy"]),
        ("[", ["["], ["]"]),
        ("[^]", ["[^]"], ["^", "x"]),
        ("a[]b", ["a[]b"], ["ab"]),
        (r"[\]]", ["]"], ["\\"]),
    ],
)
def test_patterns(pattern, fits, fits_not):
    compiled = Pattern.of(pattern)
    assert [text for text in fits if not compiled.matches(text)] == []
    assert [text for text in fits_not if compiled.matches(text)] == []


def test_no_pattern_is_slow():
    """What makes a backtracking matcher take for ever is done in no time."""
    assert not Pattern.of("%a" * 100 + "b").matches("a" * 4000)


def test_like_of_texts_and_of_what_is_none(types):
    assert truth(types, Op.Like, attribute("Message"), literal("Oven%")) is True
    assert truth(types, Op.Like, literal("abc"), attribute("SourceName")) is False
    assert truth(types, Op.Like, NULL, literal("%")) is False


# --- comparison and conversion ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operator", "operands", "wanted"),
    [
        (Op.Equals, [attribute("Severity"), literal(700, ua.VariantType.Int64)], True),
        (Op.Equals, [attribute("Severity"), literal("700")], True),  # a String becomes a number
        (Op.Equals, [attribute("Severity"), literal("many")], False),  # or it does not
        (Op.Equals, [attribute("Severity"), NULL], False),
        (Op.Equals, [attribute("Retain"), literal("TRUE")], True),
        (Op.Equals, [attribute("Message"), literal("Oven is hot")], True),
        (Op.Equals, [attribute("EventType"), literal(ua.NodeId(LEVEL_ALARM))], True),
        (Op.Equals, [attribute("EventType"), literal(ua.NodeId(LEVEL_ALARM, 5))], False),
        (Op.Equals, [attribute("SourceNode"), literal(ua.NodeId("line.oven", 2))], True),
        (Op.Equals, [attribute("SourceNode"), literal("ns=2;s=line.oven")], True),
        (Op.Equals, [attribute("EventId"), literal(b"\x01" * 16)], True),
        (Op.Equals, [attribute("EventId"), literal(UUID(bytes=b"\x01" * 16))], False),  # a Guid only by Cast
        (Op.Equals, [attribute("ReceiveTime"), literal(datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC))], True),
        (Op.LessThan, [attribute("Severity"), literal(700.5)], True),
        (Op.LessThan, [attribute("Severity"), literal(float("nan"))], False),
        (Op.GreaterThan, [literal("b"), literal("a")], True),
        (Op.GreaterThan, [attribute("SourceNode"), literal(ua.NodeId(1))], False),  # has no order
        (Op.GreaterThanOrEqual, [literal([1, 2]), literal([1, 1])], False),
        (Op.Equals, [literal([1, 2]), literal([1, 2])], True),
        (Op.LessThanOrEqual, [attribute("Time"), attribute("ReceiveTime")], True),
        (Op.Between, [attribute("Severity"), literal(601), literal(800)], True),
        (Op.Between, [attribute("Severity"), literal(601), NULL], False),
        (Op.InList, [attribute("SourceName"), literal("a"), literal("line.oven")], True),
        (Op.InList, [attribute("SourceName"), literal("a"), NULL], False),
        (Op.IsNull, [attribute("ActiveState")], True),
        (Op.IsNull, [attribute("Quality")], True),  # a StatusCode stands there instead of the value
        (Op.IsNull, [attribute("Severity")], False),
        (Op.IsNull, [attribute("LowLimit", of=ua.ObjectIds.ExclusiveLimitAlarmType)], True),
        (Op.Not, [attribute("Severity")], None),
        (Op.OfType, [literal(ua.NodeId(2041))], True),
        (Op.OfType, [literal(ua.NodeId(2915))], True),
        (Op.OfType, [literal(ua.NodeId(9341))], False),
        (Op.OfType, [attribute("EventType")], True),
        (Op.Cast, [literal("1"), literal(ua.NodeId(1))], True),
        (Op.Cast, [literal("2"), literal(ua.NodeId(1))], None),
        (Op.Cast, [literal(1), literal(ua.NodeId(85))], None),
    ],
)
def test_operators(types, operator, operands, wanted):
    assert truth(types, operator, *operands) is wanted


def test_bits(types):
    """BitwiseAnd and BitwiseOr make numbers, of the type that takes precedence; of what is no integer NULL."""
    for operator, left, right, wanted in (
        (Op.BitwiseAnd, 6, 3, 2),
        (Op.BitwiseOr, 6, 3, 7),
        (Op.BitwiseAnd, 6.0, 3, None),
        (Op.BitwiseAnd, "6", 3, None),
    ):
        elements = ((Op.Equals, [ua.ElementOperand(1), literal(wanted or 0)]), (operator, [literal(left), literal(right)]))
        assert passes(types, *elements) is (wanted is not None)


NUMBERS = {
    Builtin.SBYTE: st.integers(-(2**7), 2**7 - 1),
    Builtin.BYTE: st.integers(0, 2**8 - 1),
    Builtin.INT16: st.integers(-(2**15), 2**15 - 1),
    Builtin.UINT16: st.integers(0, 2**16 - 1),
    Builtin.INT32: st.integers(-(2**31), 2**31 - 1),
    Builtin.UINT32: st.integers(0, 2**32 - 1),
    Builtin.INT64: st.integers(-(2**63), 2**63 - 1),
    Builtin.UINT64: st.integers(0, 2**64 - 1),
    Builtin.DOUBLE: st.floats(),
    Builtin.STRING: st.one_of(st.text(max_size=12), st.integers().map(str), st.floats().map(str)),
    Builtin.DATE_TIME: st.integers(-(2**63), 2**63 - 1),
    Builtin.BYTE_STRING: st.binary(max_size=20),
    Builtin.GUID: st.binary(min_size=16, max_size=16),
    Builtin.BOOLEAN: st.booleans(),
    Builtin.STATUS_CODE: st.integers(0, 2**32 - 1),
    Builtin.NODE_ID: st.one_of(st.integers(0, 2**32 - 1), st.text(max_size=8), st.just(ua.NodeId(7, 9))),
    Builtin.LOCALIZED_TEXT: st.text(max_size=8),
    Builtin.QUALIFIED_NAME: st.text(max_size=8),
}
typed = st.one_of([values.map(lambda content, kind=kind: Typed(int(kind), content)) for kind, values in NUMBERS.items()])


@given(typed, typed)
def test_a_common_type_is_the_same_whichever_comes_first(left, right):
    one, other = common(left, right), common(right, left)
    assert (one is None) is (other is None)
    if one is not None and other is not None:
        assert repr(one) == repr((other[0], other[2], other[1]))


@given(typed, st.integers(0, 30))
def test_a_cast_makes_what_was_asked_for_or_nothing(value, kind):
    made = cast(value, kind)
    assert made is None or made.kind == kind
    assert cast(value, value.kind) == value or value.content != value.content


@pytest.mark.parametrize(
    ("value", "kind", "wanted"),
    [
        (Typed(Builtin.DOUBLE, 2.5), Builtin.INT32, 3),
        (Typed(Builtin.DOUBLE, -2.5), Builtin.INT32, -3),
        (Typed(Builtin.DOUBLE, float("inf")), Builtin.INT64, None),
        (Typed(Builtin.INT32, 256), Builtin.BYTE, None),
        (Typed(Builtin.DOUBLE, 1e300), Builtin.FLOAT, None),
        (Typed(Builtin.UINT16, 0x8034), Builtin.STATUS_CODE, 0x80340000),
        (Typed(Builtin.STATUS_CODE, 0x80340480), Builtin.UINT16, 0x8034),
        (Typed(Builtin.STRING, "i=2253"), Builtin.NODE_ID, 2253),
        (Typed(Builtin.STRING, "nothing"), Builtin.NODE_ID, None),
        (Typed(Builtin.STRING, "2026-09-21T14:13:20Z"), Builtin.DATE_TIME, 1_790_000_000_000_000_000),
        (Typed(Builtin.DATE_TIME, 1_790_000_000_123_456_700), Builtin.STRING, "2026-09-21T14:13:20.1234567Z"),
        (Typed(Builtin.GUID, b"\x01" * 16), Builtin.STRING, "01010101-0101-0101-0101-010101010101"),
        (Typed(Builtin.STRING, "01010101-0101-0101-0101-010101010101"), Builtin.GUID, b"\x01" * 16),
        (Typed(Builtin.BYTE_STRING, b"\x01"), Builtin.GUID, None),
        (Typed(Builtin.INT32, (1, 2)), Builtin.STRING, ("1", "2")),
        (Typed(Builtin.STRING, "9" * 5000), Builtin.INT64, None),
    ],
)
def test_casts(value, kind, wanted):
    made = cast(value, kind)
    assert (None if made is None else made.content) == wanted


operands = st.one_of(
    st.builds(ua.ElementOperand, st.integers(-1, 6)),
    st.sampled_from([NULL, literal(True), literal(5), literal("x%"), literal(ua.NodeId(2041)), literal([1, 2]), literal(2.5)]),
    st.sampled_from([attribute("Severity"), attribute("Message"), attribute("ActiveState", "Id"), attribute("Nowhere")]),
    st.just(ua.AttributeOperand()),
    st.just(ua.ExtensionObject()),
    st.none(),
)


@given(st.lists(st.tuples(st.sampled_from(list(Op)), st.lists(operands, max_size=4)), max_size=6))
def test_whatever_a_client_writes_is_refused_or_evaluated(types, elements):
    """No clause raises, neither when it is read nor when an event comes."""
    where, results = compile_where(clause(*elements), types)
    assert len(results) == len(elements)
    if not any(result.status for result in results):
        assert where.passes(event()) in (True, False)


@pytest.mark.parametrize(
    ("elements", "status", "operands"),
    [
        ([(Op.Not, [ua.ElementOperand(0)])], "BadFilterOperandInvalid", ["BadFilterElementInvalid"]),  # comes back to itself
        ([(Op.Not, [ua.ElementOperand(1)])], "BadFilterOperandInvalid", ["BadFilterElementInvalid"]),  # is not there
        ([(Op.Equals, [literal(1)])], "BadFilterOperandCountMismatch", []),
        ([(Op.InView, [literal(1)])], "BadFilterOperatorUnsupported", []),
        ([(99, [literal(1)])], "BadFilterOperatorInvalid", []),
        ([(Op.IsNull, [attribute("Nowhere")])], "BadFilterOperandInvalid", ["BadNodeIdUnknown"]),
        ([(Op.IsNull, [attribute("Message", of=58)])], "BadFilterOperandInvalid", ["BadTypeDefinitionInvalid"]),
        ([(Op.OfType, [literal(3)])], "BadFilterOperandInvalid", ["BadFilterOperandInvalid"]),
        ([(Op.OfType, [literal(ua.NodeId("no", 2))])], "BadFilterOperandInvalid", ["BadTypeDefinitionInvalid"]),
        ([(Op.Like, [attribute("Message"), literal("x" * 5000)])], "BadFilterOperandInvalid", ["Good", "BadFilterLiteralInvalid"]),
        ([(Op.Not, [literal(True)])] * 1000, "BadTooManyOperations", []),
    ],
)
def test_what_cannot_be_is_refused(types, elements, status, operands):
    _, results = compile_where(clause(*elements), types)
    assert ua.StatusCode(results[0].status).name == status
    assert [ua.StatusCode(code).name for code in results[0].operands] == operands


# --- types -----------------------------------------------------------------------------------------------------------------------------


def test_types_of_the_standard_and_of_our_own_are_one_tree(types):
    assert types.ancestry(LEVEL_ALARM) == (10060, 9906, 2955, 2915, 2881, 2782, 2041)
    assert types.is_a("PredictedLimitAlarmType", 2782)
    assert types.ancestry(58) == types.ancestry("unknown") == types.ancestry(10**9) == ()
    assert passes(types, (Op.OfType, [literal(ua.NodeId(2782))]), of=event("PredictedLimitAlarmType"))
    assert passes(types, (Op.OfType, [literal(ua.NodeId("PredictedLimitAlarmType", 2))]), of=event("PredictedLimitAlarmType"))
    assert not passes(types, (Op.OfType, [literal(ua.NodeId("PredictedLimitAlarmType", 2))]))


@pytest.mark.parametrize(
    ("of", "path", "found"),
    [
        (2041, ("Message",), NodeClass.VARIABLE),
        (2041, ("2:Horizon",), NodeClass.VARIABLE),  # BaseEventType stands for all
        ("PredictedLimitAlarmType", ("2:Horizon",), NodeClass.VARIABLE),
        ("PredictedLimitAlarmType", ("ActiveState", "Id"), NodeClass.VARIABLE),
        (2782, ("ActiveState", "Id"), None),
        (2881, ("AckedState", "TransitionTime"), NodeClass.VARIABLE),
        (9341, ("LimitState", "CurrentState", "Id"), NodeClass.VARIABLE),
        (2915, ("ShelvingState",), NodeClass.OBJECT),
        (2915, ("ShelvingState", "CurrentState"), NodeClass.VARIABLE),
        (2782, ("Enable",), None),  # a Method
        (2041, ("Nowhere", "Id"), None),
        (58, ("Message",), None),
    ],
)
def test_fields_of_types(types, of, path, found):
    assert types.field(of, path) is found


def test_literals_are_plain_values():
    assert of_variant(ua.Variant(ua.LocalizedText("x"))) == Typed(Builtin.LOCALIZED_TEXT, "x")
    assert of_variant(ua.Variant(ua.QualifiedName("x", 3))) == Typed(Builtin.QUALIFIED_NAME, "3:x")
    assert of_variant(ua.Variant(ua.StatusCode(5))) == Typed(Builtin.STATUS_CODE, 5)
    assert of_variant(ua.Variant()) is None


# --- select clauses --------------------------------------------------------------------------------------------------------------------

node_ids = st.one_of(
    st.builds(ua.NodeId, st.sampled_from([0, 58, 2041, 2782, 2915, 9341, 10060, 2**31]), st.sampled_from([0, 1, 2, 7])),
    st.builds(ua.NodeId, st.sampled_from(["PredictedLimitAlarmType", "", "x"]), st.sampled_from([0, 2, 3])),
    st.builds(ua.NodeId, st.binary(max_size=4), st.just(2)),
    st.none(),
)
names = st.builds(
    ua.QualifiedName,
    st.sampled_from(["Message", "ActiveState", "Id", "LimitState", "CurrentState", "Horizon", "", None]),
    st.integers(0, 3),
)
clauses = st.builds(
    ua.SimpleAttributeOperand,
    node_ids,
    st.one_of(st.none(), st.lists(names, max_size=20)),
    st.sampled_from([0, 1, 13, 14, 2**32 - 1]),
    st.sampled_from([None, "", "0", "0:1", "1:0", "0,1", "x", "1:", "٣"]),
)


@given(st.lists(clauses, max_size=6))
def test_whatever_a_client_selects_is_a_field_or_refused(types, asked):
    """One valid clause is enough; the others are null, and named."""
    compiled = compile_filter(ua.EventFilter(asked, ua.ContentFilter()), types)
    codes = [] if compiled.result is None else [code.value for code in compiled.result.SelectClauseResults]
    assert bool(compiled.status) is (not asked or (len(codes) > 0 and all(codes)))
    encoded = Buffer(compiled.filter.encoded(event()))
    (count,) = struct.unpack("<i", encoded.read(4))
    fields = [variant_from_binary(encoded) for _ in range(count)]
    assert len(fields) == (len(asked) if asked else 0)
    assert all(field.Value is None for field, code in zip(fields, codes, strict=False) if code)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("0:3", "line"),
        ("5:99", "oven"),
        ("99", ua.StatusCode(ua.StatusCodes.BadIndexRangeNoData)),
        ("0,1", ua.StatusCode(ua.StatusCodes.BadIndexRangeNoData)),
    ],
)
def test_a_part_of_a_field(types, wanted, found):
    """IndexRange (7.27) of a text or an array."""
    clause_ = attribute("SourceName")
    clause_.IndexRange = wanted
    compiled = compile_filter(ua.EventFilter([clause_], ua.ContentFilter()), types)
    encoded = Buffer(compiled.filter.encoded(event()))
    encoded.read(4)
    assert variant_from_binary(encoded).Value == found


def test_clients_that_select_the_same_share_what_is_encoded(types):
    first, second = (compile_filter(ua.EventFilter([attribute("Message")], ua.ContentFilter()), types).filter for _ in range(2))
    happened = event()
    assert first.selection is second.selection
    assert first.encoded(happened) is second.encoded(happened)
