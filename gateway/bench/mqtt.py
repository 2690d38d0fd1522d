"""What MQTT costs without a broker: payloads and packets northbound, packets and payloads southbound, in CPU time per message or value."""

import time
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from drivers.mqtt.decode import Decoder
from gateway.model.tag import Tag, TagTable
from gateway.model.update import Columns
from gateway.sinks.mqtt.encode import BATCH_VALUES, Encoder
from gateway.wire.mqtt import packets
from gateway.wire.mqtt.packets import V5, Splitter

TAGS: Final = 10_000
_START_NS: Final = 1_700_000_000_000_000_000
_ROUNDS: Final = 5


def run() -> dict[str, Any]:
    """Medians of five rounds over 10 000 tags."""
    tags = [Tag(place, f"line.m{place // 10}.value{place % 10}", "cell", f"cell/{place}", unit="Cel") for place in range(TAGS)]
    encoder = Encoder(TagTable.of(tags), "acme/plant/assembly/line1")
    decoder = Decoder(tags, ("timestamp",))
    rng = np.random.default_rng(1)
    ids = np.arange(TAGS, dtype=np.int32)
    rows = Columns(ids, np.round(rng.normal(20, 5, TAGS), 3), np.zeros(TAGS, np.uint32), _START_NS + ids.astype(np.int64) * 1_000_000)
    heads = [packets.topic_head(topic, V5) for topic in encoder.topics]

    def per_tag() -> bytes:
        payloads = encoder.payloads(rows.tag_id, rows.value, rows.status, rows.source_ns, {})
        return b"".join([packets.publish_qos0(head, payload, retain=True) for head, payload in zip(heads, payloads, strict=True)])

    def batch() -> bytes:
        return next(encoder.batches(rows))[0]

    own = [packets.topic_head(tag.address, V5) for tag in tags]
    payloads = encoder.payloads(rows.tag_id, rows.value, rows.status, rows.source_ns, {})
    objects = b"".join([packets.publish_qos0(head, payload, retain=False) for head, payload in zip(own, payloads, strict=True)])
    plain = b"".join([packets.publish_qos0(head, b"%.3f" % value, retain=False) for head, value in zip(own, rows.value, strict=True)])
    columns = packets.publish_qos0(packets.topic_head("cell/_batch", V5), batch(), retain=False)

    def receive(stream: bytes) -> Callable[[], object]:
        return lambda: decoder.decode([packets.parse_publish(frame, V5) for frame in Splitter(8_000_000).feed(stream)], _START_NS)

    return {
        "per_tag_publish_us_per_message": _us(per_tag, TAGS),
        "batch_publish_us_per_value": _us(batch, BATCH_VALUES),
        "batch_bytes_per_value": round(len(batch()) / BATCH_VALUES, 1),
        "plain_number_receive_us_per_message": _us(receive(plain), TAGS),
        "object_receive_us_per_message": _us(receive(objects), TAGS),
        "columns_receive_us_per_value": _us(receive(columns), BATCH_VALUES),
    }


def _us(work: Callable[[], object], count: int) -> float:
    times = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return round(sorted(times)[_ROUNDS // 2] / count * 1e6, 3)
