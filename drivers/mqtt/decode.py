"""MQTT payloads to columns. Pure: bytes and a time in, columns and what was wrong with them out.

A payload is a plain number, bool or text; a JSON scalar; a JSON object in which pointers (RFC 6901) find the values; the gateway's own
object {"value", "timestamp", "quality", "status"}; or columns {"t0", "dt_ms", "tag", "value", "status"} with tags by name or address.
"""

import json
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any, Final, NamedTuple

import numpy as np
import orjson

from drivers.mqtt.rows import Rows
from gateway.model import quality
from gateway.model.batch import SampleBatch, TagIds, Times
from gateway.model.instant import parse as instant
from gateway.model.reading import TEXT_BYTES, TOO_LONG, UNREADABLE, Reading, read
from gateway.model.tag import Tag, TagType
from gateway.wire.mqtt.packets import Message

_NO_DATA: Final = Reading(float("nan"), quality.BAD_NO_DATA)
_BY_WORD: Final = {"good": quality.GOOD, "uncertain": quality.UNCERTAIN, "bad": quality.BAD}
_MISSING: Final = object()
_PLAIN_NUMBERS: Final = frozenset({float, int})
_TEXT: Final = frozenset({str})
_LENIENT_BYTES: Final = 65_536
_NAMES: Final = b'"tag":['
_VALUES: Final = b'],"value":['
_SETS: Final = 16
_SET_BYTES: Final = 262_144
_NO_JSON_NUMBER: Final = re.compile(rb"NaN|Infinity|\d[eE]\+?\d{3}")


class Target(NamedTuple):
    """Where one tag finds its value in the messages of its topic. pointer: the tokens; empty = the whole payload."""

    tag_id: int
    name: str
    kind: TagType
    pointer: tuple[str, ...]
    labels: Mapping[str, int]


class Decoded(NamedTuple):
    """batch has the messages' rows in order; faults are (tag or topic, why); the rest are counts."""

    batch: SampleBatch
    faults: list[tuple[str, str]]
    unknown_topics: int
    bad_times: int


class Decoder:
    """The routes from topic to tags. timestamp_fields: members that hold an object's time, the first one found counts."""

    def __init__(self, tags: Iterable[Tag], timestamp_fields: Sequence[str]) -> None:
        self._fields = tuple(timestamp_fields)
        self._routes: dict[bytes, list[Target]] = {}
        self._named: dict[str, Target] = {}
        for tag in tags:
            topic, _, pointer = tag.address.partition("#")
            target = Target(tag.tag_id, tag.name, tag.type, tokens(pointer), {label: number for number, label in tag.labels.items()})
            self._routes.setdefault(topic.encode(), []).append(target)
            self._named[tag.name] = target
            self._named.setdefault(tag.address, target)
        self._floats = {name: target.tag_id for name, target in self._named.items() if target.kind is TagType.FLOAT}
        self._sets = _Sets()

    def decode(self, messages: Iterable[Message], received_ns: int, receipt: object = None) -> Decoded:
        """Rows in the order of arrival; source_ns is 0 where a payload has no time. Never raises for a payload."""
        work = _Work(self._named, self._floats, self._fields, self._sets)
        for message in messages:
            targets = self._routes.get(message.topic)
            if message.payload == b"":
                continue  # a retained message was cleared (MQTT 5, 3.3.1.3)
            if targets is None:
                work.unrouted(message)
            elif message.payload is None:
                work.all(targets, TOO_LONG)
            elif len(targets) == 1 and not targets[0].pointer:
                work.plain(targets[0], message.payload)
            else:
                work.document(targets, message.payload)
        return Decoded(work.rows.batch(received_ns, receipt), work.faults, work.unknown, work.bad_times)


def tokens(pointer: str) -> tuple[str, ...]:
    """The reference tokens of a JSON pointer (RFC 6901, 4)."""
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:])


