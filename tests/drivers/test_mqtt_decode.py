"""Payloads to columns: each form of payload, and what becomes of those that cannot be read."""

import math

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.mqtt.config import Config
from drivers.mqtt.decode import Decoder, tokens
from gateway.model import quality
from gateway.model.instant import iso, iso_column, parse
from gateway.model.tag import Tag, TagTable, TagType
from gateway.model.update import Columns
from gateway.sinks.mqtt.encode import Encoder
from gateway.wire.mqtt.packets import Message

T = 1_795_000_000_123_000_000
FIELDS = ("timestamp", "ts", "time")


def decode(tags, *messages):
    decoder = Decoder(tags, FIELDS)
    return decoder.decode([Message(topic.encode(), payload, 0, False, False) for topic, payload in messages], T, "receipt")


def rows(decoded):
    batch = decoded.batch
    columns = (batch.tag_id.tolist(), batch.value.tolist(), batch.status.tolist(), batch.source_ns.tolist())
    return [(tag, batch.text.get(place, value), status, at) for place, (tag, value, status, at) in enumerate(zip(*columns, strict=True))]


def one(kind, payload, address="a", labels=None):
    decoded = decode([Tag(0, "t", "s", address, kind, labels=labels or {})], ("a", payload))
    (row,) = rows(decoded)
    return row[1], quality.name(row[2])


F, I, B, S, E = TagType.FLOAT, TagType.INT, TagType.BOOL, TagType.TEXT, TagType.ENUM  # noqa: E741  the five types
STATES = {0: "stopped", 1: "running"}


@pytest.mark.parametrize(
    ("kind", "payload", "value"),
    [
        (F, b"21.5", 21.5),
        (F, b" 21.5\n", 21.5),
        (F, b"+7", 7.0),
        (F, b"007", 7.0),
        (F, b"-1e-3", -0.001),
        (F, b'"3.5"', 3.5),
        (F, b"true", 1.0),
        (F, b"18446744073709551616", 2.0**64),
        (F, b'{"value": 2}', 2.0),
        (I, b"42", 42.0),
        (I, b"42.0", 42.0),
        (I, b"-9007199254740992", -(2.0**53)),
        (B, b"on", 1.0),
        (B, b"OFF", 0.0),
        (B, b"false", 0.0),
        (B, b"1", 1.0),
        (S, b"batch 7", "batch 7"),
        (S, b'"quoted"', "quoted"),
        (S, b"42", "42"),
        (S, b"{not json", "{not json"),
        (S, "żółć".encode(), "żółć"),
        (E, b"running", 1.0),
        (E, b'"stopped"', 0.0),
        (E, b"1", 1.0),
    ],
)
def test_what_can_be_read_is_good(kind, payload, value):
    assert one(kind, payload, labels=STATES if kind is E else None) == (value, "Good")


@pytest.mark.parametrize(
    ("kind", "payload", "status"),
    [
        (F, b"hot", "BadDecodingError"),
        (F, b"21,5", "BadDecodingError"),
        (F, b"1_000", "BadDecodingError"),
        (F, b"0x10", "BadDecodingError"),
        (F, "\u0663".encode(), "BadDecodingError"),
        (F, b"\xff\xfe", "BadDecodingError"),
        (F, b"[1]", "BadDecodingError"),
        (F, b'{"v": 1}', "BadDecodingError"),
        (F, b"null", "BadNoData"),
        (F, b"NaN", "BadOutOfRange"),
        (F, b"-Infinity", "BadOutOfRange"),
        (F, b"1e400", "BadOutOfRange"),
        (F, b"1" * 401, "BadDecodingError"),
        (I, b"18446744073709551616", "BadOutOfRange"),
        (I, b"9007199254740993", "BadOutOfRange"),
        (I, b"1.5", "BadDecodingError"),
        (B, b"2", "BadDecodingError"),
        (B, b"maybe", "BadDecodingError"),
        (E, b"flying", "BadDecodingError"),
        (E, b"7", "BadOutOfRange"),
        (S, b"\xff\xfe", "BadDecodingError"),
        (S, b'{"value": "\\ud800"}', "Good"),  # not JSON by RFC 8259, so it is a text as it stands
        (S, b"x" * 65_537, "BadEncodingLimitsExceeded"),
        (S, b'"' + b"x" * 16_000_000 + b'"', "BadEncodingLimitsExceeded"),
        (F, b"x" * 16_000_000, "BadEncodingLimitsExceeded"),
        (S, None, "BadEncodingLimitsExceeded"),  # too large to have been kept at all
    ],
)
def test_what_cannot_be_read_says_why(kind, payload, status):
    assert one(kind, payload, labels=STATES if kind is E else None)[1] == status


