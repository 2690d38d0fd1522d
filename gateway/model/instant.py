"""Instants as text and back: ISO 8601 (RFC 3339) outside, int64 ns since 1970 (UTC) inside."""

import re
from functools import lru_cache
from typing import Final

import numpy as np

from gateway.model.batch import Times

LAST_NS: Final = 2**63 - 1
_PATTERN: Final = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(?::(\d\d)(?:[.,](\d+))?)?\s?(?:([Zz])|([+-])(\d\d):?(\d\d)?)?", re.ASCII)
_SECOND: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", re.ASCII)
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)


def parse(raw: object) -> int | None:
    """UTC ns of an ISO 8601 text (no zone = UTC) or of a number since 1970; None where it is neither or lies outside 1970-2262.

    The magnitude of a number tells its unit: below 1e11 seconds (until the year 5138), below 1e14 ms, below 1e17 us, else ns.
    """
    if isinstance(raw, bool) or raw is None:
        return None
    if isinstance(raw, int | float):
        return _of_number(raw)
    if not isinstance(raw, str) or len(raw) > 64:
        return None
    usual = raw[19:20] == "." and raw[-1] == "Z" and raw.isascii() and raw[20:-1].isdigit()
    if usual and (start := _second_of(raw[:19])) is not None:
        return _within(start * 1_000_000_000 + int(raw[20:29].rstrip("Z").ljust(9, "0")))
    text = raw.strip()
    if _NUMBER.fullmatch(text):
        return _of_number(float(text) if "." in text else int(text))
    return _of_text(text)


def iso(at_ns: int) -> str:
    """ISO 8601 with Z, as short as exactness allows: milli-, micro- or nanoseconds."""
    second, fraction = divmod(at_ns, 1_000_000_000)
    return f"{_second_text(second)}.{_fraction_text(fraction)}Z"


def iso_column(at_ns: Times) -> list[str]:
    """The same for a column."""
    seconds, fractions = np.divmod(at_ns, 1_000_000_000)
    return [f"{_second_text(second)}.{_fraction_text(part)}Z" for second, part in zip(seconds.tolist(), fractions.tolist(), strict=True)]


def _of_number(raw: float) -> int | None:
    if not 0 <= raw < 1e19:  # also refuses NaN
        return None
    factor = 1_000_000_000 if raw < 1e11 else 1_000_000 if raw < 1e14 else 1000 if raw < 1e17 else 1
    whole = int(raw)
    return _within(whole * factor + round((raw - whole) * factor))


def _of_text(text: str) -> int | None:
    match = _PATTERN.fullmatch(text)
    if match is None:
        return None
    date, minute, second, fraction, _, sign, hours, minutes = match.groups()
    start = _second_of(f"{date}T{minute}:{second or '00'}")
    if start is None:
        return None
    offset = (int(hours) * 3600 + int(minutes or 0) * 60) * (-1 if sign == "-" else 1) if sign else 0
    return _within((start - offset) * 1_000_000_000 + (int(fraction[:9].ljust(9, "0")) if fraction else 0))


def _within(at_ns: int) -> int | None:
    return at_ns if 0 <= at_ns <= LAST_NS else None


@lru_cache(4096)
def _second_of(text: str) -> int | None:
    if _SECOND.fullmatch(text) is None:
        return None
    try:
        return int(np.datetime64(text, "s").astype(np.int64))
    except ValueError:
        return None


@lru_cache(4096)
def _second_text(second: int) -> str:
    return str(np.datetime64(second, "s"))


def _fraction_text(fraction: int) -> str:
    if fraction % 1_000_000 == 0:
        return f"{fraction // 1_000_000:03d}"
    return f"{fraction // 1000:06d}" if fraction % 1000 == 0 else f"{fraction:09d}"
