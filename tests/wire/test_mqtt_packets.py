"""Packets as bytes (MQTT 5 and 3.1.1): what is encoded is decoded, however the stream is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt import _packet

from gateway.wire.mqtt import packets, reasons
from gateway.wire.mqtt.endpoint import filter_error, matches, parse_url, topic_error
from gateway.wire.mqtt.packets import V5, V311, Frame, Malformed, Splitter

words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0+#"), min_size=1, max_size=30)
messages = st.tuples(words, st.binary(max_size=400), st.booleans(), st.integers(0, 65_535))


def encode(message, version):
    topic, payload, retain, mid = message
    if mid == 0:
        return packets.publish_qos0(packets.topic_head(topic, version), payload, retain)
    properties = packets.user_properties([("seq", str(mid)), ("stream", topic)]) if version == V5 else None
    return packets.publish_qos1(topic, payload, retain, mid, properties)


@given(st.lists(messages, max_size=20), st.sampled_from([V5, V311]), st.integers(1, 50))
def test_messages_survive_the_wire_however_it_is_cut(sent, version, size):
    stream = b"".join(encode(message, version) for message in sent)
    splitter = Splitter(1_000_000)
    frames = [frame for start in range(0, len(stream), size) for frame in splitter.feed(stream[start : start + size])]
    received = [packets.parse_publish(frame, version) for frame in frames]
    assert [(one.topic.decode(), one.payload, one.retain, one.mid) for one in received] == sent


@given(messages, st.sampled_from([V5, V311]))
def test_another_library_reads_the_same(message, version):
    frame = next(iter(Splitter(1_000_000).feed(encode(message, version))))
    read = _packet.decode_publish(frame.first, bytearray(frame.body), version)
    assert (read.topic.decode(), read.payload, read.retain, read.mid) == message


@given(st.lists(st.binary(min_size=200, max_size=1000), min_size=1, max_size=5), st.integers(1, 300), st.sampled_from([100, 150]))
def test_an_oversized_message_is_skipped_and_its_neighbours_flow(payloads, size, limit):
    """Its topic and packet identifier are kept, so that it can be named and acknowledged."""
    small = packets.publish_qos0(packets.topic_head("a", V311), b"1", retain=False)
    stream = b"".join(packets.publish_qos1("big", payload, False, 7, None) + small for payload in payloads)
    splitter = Splitter(limit)
    frames = [frame for start in range(0, len(stream), size) for frame in splitter.feed(stream[start : start + size])]
    received = [packets.parse_publish(frame, V311) for frame in frames]
    assert [(one.topic, one.payload, one.mid) for one in received] == [(b"big", None, 7), (b"a", b"1", 0)] * len(payloads)


@given(st.binary(max_size=200), st.integers(1, 40))
def test_garbage_is_frames_or_malformed(garbage, size):
    splitter = Splitter(1000)
    try:
        for start in range(0, len(garbage), size):
            for frame in splitter.feed(garbage[start : start + size]):
                if frame.first & 0xF0 == packets.PUBLISH:
                    packets.parse_publish(frame, V5)
    except Malformed:
        pass


def test_a_slow_large_message_is_not_copied_at_each_byte():
    """What is incomplete is looked at again only when enough has come."""
    whole = packets.publish_qos0(packets.topic_head("a", V311), b"x" * 2_000_000, retain=False)
    splitter, looked = Splitter(10_000_000), 0
    inner = splitter._frames

    def counting(buffer):
        nonlocal looked
        looked += 1
        return inner(buffer)

    splitter._frames = counting
    frames = [frame for start in range(0, len(whole), 1000) for frame in splitter.feed(whole[start : start + 1000])]
    assert len(frames) == 1
    assert looked <= 3


def test_pubacks_are_the_standards_bytes():
    assert packets.pubacks([1, 258]) == b"\x40\x02\x00\x01\x40\x02\x01\x02"
    assert packets.parse_puback(b"\x01\x02") == (258, 0)
    assert packets.parse_puback(b"\x01\x02\x87") == (258, 0x87)


@pytest.mark.parametrize("frame", [Frame(0x30, b"", False), Frame(0x34, b"\0\1a\0\1", False), Frame(0x32, b"\0\1a\0", False)])
def test_a_publish_without_its_parts_is_malformed(frame):
    with pytest.raises(Malformed):
        packets.parse_publish(frame, V311)


@pytest.mark.parametrize(
    ("pattern", "topic", "taken"),
    [
        ("a/+/c", "a/b/c", True),
        ("a/+", "a/b/c", False),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("#", "a/b", True),
        ("#", "$SYS/x", False),
        ("+/a", "/a", True),
        ("a/b", "a/b/c", False),
    ],
)
def test_filters_take_what_the_standard_says(pattern, topic, taken):
    """MQTT 5, 4.7.1 to 4.7.3."""
    assert matches(pattern, topic) is taken


@pytest.mark.parametrize("bad", ["", "a/#/b", "a#", "a/b+", "x\0"])
def test_wrong_filters_are_told(bad):
    assert filter_error(bad)


def test_topics_hold_no_wildcards():
    assert topic_error("a/+")
    assert topic_error("a/b") is None


@pytest.mark.parametrize("url", ["http://x", "mqtt://", "mqtt://u:p@h", "mqtt://h/path", "h:1883"])
def test_wrong_urls_are_told(url):
    with pytest.raises(ValueError, match=r"mqtt|user"):
        parse_url(url)


def test_ports_follow_the_scheme():
    assert parse_url("mqtt://h") == ("h", 1883, False)
    assert parse_url("mqtts://h") == ("h", 8883, True)


def test_reasons_have_names():
    assert reasons.name(0x87) == "not authorized (0x87)"
    assert reasons.permanent(0x87)
    assert not reasons.permanent(reasons.QUOTA_EXCEEDED)
    assert not reasons.refused(0x10)