def test_a_lone_surrogate_in_a_member_is_a_decoding_error():
    assert one(S, b'{"x": "\\ud800"}', "a#/x") == (pytest.approx(math.nan, nan_ok=True), "BadDecodingError")


def test_many_tags_share_one_document():
    tags = [
        Tag(0, "t", "s", "a#/air/temp"),
        Tag(1, "h", "s", "a#/air/hum"),
        Tag(2, "z", "s", "a#/zones/1/v", TagType.INT),
        Tag(3, "m", "s", "a#/x~1y/~0"),
        Tag(4, "n", "s", "a#/absent"),
    ]
    payload = orjson.dumps(
        {"ts": 1_700_000_000, "air": {"temp": 1.5, "hum": 2, "time": 1_700_000_001}, "zones": [0, {"v": 3}], "x/y": {"~": 4}}
    )
    decoded = decode(tags, ("a", payload))
    second = 1_000_000_000
    near, top = 1_700_000_001 * second, 1_700_000_000 * second
    assert rows(decoded) == [(0, 1.5, 0, near), (1, 2.0, 0, near), (2, 3.0, 0, top), (3, 4.0, 0, top)]
    assert decoded.faults == [("n", "no /absent in its message")]


@pytest.mark.parametrize(
    ("stated", "status"),
    [
        ({}, "Good"),
        ({"quality": "bad"}, "Bad"),
        ({"quality": "uncertain"}, "Uncertain"),
        ({"quality": "bad", "status": "BadNoCommunication"}, "BadNoCommunication"),
        ({"status": 0x8089_0000}, "BadConfigurationError"),
        ({"status": "UncertainSubstituteValue"}, "UncertainSubstituteValue"),
        ({"status": "Splendid"}, "BadDecodingError"),
        ({"status": [1]}, "BadDecodingError"),
    ],
)
def test_a_stated_status_counts(stated, status):
    value, found = one(F, orjson.dumps({"value": 1.0} | stated))
    assert found == status
    assert math.isnan(value) == found.startswith("Bad")


@pytest.mark.parametrize(
    ("raw", "at_ns"),
    [
        ("2026-11-20T08:00:00Z", 1_795_161_600_000_000_000),
        ("2026-11-20T10:00:00+02:00", 1_795_161_600_000_000_000),
        ("2026-11-20T10:00:00.5+0200", 1_795_161_600_500_000_000),
        ("2026-11-20 08:00:00.123456789Z", 1_795_161_600_123_456_789),
        ("2026-11-20T08:00", 1_795_161_600_000_000_000),
        (1_795_161_600, 1_795_161_600_000_000_000),
        (1_795_161_600.25, 1_795_161_600_250_000_000),
        (1_795_161_600_123, 1_795_161_600_123_000_000),
        (1_795_161_600_123_456, 1_795_161_600_123_456_000),
        (1_795_161_600_123_456_789, 1_795_161_600_123_456_789),
        ("1795161600", 1_795_161_600_000_000_000),
        ("9999-01-01T00:00:00Z", None),
        ("1601-01-01T00:00:00Z", None),
        ("2026-13-01T00:00:00Z", None),
        ("2026-11-20T08:00:00.5Z", 1_795_161_600_500_000_000),
        ("2026-11-20T08:00:00.1234567899Z", 1_795_161_600_123_456_789),
        ("2026-99-20T08:00:00.5Z", None),
        ("2026-11-20T08:00:00.\u0663Z", None),
        ("2026-11-20T08:00:0\u0663Z", None),
        ("yesterday", None),
        (True, None),
        (-1, None),
        (1e300, None),
        ([], None),
    ],
)
def test_instants(raw, at_ns):
    assert parse(raw) == at_ns


