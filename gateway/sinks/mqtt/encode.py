"""The payloads and topics of the upstream, from columns and records. Pure.

All JSON is UTF-8 without NaN: the quality says why a value is null.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import orjson

from gateway.model import quality
from gateway.model.alarm import Transition
from gateway.model.batch import Floats, Rows, TagIds, Times, every, some
from gateway.model.event import Event, Severity
from gateway.model.instant import iso, iso_column
from gateway.model.outbox import OutboxRow
from gateway.model.quality import Statuses
from gateway.model.tag import Tag, TagTable, TagType
from gateway.model.update import Columns

BATCH_VALUES: Final = 5000
_REMEMBERED: Final = 16  # sets of names, each of a batch at most
NO_LIMIT: Final = 268_435_455  # bytes of a packet, where the broker states none (MQTT 5, 2.1.4)
_ENVELOPE_BYTES: Final = 1000  # of a batch: topic, identity, its properties, keys
_ROW_BYTES: Final = 64  # of a value in a batch, beside the tag's name: number, status, distance in time, quotes and commas
_NULL: Final = b"null"
_CODE: Final = 0xFFFF_0000  # of a StatusCode, without info bits (Part 4, 7.39)


class Encoder:
    """One table's tags under one prefix. Topics and the constant parts of payloads are made once."""

    def __init__(self, tags: TagTable, prefix: str) -> None:
        self.tags, self.prefix = tags, prefix
        self.topics = [f"{prefix}/{tag.name.replace('.', '/')}" for tag in tags]
        self.own = frozenset(topic for topic, tag in zip(self.topics, tags, strict=True) if tag.enabled)  # where a value may be retained
        self._names = [tag.name for tag in tags]
        self._longest = max(map(len, self._names), default=0)
        self._tails = [b',"unit":' + orjson.dumps(tag.unit) + b"}" if tag.unit else b"}" for tag in tags]
        self._labels = {tag.tag_id: {b"%d" % n: json(label) for n, label in tag.labels.items()} for tag in tags if tag.labels}
        self._whole = tags.type != TagType.FLOAT  # not written as a float
        self._any_whole = some(self._whole)
        self._columns: OrderedDict[bytes, bytes] = OrderedDict()  # tag_ids of a batch -> its array of names: the same sets come again

    def values_json(self, tag_id: TagIds | Rows, value: Floats, status: Statuses, text: Mapping[int, str]) -> list[bytes]:
        """One JSON scalar per row; null where the status is Bad. text by row."""
        if not len(tag_id):
            return []
        bad = quality.is_bad(status)
        column = np.where(bad, np.nan, value)
        parts = _floats(column).split(b",")
        for row in np.flatnonzero(self._whole[tag_id] & ~bad).tolist():
            parts[row] = _scalar(self.tags[int(tag_id[row])].type, float(column[row]), text.get(row))
        return parts

    def payloads(self, tag_id: TagIds | Rows, value: Floats, status: Statuses, source_ns: Times, text: Mapping[int, str]) -> list[bytes]:
        """`{"value", "timestamp", "quality", "unit"}` for each row, and `status` by name when it is not good. text by row."""
        values, times = self.values_json(tag_id, value, status, text), iso_column(source_ns)
        rows = zip(tag_id.tolist(), values, times, status.tolist(), source_ns.tolist(), strict=True)
        return [self._payload(tag, scalar, at if at_ns else None, code) for tag, scalar, at, code, at_ns in rows]

    def _payload(self, tag_id: int, scalar: bytes, at: str | None, status: int) -> bytes:
        when = b'"' + at.encode() + b'"' if at else _NULL
        known = self._labels[tag_id].get(scalar) if tag_id in self._labels else None
        label = b',"label":' + known if known else b""
        if status & _CODE == 0:  # Good, whatever its info bits say
            return b'{"value":' + scalar + b',"timestamp":' + when + b',"quality":"good"' + label + self._tails[tag_id]
        stated = f',"quality":"{quality.word(status)}","status":"{quality.name(status)}"'.encode()
        return b'{"value":' + scalar + b',"timestamp":' + when + stated + label + self._tails[tag_id]

    def batch_values(self, max_packet: int) -> int:
        """How many values a batch may have so that its packet fits; long texts can still be too much."""
        return max(1, min(BATCH_VALUES, (max_packet - _ENVELOPE_BYTES) // (self._longest + _ROW_BYTES)))

    def batches(self, rows: Columns, max_packet: int = NO_LIMIT) -> Iterator[tuple[bytes, int]]:
        """Columns of at most 5000 values each, and no more than fit into a packet: payload and how many values."""
        size = self.batch_values(max_packet)
        for start in range(0, len(rows), size):
            part = slice(start, start + size)
            text = {row - start: words for row, words in rows.text.items() if start <= row < start + size} if rows.text else {}
            ids, source_ns, status = rows.tag_id[part], rows.source_ns[part], rows.status[part]
            first_ns = int(source_ns.min())
            stated = np.count_nonzero(status) > 0
            if stated or (self._any_whole and some(self._whole[ids])):
                values = b",".join(self.values_json(ids, rows.value[part], status, text))
            else:
                values = _floats(np.ascontiguousarray(rows.value[part]))
            document = {"t0": iso(first_ns), "dt_ms": offsets_ms(source_ns - first_ns)}
            pieces = [
                orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)[:-1],
                b',"tag":',
                self._names_json(ids),
                b',"value":[',
                values,
            ]
            if stated:
                pieces += [b'],"status":', orjson.dumps(np.ascontiguousarray(status), option=orjson.OPT_SERIALIZE_NUMPY), b"}"]
            else:
                pieces.append(b"]}")
            yield b"".join(pieces), len(ids)

    def _names_json(self, ids: TagIds) -> bytes:
        key = ids.tobytes()
        known = self._columns.get(key)
        if known is None:
            known = self._columns[key] = orjson.dumps([self._names[tag_id] for tag_id in ids.tolist()])
            if len(self._columns) > _REMEMBERED:
                self._columns.popitem(last=False)
        return known

    def alarm_topic(self, transition: Transition) -> str:
        """The last segment is that of the condition's name."""
        return f"{self.prefix}/_alarm/{transition.rule.tag}/{transition.rule.subject or transition.rule.limit.value}"

    def event_topic(self, event: Event) -> str:
        return f"{self.prefix}/_event/{event.category.value}"


def _floats(column: Floats) -> bytes:
    """Numbers as JSON, without the brackets; NaN and infinities are null."""
    return orjson.dumps(column, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]


def offsets_ms(offset_ns: Times) -> Any:
    """Distances as milliseconds: integers where they are whole."""
    whole = offset_ns // 1_000_000
    return whole if every(whole * 1_000_000 == offset_ns) else offset_ns / 1e6


def alarm(transition: Transition, tag: Tag | None) -> bytes:
    """The full record of a condition after a transition. tag None: of the gateway itself, or one that ends because its tag is gone."""
    rule, state = transition.rule, transition.condition
    bad = quality.word(state.status) == "bad"
    return json(
        {
            "condition": rule.condition,
            "tag": rule.tag,
            "limit": rule.limit.value,
            "change": transition.change.value,
            "active": state.active,
            "acknowledged": state.acknowledged,
            "confirmed": state.confirmed,
            "latched": state.latched,
            "enabled": state.enabled,
            "shelving": state.shelving.name.lower(),
            "unshelve": iso(state.unshelve_ns) if state.unshelve_ns else None,
            "suppressed": state.suppressed,
            "out_of_service": state.out_of_service,
            "retained": state.retained,
            "active_limit": state.level.value if state.level else None,
            "severity": Severity.of_level(state.severity).value,
            "level": state.severity,
            "timestamp": iso(transition.at_ns),
            "active_since": iso(state.active_ns) if state.active_ns else None,
            "source_timestamp": iso(transition.source_ns) if transition.source_ns else None,
            "serial": state.serial,
            "event_id": state.event_id.hex(),
            "value": None if bad else state.value,
            "quality": quality.word(state.status),
            "status": quality.name(state.status),
            "threshold": state.threshold,
            "hysteresis": rule.hysteresis,
            "unit": tag.unit if tag else "",
            "message": state.message or rule.message,
            "cause": rule.cause,
            "consequence": rule.consequence,
            "action": rule.action,
            "user": state.user,
            "comment": state.comment,
            "comment_user": state.comment_user,
            "comment_time": iso(state.comment_ns) if state.comment_ns else None,
        }
    )


def event(one: Event) -> bytes:
    return json(
        {
            "event_id": one.event_id,
            "timestamp": iso(one.timestamp_ns),
            "category": one.category.value,
            "severity": one.severity.value,
            "level": one.level,
            "source": one.source,
            "message": one.message,
            "details": dict(one.details),
            "acknowledged": one.acknowledged,
        }
    )


def identity(gateway: str, boot: str, row: OutboxRow, historical: bool) -> list[tuple[str, str]]:
    """What a consumer removes repetitions by: the same in the payload and as user properties of MQTT 5."""
    pairs = [("gateway", gateway), ("boot", boot), ("stream", row.stream), ("seq", str(row.seq))]
    return [*pairs, ("historical", "true")] if historical else pairs


def spliced(gateway: str, boot: str, row: OutboxRow, historical: bool) -> bytes:
    """The row's payload with its identity in front."""
    front: dict[str, Any] = {"gateway": gateway, "boot": boot, "stream": row.stream, "seq": row.seq}
    if historical:
        front["historical"] = True
    rest = row.payload[1:]
    return json(front)[:-1] + (b"" if rest == b"}" else b",") + rest


def _scalar(kind: TagType, value: float, text: str | None) -> bytes:
    if kind is TagType.TEXT:
        return _NULL if text is None else json(text)
    if not np.isfinite(value):
        return _NULL
    if kind is TagType.BOOL:
        return b"true" if value else b"false"
    return b"%d" % int(value)


def json(document: Any) -> bytes:
    """JSON; a lone surrogate becomes a question mark, NaN null."""
    try:
        return orjson.dumps(document)
    except TypeError:
        return orjson.dumps(_clean(document), default=str)


def _clean(document: Any) -> Any:
    if isinstance(document, str):
        return document.encode(errors="replace").decode()
    if isinstance(document, Mapping):
        return {str(_clean(key)): _clean(value) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [_clean(value) for value in document]
    return document
