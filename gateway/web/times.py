"""Times as people write them in an address: ISO 8601, milliseconds since 1970, or a distance from now."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from gateway.model.batch import Times
from gateway.model.duration import seconds

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_NS: Final = 2**63 - 1
_NOW: Final = re.compile(r"now(?:([-+ ])(.+))?")
_OFFSET: Final = re.compile(r"(T.*) (\d\d:?\d\d)")  # a `+` that nobody escaped arrives as a blank


def parse(text: str, now_ns: int) -> int:
    """UTC ns since 1970 from `2026-11-20T08:00:00Z` (no zone = UTC), `1795161600000` or `now-6h`; ValueError says what is accepted."""
    text = text.strip()
    if match := _NOW.fullmatch(text):
        distance = round(seconds(match[2]) * 1e9) if match[2] else 0
        return _within(now_ns - distance if match[1] == "-" else now_ns + distance, text)
    if text.isascii() and text.isdigit():
        return _within(int(text[:20]) * 1_000_000, text)
    try:
        moment = datetime.fromisoformat(_OFFSET.sub(r"\1+\2", text))
    except ValueError:
        raise ValueError(f"{text[:40]!r} is no time: write 2026-11-20T08:00:00Z, milliseconds since 1970, or now-6h") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return _within((moment - _EPOCH) // timedelta(microseconds=1) * 1000, text)


def _within(at_ns: int, text: str) -> int:
    if not 0 <= at_ns <= _LAST_NS:
        raise ValueError(f"{text[:40]!r} lies outside the years 1970 to 2262")
    return at_ns


def iso(at_ns: int) -> str | None:
    """ISO 8601 in UTC with Z, to the microsecond; None for 0, which means that there is no time."""
    if at_ns <= 0:
        return None
    moment = _EPOCH + timedelta(microseconds=at_ns // 1000)
    return moment.isoformat(timespec="milliseconds" if moment.microsecond % 1000 == 0 else "microseconds").replace("+00:00", "Z")


def iso_column(at_ns: Times) -> list[str]:
    """ISO 8601 in UTC with Z, to the nanosecond, for a column."""
    return [text + "Z" for text in np.datetime_as_string(at_ns.view("datetime64[ns]")).tolist()]
