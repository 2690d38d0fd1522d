"""Durations as people write them: 500ms, 10s, 5min, 24h, 365d; a bare number is seconds."""

import re
from typing import Final

_SECONDS: Final = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_PATTERN: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|min|h|d)?\s*")


def seconds(text: object) -> float:
    """Seconds from a duration; ValueError with the accepted forms."""
    if isinstance(text, int | float) and not isinstance(text, bool) and text >= 0 and text < float("inf"):
        return float(text)
    match = _PATTERN.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is not a duration: write 500ms, 10s, 5min, 24h, 365d or a number of seconds")
    return float(match[1]) * _SECONDS[match[2] or "s"]
