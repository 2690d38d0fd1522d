"""Blocks: up to some thousand samples of one tag as a few bytes each, and back again bit for bit. Pure.

    time     whole units (ms, us, 100 ns or ns) from the first; what a straight line, the step before or the change of step does not
             predict, whichever leaves the least
    value    decimal numbers of a transmitter as scaled integers (double or float32), differences of them; values that do not fit (NaN,
             -0.0, a stray one) stand aside as exceptions; else float32 or float64, exclusive-or with the one before
    status   one, runs, or a column
    text     a dictionary and numbers into it

Integers go zigzag into the narrowest width, columns are byte-shuffled, and two zstd frames (times; the rest) follow a CRC-32 of it all.
"""

import struct
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from gateway.contracts import Series
from gateway.model.batch import Floats, Times
from gateway.model.quality import Statuses
from gateway.store.errors import DamagedBlock
from gateway.store.packing import pack, shuffle, to_bytes, to_text, unpack, unshuffle

Ints = NDArray[np.int64]

_VERSION: Final = 1
_HEADER: Final = struct.Struct("<BBxxII")  # version, unit of time, samples, bytes of the time frame
_NARROW: Final = struct.Struct("<BBxxxxxxqq")  # predictor, width, first, slope
_VALUES: Final = struct.Struct("<BBxxI")  # Values, decimals, exceptions
_UNITS: Final = (1_000_000, 1_000, 100, 1)  # ns
_UNSIGNED: Final[dict[int, np.dtype[np.unsignedinteger[Any]]]] = {
    1: np.dtype("<u1"),
    2: np.dtype("<u2"),
    4: np.dtype("<u4"),
    8: np.dtype("<u8"),
}
_DECIMALS: Final = 9
_PROBE: Final = 64  # values that decide how the rest is tried


class Values(IntEnum):
    CONSTANT = 0
    SCALED = 1  # value = integer / 10^decimals
    SCALED_FLOAT32 = 2  # the same, rounded to float32
    FLOAT32 = 3
    FLOAT64 = 4


class Predictor(IntEnum):
    LINE = 0  # first + i * slope
    STEP = 1  # the one before + slope
    CHANGE = 2  # the step before


def encode(series: Series) -> bytes:
    """One block of n >= 1 samples, in any order."""
    n = series.source_ns.size
    unit, units = _in_units(series.source_ns)
    times = pack(_narrow(units))
    rest = pack(_encode_values(series.value) + _encode_status(series.status) + _encode_text(series.text))
    body = _HEADER.pack(_VERSION, unit, n, len(times)) + times + rest
    return crc32(body).to_bytes(4, "little") + body


def decode(block: bytes) -> Series:
    """Raises DamagedBlock."""
    check, body = block[:4], memoryview(block)[4:]
    if len(body) < _HEADER.size or crc32(body).to_bytes(4, "little") != check:
        raise DamagedBlock(f"damaged block of {len(block)} bytes")
    version, unit, n, time_bytes = _HEADER.unpack_from(body)
    if version != _VERSION:
        raise DamagedBlock(f"a block of version {version}")
    split = _HEADER.size + time_bytes
    units, _ = _widen(memoryview(unpack(body[_HEADER.size : split])), n)
    rest = memoryview(unpack(body[split:]))
    value, at = _decode_values(rest, n)
    status, used = _decode_status(rest[at:], n)
    with np.errstate(over="ignore"):
        return Series(units * _UNITS[unit], value, status, _decode_text(rest[at + used :]))


# --- integers ----------------------------------------------------------------------------------------------------------------------------


def _in_units(times: Times) -> tuple[int, Ints]:
    """(index into _UNITS, times in it). The probe spares most of the divisions."""
    for place, unit in enumerate(_UNITS[:-1]):
        if (times[:_PROBE] % unit == 0).all():
            units = times // unit
            if (units * unit == times).all():
                return place, units
    return len(_UNITS) - 1, times