@given(st.integers(1, 2**63 - 1))
def test_instants_survive_as_text(at_ns):
    assert parse(iso(at_ns)) == at_ns
    assert iso_column(np.array([at_ns])) == [iso(at_ns)]


def test_a_bad_time_is_counted_and_the_sample_stays():
    decoded = decode([Tag(0, "t", "s", "a")], ("a", b'{"value": 1, "ts": "soon"}'))
    assert rows(decoded) == [(0, 1.0, 0, 0)]
    assert decoded.bad_times == 1


def test_unknown_topics_are_counted_and_cleared_retained_messages_are_nothing():
    decoded = decode([Tag(0, "t", "s", "a")], ("b", b"1"), ("c", b""), ("a", b""), (b"\xff".decode("latin1"), b"2"))
    assert len(decoded.batch) == 0
    assert decoded.unknown_topics == 2


def test_columns_come_on_any_topic_by_name_or_address():
    tags = [Tag(0, "line.t", "s", "cell/t"), Tag(1, "line.s", "s", "cell/s", TagType.TEXT)]
    document = {
        "t0": "2026-11-20T08:00:00Z",
        "dt_ms": [0, 0.5, 1, 2],
        "tag": ["line.t", "cell/t", "line.s", "who"],
        "value": [1, None, "x", 9],
        "status": [0, 0, 0, 0],
    }
    decoded = decode(tags, ("some/_batch", orjson.dumps(document)))
    start = 1_795_161_600_000_000_000
    assert [(row[0], row[2], row[3]) for row in rows(decoded)] == [
        (0, 0, start),
        (0, quality.BAD_NO_DATA, start + 500_000),
        (1, 0, start + 1_000_000),
    ]
    assert decoded.unknown_topics == 1


@pytest.mark.parametrize(
    "change",
    [{"t0": "soon"}, {"value": [1]}, {"tag": "x"}, {"dt_ms": [1]}, {"dt_ms": ["a", "b"]}, {"status": [0]}, {"dt_ms": [0, 1e300]}],
)
def test_columns_that_do_not_fit_together_are_named(change):
    document = {"t0": "2026-11-20T08:00:00Z", "tag": ["t", "t"], "value": [1, 2]} | change
    decoded = decode([Tag(0, "t", "s", "a")], ("b", orjson.dumps(document)))
    assert len(decoded.batch) == 0
    assert decoded.faults[0][0] == "b"


numbers = st.floats(allow_nan=False, allow_infinity=False)
samples = st.lists(st.tuples(st.integers(0, 3), numbers, st.sampled_from([0, quality.UNCERTAIN, quality.BAD_NO_COMMUNICATION])), min_size=1)


@given(samples, st.integers(1_600_000_000_000, 1_900_000_000_000))
def test_what_the_upstream_sends_as_columns_is_read_back(sent, start_ms):
    """The gateway's own columns are a source for another gateway: values, statuses and times survive; Bad rows lose their value only."""
    tags = [
        Tag(0, "f", "s", "f"),
        Tag(1, "i", "s", "i", TagType.INT),
        Tag(2, "b", "s", "b", TagType.BOOL),
        Tag(3, "t", "s", "t", TagType.TEXT),
    ]
    values = [float(int(value) % 1000 if tag == 1 else int(value) % 2 if tag == 2 else value) for tag, value, _ in sent]
    ids = np.array([tag for tag, _, _ in sent], np.int32)
    status = np.array([code for _, _, code in sent], np.uint32)
    text = {place: f"text {place}" for place, tag in enumerate(ids.tolist()) if tag == 3}
    source_ns = (start_ms + np.arange(len(sent))) * 1_000_000
    payload, size = next(Encoder(TagTable.of(tags), "p").batches(Columns(ids, np.array(values), status, source_ns, text)))
    assert size == len(sent)
    batch = decode(tags, ("p/_batch", payload)).batch
    assert batch.tag_id.tolist() == ids.tolist()
    assert batch.status.tolist() == status.tolist()
    assert batch.source_ns.tolist() == source_ns.tolist()
    for place, code in enumerate(status.tolist()):
        if code >= quality.BAD:
            assert math.isnan(batch.value[place])
        elif place in text:
            assert batch.text[place] == text[place]
        else:
            assert batch.value[place] == values[place]