class _Sets:
    """The rows of arrays of names as they stood in earlier messages: a sender names the same tags again and again."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, TagIds] = OrderedDict()

    def parted(self, payload: bytes) -> tuple[bytes, bytes]:
        """(the array of names, the document with an empty one in its place); nothing where that is not plain to see.

        Inside a JSON string a quotation mark is escaped, so that neither mark can be a part of a name.
        """
        start, end = payload.find(_NAMES), payload.find(_VALUES)
        if not 0 <= start < end or end - start > _SET_BYTES or payload.count(b'"tag"') != 1:
            return b"", b""
        start += len(_NAMES) - 1
        return payload[start : end + 1], payload[:start] + b"[]" + payload[end + 1 :]

    def get(self, names: bytes) -> TagIds | None:
        return self._known.get(names)

    def keep(self, names: bytes, ids: TagIds) -> None:
        self._known[names] = ids
        if len(self._known) > _SETS:
            self._known.popitem(last=False)


class _Work:
    def __init__(self, named: Mapping[str, Target], floats: Mapping[str, int], fields: tuple[str, ...], sets: _Sets) -> None:
        self.rows = Rows()
        self.faults: list[tuple[str, str]] = []
        self.unknown = self.bad_times = 0
        self._named, self._floats, self._fields, self._sets = named, floats, fields, sets

    def unrouted(self, message: Message) -> None:
        payload = message.payload
        if payload and payload[:1] == b"{" and b'"t0"' in payload and b'"tag"' in payload:
            names, rest = self._sets.parted(payload)
            ids = self._sets.get(names)
            if ids is not None and self._again(_loads(rest), ids):
                return
            document = _loads(payload)
            if isinstance(document, dict) and self._columns(document, names):
                return
            self.faults.append((message.topic.decode(errors="replace"), "columns that do not fit together"))
            return
        self.unknown += 1

    def all(self, targets: Iterable[Target], reading: Reading, source_ns: int = 0) -> None:
        for target in targets:
            self.add(target, reading, source_ns)

    def add(self, target: Target, reading: Reading, source_ns: int) -> None:
        if reading.status >= quality.BAD:
            self.faults.append((target.name, quality.name(reading.status)))
        self.rows.add(target.tag_id, reading, source_ns)

    def plain(self, target: Target, payload: bytes) -> None:
        if target.kind is TagType.TEXT and payload[:1] not in b'"{':
            self.add(target, _text(payload), 0)
            return
        document = _loads(payload)
        if type(document) is float and target.kind is TagType.FLOAT and isfinite(document):
            self.rows.add(target.tag_id, Reading(document, quality.GOOD), 0)
        elif isinstance(document, dict):
            self._object(target, document)
        elif document is _MISSING:
            text = _text(payload)
            self.add(target, read(target.kind, text.text, target.labels) if text.text is not None else text, 0)
        else:
            self.add(target, _scalar(target, document), 0)

    def document(self, targets: Iterable[Target], payload: bytes) -> None:
        document = _loads(payload)
        if document is _MISSING:
            self.all(targets, UNREADABLE)
            return
        at_ns = self._time(document) if isinstance(document, dict) else 0
        for target in targets:
            if not target.pointer:
                self.plain(target, payload)
                continue
            found, parent = _at(document, target.pointer)
            if found is _MISSING:
                self.faults.append((target.name, f"no /{'/'.join(target.pointer)} in its message"))
            elif isinstance(found, dict):
                self._object(target, found, at_ns)
            else:
                nearest = self._time(parent) if parent is not document and isinstance(parent, dict) else 0
                self.add(target, _scalar(target, found), nearest or at_ns)

    def _object(self, target: Target, document: Mapping[str, Any], at_ns: int = 0) -> None:
        """The gateway's own object for one tag."""
        if "value" not in document:
            if not ("t0" in document and self._columns(document)):
                self.add(target, UNREADABLE, at_ns)
            return
        reading = with_status(_scalar(target, document["value"]), document.get("status", document.get("quality")))
        self.add(target, reading, self._time(document) or at_ns)

    def _time(self, document: Mapping[str, Any]) -> int:
        for field in self._fields:
            raw = document.get(field)
            if raw is not None and not isinstance(raw, dict | list):
                at_ns = instant(raw)
                if at_ns is not None:
                    return at_ns
                self.bad_times += 1
        return 0

    def _again(self, document: object, ids: TagIds) -> bool:
        """Columns of tags that came in this order before; False where it is not as simple as that."""
        if not isinstance(document, dict) or document.get("tag") != [] or document.get("status"):
            return False
        values, start_ns = document.get("value"), instant(document.get("t0"))
        if not isinstance(values, list) or len(values) != ids.size or start_ns is None:
            return False
        times = _times(start_ns, document.get("dt_ms", []), ids.size)
        return times is not None and _PLAIN_NUMBERS.issuperset(map(type, values)) and self._numbers(ids, values, times)

    def _numbers(self, ids: TagIds, values: list[float], times: Times) -> bool:
        column = np.array(values, np.float64)
        if not np.isfinite(column).all():
            return False
        self.rows.extend(ids, column, times)
        return True

    def _columns(self, document: Mapping[str, Any], raw: bytes = b"") -> bool:
        """Many samples of many tags; False where the columns do not fit together. raw: the array of names as it stood in the message."""
        names, values, start_ns = document.get("tag"), document.get("value"), instant(document.get("t0"))
        if not isinstance(names, list) or not isinstance(values, list) or len(names) != len(values) or start_ns is None:
            return False
        times = _times(start_ns, document.get("dt_ms", []), len(names))
        statuses = document.get("status", [])
        if times is None or not isinstance(statuses, list) or len(statuses) not in {0, len(names)}:
            return False
        if not statuses and _PLAIN_NUMBERS.issuperset(map(type, values)) and _TEXT.issuperset(map(type, names)):
            found = list(map(self._floats.get, names))
            if None not in found:
                ids = np.array(found, np.int32)
                if raw:
                    self._sets.keep(raw, ids)
                if self._numbers(ids, values, times):
                    return True
        targets = [self._named.get(name) if isinstance(name, str) else None for name in names]
        for place, target in enumerate(targets):
            if target is None:
                self.unknown += 1
                continue
            reading = with_status(_scalar(target, values[place]), statuses[place] if statuses else None)
            self.add(target, reading, int(times[place]))
        return True


