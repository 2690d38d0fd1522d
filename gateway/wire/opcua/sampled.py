"""MonitoredItems on what is no tag: read when the subscription publishes, and reported when the filter lets the change through
(Part 4, 5.12.1.2 and 7.22.2; Part 8, 6.2).
"""

import math
import struct
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary
from asyncua.ua.uaerrors import UaError
from asyncua.ua.uaprotocol_auto import DataChangeFilter  # what the decoder makes; ua's own name is a subclass of this

from gateway.wire.opcua import limits
from gateway.wire.opcua.face import Mode, Range
from gateway.wire.opcua.terms import status_code

_LONGEST: Final = 100
_STATUS, _STATUS_VALUE, _STATUS_VALUE_TIMESTAMP = 0, 1, 2
_ABSOLUTE, _PERCENT = 1, 2
_NUMBERS: Final = frozenset(range(int(ua.VariantType.SByte), int(ua.VariantType.Double) + 1))


@dataclass(frozen=True, slots=True)
class Gate:
    """What passes: trigger as in Part 4, 7.22.2; band in the value's own unit, 0 = every change. refused: a StatusCode, 0 = none."""

    trigger: int = _STATUS_VALUE
    band: float = 0.0
    refused: int = 0


@dataclass(slots=True)
class Sampled:
    """One item. seen: the value, status and source time that were reported last; edition: as in Node, edited: what it said last."""

    nodeid: ua.NodeId
    attribute: ua.AttributeIds
    handle: int
    mode: Mode
    stamps: int
    size: int
    gate: Gate
    edition: Callable[[], object] | None = None
    edited: object = None
    seen: tuple[Any, int, Any] | None = None
    queue: deque[bytes] = field(default_factory=deque)
    free: int = 0  # how many of the oldest another item has let go

    def due(self) -> int:
        """How many may be reported."""
        return len(self.queue) if self.mode is Mode.REPORTING else min(self.free, len(self.queue))

    def idle(self) -> bool:
        """Whether it has reported what there is, and there can be nothing new."""
        if self.edition is None:
            return False
        before, self.edited = self.edited, self.edition()
        return self.seen is not None and before is self.edited

    def offer(self, value: ua.DataValue) -> bool:
        """Queues it where it passes; whether it did."""
        content = None if value.Value is None else value.Value.Value
        now = (content, 0 if value.StatusCode is None else int(value.StatusCode.value), value.SourceTimestamp)
        if self.seen is not None and not _passes(self.gate, self.seen, now):
            return False
        self.seen = now
        self.queue.append(_notification(self, value))
        if len(self.queue) > self.size:
            self.queue.popleft()
        return True


def gate_of(asked: Any, number: int, eu_range: Range | None) -> Gate:
    """asked: a DataChangeFilter or nothing; number: the DataType of the value, a built-in type of namespace 0 or anything else."""
    if not isinstance(asked, DataChangeFilter):
        return Gate()
    trigger, kind, band = int(asked.Trigger), int(asked.DeadbandType), float(asked.DeadbandValue)
    if trigger not in (_STATUS, _STATUS_VALUE, _STATUS_VALUE_TIMESTAMP) or kind not in (0, _ABSOLUTE, _PERCENT):
        return Gate(refused=ua.StatusCodes.BadMonitoredItemFilterInvalid)
    if not kind:
        return Gate(trigger)
    if number not in _NUMBERS:
        return Gate(refused=ua.StatusCodes.BadFilterNotAllowed)
    most = 100.0 if kind == _PERCENT else math.inf
    if not 0 <= band <= most or math.isinf(band) or (kind == _PERCENT and eu_range is None):
        return Gate(refused=ua.StatusCodes.BadDeadbandFilterInvalid)
    if kind == _PERCENT and eu_range is not None:
        band = band / 100.0 * (eu_range.high - eu_range.low)
    return Gate(_STATUS_VALUE if trigger == _STATUS_VALUE_TIMESTAMP else trigger, band)


def sampled_size(asked: ua.MonitoringParameters) -> int:
    """The queue size that an item gets."""
    return int(max(1, min(asked.QueueSize, _LONGEST)))


def sampled_ms(publishing_ms: float) -> float:
    """The sampling interval: that of publishing, but not faster than SAMPLED_MS."""
    return max(publishing_ms, limits.SAMPLED_MS)


def _passes(gate: Gate, last: tuple[Any, int, Any], now: tuple[Any, int, Any]) -> bool:
    if last[1] != now[1]:
        return True
    if gate.trigger == _STATUS:
        return False
    if gate.trigger == _STATUS_VALUE_TIMESTAMP and last[2] != now[2]:
        return True
    return _differs(last[0], now[0], gate.band)


def _differs(last: Any, now: Any, band: float) -> bool:
    """Of an array any element, or its length (Part 4, 7.22.2). NaN is as NaN."""
    if isinstance(last, list) and isinstance(now, list):
        return len(last) != len(now) or any(_apart(*pair, band) for pair in zip(last, now, strict=True))
    return _apart(last, now, band)


def _apart(last: Any, now: Any, band: float) -> bool:
    if last == now or (last != last and now != now):  # noqa: PLR0124  NaN
        return False
    if not band or isinstance(last, str | bytes | Sequence) or last is None or now is None:
        return True
    return not abs(now - last) <= band  # NaN on one side is a change


def _notification(item: Sampled, value: ua.DataValue) -> bytes:
    """A value that cannot be encoded is reported as such and harms nobody else."""
    wire = ua.DataValue(
        value.Value,
        value.StatusCode,
        value.SourceTimestamp if item.stamps in (0, 2) else None,
        value.ServerTimestamp if item.stamps in (1, 2) else None,
    )
    try:
        encoded = struct_to_binary(wire)
    except (UaError, struct.error, TypeError, ValueError, AttributeError, OverflowError):
        encoded = struct_to_binary(ua.DataValue(StatusCode=status_code(ua.StatusCodes.BadEncodingError)))
    return struct.pack("<I", item.handle) + encoded