@given(st.binary(max_size=300), st.sampled_from([F, I, B, S, E]), st.sampled_from(["a", "a#/x"]))
def test_no_payload_raises(payload, kind, address):
    decode([Tag(0, "t", "s", address, kind)], ("a", payload))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["value", "ts", "status", "t0", "tag", "x", "quality"]), inner),
    )
)
def test_no_document_raises(document):
    try:
        payload = orjson.dumps(document)
    except TypeError:  # a lone surrogate
        return
    for kind in (F, I, B, S, E):
        decode([Tag(0, "t", "s", "a", kind), Tag(1, "u", "s", "a#/x", kind)], ("a", payload), ("b", payload))


def test_numbers_that_json_has_no_word_for_spoil_their_own_member_only():
    big = b"9" * 400
    decoded = decode(
        [Tag(0, "t", "s", "a#/x"), Tag(1, "u", "s", "a#/y")],
        ("a", b'{"x": NaN, "y": 1}'),
        ("a", b'{"x": 1e400, "y": 2}'),
        ("b", b'{"t0": "2026-11-20T08:00:00Z", "tag": ["t", "u", "t"], "value": [3, NaN, ' + big + b"]}"),
        ("b", b'{"t0": "2026-11-20T08:00:00Z", "dt_ms": [' + big + b'], "tag": ["t"], "value": [NaN]}'),
    )
    bad = quality.BAD_OUT_OF_RANGE
    assert [(row[0], row[2]) for row in rows(decoded)] == [(0, bad), (1, 0), (0, bad), (1, 0), (0, 0), (1, bad), (0, bad)]
    assert decoded.faults[-1][0] == "b"


def test_pointers_are_rfc_6901():
    assert tokens("") == ()
    assert tokens("/") == ("",)
    assert tokens("/a~1b/~01") == ("a/b", "~1")


def test_addresses_and_settings_that_cannot_work_are_told():
    assert Config.address_error("a/b") is None
    assert Config.address_error("a/b#/c/0") is None
    assert Config.address_error("a/+")
    assert Config.address_error("")
    assert Config.address_error("a#c")
    for wrong in (
        {"url": "x"},
        {"topics": []},
        {"topics": ["a#"]},
        {"password": "p"},
        {"qos": 2},
        {"protocol": "3.1"},
        {"tls": {"cert": "c"}},
    ):
        with pytest.raises(ValueError):  # noqa: PT011  pydantic's own text
            Config(**({"url": "mqtt://h", "topics": ["a"]} | wrong))


def test_names_that_came_before_are_read_as_they_were_the_first_time():
    """A sender's array of names is looked up once; what only looks like it, or does not fit any more, is read in full."""
    tags = [Tag(0, "a", "mqtt", "x/a"), Tag(1, 'b"],', "mqtt", "x/b"), Tag(2, "t", "mqtt", "x/t", type=TagType.TEXT)]
    decoder, names = Decoder(tags, ("timestamp",)), b'["a","b\\"],"]'

    def read(payload):
        decoded = decoder.decode([Message(b"any", payload, 0, retain=False, dup=False)], 5)
        return decoded.batch.tag_id.tolist(), decoded.batch.value.tolist(), len(decoded.faults)

    whole = b'{"t0":"2026-11-20T08:00:00Z","dt_ms":[0,1],"tag":' + names + b',"value":[%s]%s}'
    assert read(whole % (b"1,2", b"")) == ([0, 1], [1.0, 2.0], 0)
    assert read(whole % (b"3,4.5", b"")) == ([0, 1], [3.0, 4.5], 0)
    assert read(whole % (b"3,null", b""))[0] == [0, 1]
    assert read(whole % (b"3", b"")) == ([], [], 1)
    assert read(whole % (b"3,true", b"")) == ([0, 1], [3.0, 1.0], 0)
    assert read(whole % (b"6,7", b',"status":[0,0]')) == ([0, 1], [6.0, 7.0], 0)
    assert read(b'{"t0":"2026-11-20T08:00:00Z","m":{"tag":' + names + b',"value":[8,9]},"value":[8,9]}') == ([], [], 1)
    assert read(whole % (b"8,9", b',"tag":["t","a"]'))[0] == [2, 0]