def with_status(reading: Reading, stated: object) -> Reading:
    """A reading with the StatusCode that its message states: a number, a name, or good, uncertain, bad. What cannot be read stays Bad."""
    if stated is None or stated == "good":
        return reading
    if isinstance(stated, str):
        code = _BY_WORD.get(stated.lower(), quality.code(stated))
    else:
        code = stated if isinstance(stated, int) and not isinstance(stated, bool) and 0 <= stated < 2**32 else None
    if code is None:
        return UNREADABLE
    if code >= quality.BAD:
        return Reading(float("nan"), code)
    return reading if reading.status >= quality.BAD else reading._replace(status=code)


def _scalar(target: Target, raw: object) -> Reading:
    return _NO_DATA if raw is None else read(target.kind, raw, target.labels)


def _loads(payload: bytes) -> Any:
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        return _lenient(payload)


def _lenient(payload: bytes) -> Any:
    """Numbers that strict JSON has no word for, but that writers send: NaN, Infinity, and those beyond float64 (1e400)."""
    if len(payload) > _LENIENT_BYTES or _NO_JSON_NUMBER.search(payload) is None:
        return _MISSING
    try:
        return json.loads(payload, parse_int=lambda digits: int(digits) if len(digits) < 20 else float(digits))
    except (ValueError, RecursionError):
        return _MISSING


def _text(payload: bytes) -> Reading:
    if len(payload) > TEXT_BYTES:
        return TOO_LONG
    try:
        return Reading(float("nan"), quality.GOOD, payload.decode())
    except UnicodeDecodeError:
        return UNREADABLE


def _at(document: Any, pointer: Sequence[str]) -> tuple[Any, Any]:
    """What a JSON pointer finds, and the object or array around it."""
    parent, found = None, document
    for token in pointer:
        parent = found
        if isinstance(found, dict):
            found = found.get(token, _MISSING)
        elif isinstance(found, list) and token.isascii() and token.isdigit() and int(token[:9]) < len(found):
            found = found[int(token[:9])]
        else:
            return _MISSING, parent
    return found, parent


def _times(start_ns: int, offsets: object, size: int) -> np.ndarray[tuple[int], np.dtype[np.int64]] | None:
    """Source times from t0 and dt_ms (absent = all at t0); None where they do not fit."""
    if not isinstance(offsets, list) or len(offsets) not in {0, size} or not _PLAIN_NUMBERS.issuperset(map(type, offsets)):
        return None
    if not offsets:
        return np.full(size, start_ns, np.int64)
    offset_ms = np.array(offsets, np.float64)
    if not (np.abs(offset_ms) < 1e11).all():
        return None
    return start_ns + np.rint(offset_ms * 1e6).astype(np.int64)