def _narrow(column: Ints) -> bytes:
    """The column as residuals of the predictor that leaves the least. Arithmetic is modulo 2^64, so every int64 survives."""
    n, first, last = column.size, int(column[0]), int(column[-1])
    with np.errstate(over="ignore"):
        step = column[1:] - column[:-1]
        rise = last - first if -(2**63) <= last - first < 2**63 else 0
        slopes = {Predictor.LINE: rise // max(n - 1, 1), Predictor.STEP: _middle(step), Predictor.CHANGE: 0}
        left = {
            Predictor.LINE: column - (first + np.arange(n, dtype=np.int64) * slopes[Predictor.LINE]),
            Predictor.STEP: step - slopes[Predictor.STEP],
            Predictor.CHANGE: step[1:] - step[:-1],
        }
        predictor = min(left, key=lambda one: float(np.abs(left[one]).sum(dtype=np.float64)) if n > 2 else one)
        residual = np.zeros(n, np.int64)
        residual[n - left[predictor].size :] = left[predictor]
        if predictor is Predictor.CHANGE:
            residual[1] = step[0]
        zigzag = ((residual << 1) ^ (residual >> 63)).view(np.uint64)
    width = _width(int(zigzag.max()))
    return _NARROW.pack(predictor, width, first, slopes[predictor]) + shuffle(zigzag.astype(_UNSIGNED[width]))


def _middle(step: Ints) -> int:
    """The median of the first steps; exact, where a mean of two would not be."""
    return int(np.sort(step[:_PROBE])[min(step.size, _PROBE) // 2]) if step.size else 0


def _width(largest: int) -> int:
    return next(width for width in _UNSIGNED if largest < 1 << (8 * width))


def _widen(raw: memoryview, n: int) -> tuple[Ints, int]:
    """(the column, bytes used)."""
    predictor, width, first, slope = _NARROW.unpack_from(raw)
    small = unshuffle(raw[_NARROW.size :], _UNSIGNED[width], n).astype(np.uint64)
    used = _NARROW.size + n * width
    residual = (small >> np.uint64(1)).view(np.int64) ^ -(small & np.uint64(1)).view(np.int64)
    with np.errstate(over="ignore"):
        if predictor == Predictor.LINE:
            return residual + (np.int64(first) + np.arange(n, dtype=np.int64) * np.int64(slope)), used
        if predictor == Predictor.CHANGE:
            residual = np.cumsum(residual)
        else:
            residual[1:] += slope
        residual[0] += first
        return np.cumsum(residual), used


# --- values ------------------------------------------------------------------------------------------------------------------------------


def _encode_values(value: Floats) -> bytes:
    bits = value.view(np.int64)
    if (bits == bits[0]).all():
        return _VALUES.pack(Values.CONSTANT, 0, 0) + bits[:1].tobytes()
    return _encode_scaled(value, bits) or _encode_plain(value, bits)


def _encode_scaled(value: Floats, bits: Ints) -> bytes | None:
    """As integers, with at most one exception in eight; None where the values are no decimal numbers."""
    finite = value[np.isfinite(value)]
    if finite.size < value.size * 7 // 8 or finite.size == 0:
        return None
    for kind in (Values.SCALED, Values.SCALED_FLOAT32):
        decimals = _decimals(finite[:: max(1, finite.size // _PROBE)], kind)
        if decimals is None:
            continue
        with np.errstate(invalid="ignore", over="ignore"):
            scaled = np.rint(value * 10.0**decimals)
        fits = np.abs(scaled) < 2.0**52
        whole = np.where(fits, scaled, 0.0).astype(np.int64)
        odd = np.flatnonzero(_unscaled(whole, decimals, kind).view(np.int64) != bits)
        if odd.size > value.size // 8:
            continue
        whole[odd] = whole[np.maximum(odd - 1, 0)]
        head = _VALUES.pack(kind, decimals, odd.size) + odd.astype("<u4").tobytes() + bits[odd].tobytes()
        return head + _narrow(whole)
    return None


def _decimals(sample: Floats, kind: Values) -> int | None:
    """The fewest decimals that say most of the sample exactly, or None."""
    if kind is Values.SCALED_FLOAT32 and not _is_float32(sample):
        return None
    for decimals in range(_DECIMALS + 1):
        with np.errstate(invalid="ignore", over="ignore"):
            scaled = np.rint(sample * 10.0**decimals)
        if not (np.abs(scaled) < 2.0**52).all():
            return None
        exact = _unscaled(scaled.astype(np.int64), decimals, kind) == sample
        if np.count_nonzero(exact) >= sample.size * 7 / 8:
            return decimals
    return None


def _unscaled(whole: Ints, decimals: int, kind: int) -> Floats:
    value: Floats = whole / 10.0**decimals
    return value.astype(np.float32).astype(np.float64) if kind == Values.SCALED_FLOAT32 else value


def _is_float32(value: Floats) -> bool:
    with np.errstate(over="ignore", invalid="ignore"):
        return bool((value.astype(np.float32).astype(np.float64).view(np.int64) == value.view(np.int64)).all())


def _encode_plain(value: Floats, bits: Ints) -> bytes:
    if _is_float32(value):
        words = value.astype("<f4").view(np.uint32)
        return _VALUES.pack(Values.FLOAT32, 0, 0) + shuffle(words ^ np.concatenate(([np.uint32(0)], words[:-1])))
    longs = bits.view(np.uint64)
    return _VALUES.pack(Values.FLOAT64, 0, 0) + shuffle(longs ^ np.concatenate(([np.uint64(0)], longs[:-1])))


def _decode_values(raw: memoryview, n: int) -> tuple[Floats, int]:
    kind, decimals, odd = _VALUES.unpack_from(raw)
    at = _VALUES.size
    if kind == Values.CONSTANT:
        return np.full(n, np.frombuffer(raw, np.int64, 1, at)[0]).view(np.float64), at + 8
    if kind == Values.FLOAT32:
        words = np.bitwise_xor.accumulate(unshuffle(raw[at:], np.dtype("<u4"), n))
        return words.view(np.float32).astype(np.float64), at + 4 * n
    if kind == Values.FLOAT64:
        return np.bitwise_xor.accumulate(unshuffle(raw[at:], np.dtype("<u8"), n)).view(np.float64), at + 8 * n
    places = np.frombuffer(raw, "<u4", odd, at)
    bits = np.frombuffer(raw[at + 4 * odd :], np.int64, odd)
    at += 12 * odd
    whole, used = _widen(raw[at:], n)
    value = _unscaled(whole, decimals, kind)
    value.view(np.int64)[places] = bits
    return value, at + used


# --- statuses and texts ------------------------------------------------------------------------------------------------------------------


def _encode_status(status: Statuses) -> bytes:
    begins = np.concatenate(([0], np.flatnonzero(status[1:] != status[:-1]) + 1))
    if begins.size > status.size // 4 + 1:
        return struct.pack("<I", 0) + shuffle(status)
    return struct.pack("<I", begins.size) + begins.astype("<u4").tobytes() + status[begins].tobytes()


def _decode_status(raw: memoryview, n: int) -> tuple[Statuses, int]:
    runs = struct.unpack_from("<I", raw)[0]
    if runs == 0:
        return unshuffle(raw[4:], np.dtype("<u4"), n), 4 + 4 * n
    begins = np.frombuffer(raw, "<u4", runs, 4)
    codes = np.frombuffer(raw, "<u4", runs, 4 + 4 * runs)
    return np.repeat(codes, np.diff(begins, append=np.uint32(n))), 4 + 8 * runs


def _encode_text(text: Mapping[int, str]) -> bytes:
    if not text:
        return b""
    words = {word: code for code, word in enumerate(dict.fromkeys(text.values()))}
    raw = [to_bytes(word) for word in words]
    rows = np.array(sorted(text), "<u4")
    codes = np.array([words[text[row]] for row in rows.tolist()], "<u4")
    sizes = np.array([len(word) for word in raw], "<u4")
    return struct.pack("<II", rows.size, sizes.size) + b"".join(
        (shuffle(np.diff(rows, prepend=np.uint32(0))), shuffle(codes), sizes.tobytes(), *raw)
    )


def _decode_text(raw: memoryview) -> dict[int, str]:
    if len(raw) == 0:
        return {}
    rows, words = struct.unpack_from("<II", raw)
    u4 = np.dtype("<u4")
    places = np.cumsum(unshuffle(raw[8:], u4, rows))
    codes = unshuffle(raw[8 + 4 * rows :], u4, rows)
    at = 8 + 8 * rows
    ends = np.cumsum(np.frombuffer(raw, u4, words, at)).tolist()
    at += 4 * words
    table = [to_text(bytes(raw[at + begin : at + end])) for begin, end in zip([0, *ends], ends, strict=False)]
    return {place: table[code] for place, code in zip(places.tolist(), codes.tolist(), strict=True)}
