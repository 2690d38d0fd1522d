"""Times as people write them in an address: ISO 8601, a number since 1970, or a distance from now."""

import re
from typing import Final

from gateway.model import instant
from gateway.model.duration import seconds

_NOW: Final = re.compile(r"now(?:([-+ ])(.+))?")
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_OFFSET: Final = re.compile(r"(T.*) (\d\d:?\d\d)")  # a `+` that nobody escaped arrives as a blank


def parse(text: str, now_ns: int) -> int:
    """UTC ns since 1970 from `2026-11-20T08:00:00Z` (no zone = UTC), `1795161600000` or `now-6h`; ValueError says what is accepted."""
    text = text.strip()
    if match := _NOW.fullmatch(text):
        distance = round(seconds(match[2]) * 1e9) if match[2] else 0
        at_ns = now_ns - distance if match[1] == "-" else now_ns + distance
        if not 0 <= at_ns <= instant.LAST_NS:
            raise ValueError(f"{text[:40]!r} lies outside the years 1970 to 2262")
        return at_ns
    moment = instant.parse(f"{text}T00:00Z" if _DAY.fullmatch(text) else _OFFSET.sub(r"\1+\2", text))
    if moment is None:
        raise ValueError(f"{text[:40]!r} is no time: write 2026-11-20T08:00:00Z, milliseconds since 1970, or now-6h (years 1970 to 2262)")
    return moment


def iso(at_ns: int) -> str | None:
    """ISO 8601 in UTC with Z; None for 0, which means that there is no time."""
    return instant.iso(at_ns) if at_ns > 0 else None
