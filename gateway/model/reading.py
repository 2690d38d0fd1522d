"""One raw value (of JSON, a CSV field, a text) read as a tag's type: value, StatusCode and text, as the columns of a batch hold them.

Not readable as the type: BadDecodingError. NaN, infinite or without an exact float64: BadOutOfRange.
Text over 64 kB: BadEncodingLimitsExceeded.
"""

import math
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from gateway.model import quality
from gateway.model.tag import EXACT_INT, TagType

TEXT_BYTES: Final = 65_536
_NAN: Final = math.nan
_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_NOT_FINITE: Final = frozenset({"nan", "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"})
_BOOL: Final = {"true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0, "on": 1.0, "off": 0.0}


class Reading(NamedTuple):
    """value is NaN where the status is Bad and for text; text is None but for a text tag."""

    value: float
    status: int
    text: str | None = None


UNREADABLE: Final = Reading(_NAN, quality.BAD_DECODING_ERROR)
OUT_OF_RANGE: Final = Reading(_NAN, quality.BAD_OUT_OF_RANGE)
TOO_LONG: Final = Reading(_NAN, quality.BAD_ENCODING_LIMITS)


def read(kind: TagType, raw: object, labels: Mapping[str, int] | None = None) -> Reading:
    """raw (number, bool or text) as the tag's type. labels: of an enum, label -> number."""
    if kind is TagType.FLOAT and type(raw) is float:
        return Reading(raw, quality.GOOD) if math.isfinite(raw) else OUT_OF_RANGE
    return _READERS[kind](raw, labels or {})


def _number(raw: object) -> float | int | Reading:
    if isinstance(raw, int | float):  # bool is an int: 0 or 1
        return raw if isinstance(raw, int) or math.isfinite(raw) else OUT_OF_RANGE
    if not isinstance(raw, str) or len(raw) > 400:
        return UNREADABLE
    text = raw.strip()
    if text.lower() in _NOT_FINITE:
        return OUT_OF_RANGE
    if _NUMBER.fullmatch(text) is None:
        return UNREADABLE
    return float(text) if any(mark in text for mark in ".eE") else int(text)


def _float(raw: object, _: Mapping[str, int]) -> Reading:
    number = _number(raw)
    if isinstance(number, Reading):
        return number
    try:
        value = float(number)
    except OverflowError:
        return OUT_OF_RANGE
    return Reading(value, quality.GOOD) if math.isfinite(value) else OUT_OF_RANGE


def _int(raw: object, _: Mapping[str, int]) -> Reading:
    number = _number(raw)
    if isinstance(number, Reading):
        return number
    if not -EXACT_INT <= number <= EXACT_INT:
        return OUT_OF_RANGE
    return Reading(float(number), quality.GOOD) if number == int(number) else UNREADABLE


def _bool(raw: object, _: Mapping[str, int]) -> Reading:
    if isinstance(raw, int | float):
        return Reading(float(raw), quality.GOOD) if raw in {0, 1} else UNREADABLE
    value = _BOOL.get(raw.strip().lower()) if isinstance(raw, str) and len(raw) < 16 else None
    return UNREADABLE if value is None else Reading(value, quality.GOOD)


def _enum(raw: object, labels: Mapping[str, int]) -> Reading:
    if isinstance(raw, str) and raw.strip() in labels:
        return Reading(float(labels[raw.strip()]), quality.GOOD)
    reading = _int(raw, {})
    if reading.status:
        return reading
    known = not labels or reading.value in labels.values()
    return reading if known and 0 <= reading.value < 2**32 else OUT_OF_RANGE


def _text(raw: object, _: Mapping[str, int]) -> Reading:
    if isinstance(raw, bool):
        raw = "true" if raw else "false"
    elif isinstance(raw, int | float):
        raw = repr(raw)
    if not isinstance(raw, str):
        return UNREADABLE
    try:
        size = len(raw.encode())
    except UnicodeEncodeError:  # a lone surrogate is no text (RFC 3629, 3)
        return UNREADABLE
    return TOO_LONG if size > TEXT_BYTES else Reading(_NAN, quality.GOOD, raw)


_READERS: Final = {TagType.FLOAT: _float, TagType.INT: _int, TagType.BOOL: _bool, TagType.TEXT: _text, TagType.ENUM: _enum}
