"""What a MonitoredItem lets through (Part 4, 7.22.2; Part 8, 6.2), decided for all items of a batch at once."""

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from gateway.model.batch import Floats, Mask, Rows, Times, Where, every, some
from gateway.model.quality import Statuses
from gateway.model.tag import Tag, TagType
from gateway.wire.opcua.face import Filter

STATUS: Final = 0
STATUS_VALUE: Final = 1
STATUS_VALUE_TIMESTAMP: Final = 2
_ABSOLUTE: Final = 1
_PERCENT: Final = 2
_BAD_FILTER_INVALID: Final = 0x8043_0000  # BadMonitoredItemFilterInvalid
_BAD_FILTER_NOT_ALLOWED: Final = 0x8045_0000
_BAD_DEADBAND_INVALID: Final = 0x808E_0000  # BadDeadbandFilterInvalid


def band_of(wanted: Filter | None, tag: Tag) -> tuple[int, float]:
    """StatusCode, and the band in engineering units (0 = none) of a filter on a tag. Percent is of EURange (Part 8, 6.2)."""
    if wanted is None or (wanted.deadband_type == 0 and wanted.trigger in (0, 1, 2)):
        return 0, 0.0
    if wanted.trigger not in (0, 1, 2) or wanted.deadband_type not in (_ABSOLUTE, _PERCENT):
        return _BAD_FILTER_INVALID, 0.0
    if tag.type not in (TagType.FLOAT, TagType.INT):
        return _BAD_FILTER_NOT_ALLOWED, 0.0
    share = wanted.deadband_type == _PERCENT
    if not 0 <= wanted.deadband <= (100.0 if share else math.inf) or math.isinf(wanted.deadband) or (share and tag.eu_range is None):
        return _BAD_DEADBAND_INVALID, 0.0
    low, high = tag.eu_range if share and tag.eu_range is not None else (0.0, 100.0)
    return 0, wanted.deadband / 100.0 * (high - low) if share else wanted.deadband


def trigger_of(wanted: Filter | None) -> int:
    """Part 4, 7.22.2: together with a deadband StatusValueTimestamp behaves as StatusValue."""
    if wanted is None:
        return STATUS_VALUE
    return STATUS_VALUE if wanted.trigger == STATUS_VALUE_TIMESTAMP and wanted.deadband_type else wanted.trigger


@dataclass(slots=True)
class Reported:
    """What n items last queued, one row each.

    band     float64[n]  engineering units, 0 passes every change
    trigger  uint8[n]    STATUS, STATUS_VALUE or STATUS_VALUE_TIMESTAMP
    known    bool[n]     False until the first report, which always passes
    text     row -> text, for items on text tags
    """

    band: Floats
    trigger: np.ndarray[tuple[int], np.dtype[np.uint8]]
    value: Floats
    status: Statuses
    source: Times
    known: Mask
    text: dict[int, str] = field(default_factory=dict)
    plain: bool = True  # every item triggers on StatusValue: the usual case, decided without looking

    @classmethod
    def of(cls, size: int) -> "Reported":
        """Nothing reported yet."""
        return cls(
            band=np.zeros(size),
            trigger=np.full(size, STATUS_VALUE, np.uint8),
            value=np.full(size, np.nan),
            status=np.zeros(size, np.uint32),
            source=np.zeros(size, np.int64),
            known=np.zeros(size, np.bool_),
        )

    def room(self, size: int) -> None:
        """Room for size items; those that are there keep their rows."""
        more = Reported.of(size)
        for name in ("band", "trigger", "value", "status", "source", "known"):
            column = getattr(self, name)
            getattr(more, name)[: column.size] = column
            setattr(self, name, getattr(more, name))

    def passes(self, row: Where, value: Floats, status: Statuses, source: Times) -> Mask:
        """Which of k samples pass; those count as queued from now on. row (k,) must not repeat."""
        passed = _moved(value, self.value[row], self.band[row])
        known, same = self.known[row], status == self.status[row]
        if not self.plain:
            trigger = self.trigger[row]
            passed &= trigger != STATUS
            passed |= (source != self.source[row]) & (trigger == STATUS_VALUE_TIMESTAMP)
        if not every(same):
            passed |= ~same
        if not every(known):
            passed |= ~known
        if every(passed):
            self._queued(row, value, status, source)
        else:
            rows = np.arange(row.start, row.stop) if isinstance(row, slice) else row
            self._queued(rows[passed], value[passed], status[passed], source[passed])
        return passed

    def _queued(self, row: Where, value: Floats, status: Statuses, source: Times) -> None:
        self.value[row], self.status[row], self.source[row], self.known[row] = value, status, source, True

    def passes_in_turn(self, row: Rows, value: Floats, status: Statuses) -> Mask:
        """Which of k samples pass of items without a band that trigger on StatusValue; row (k,) may repeat, earlier samples first.

        Such an item queues every change, so that its last queued value is always that of the sample before.
        """
        order = np.argsort(row, kind="stable")
        item, new, code = row[order], value[order], status[order]
        first = np.concatenate(([True], item[1:] != item[:-1]))
        old = np.where(first, self.value[item], np.roll(new, 1))
        before = np.where(first, self.status[item], np.roll(code, 1))
        passed = np.empty(row.size, np.bool_)
        passed[order] = (first & ~self.known[item]) | (code != before) | _moved(new, old, np.zeros(1))
        last = np.roll(first, -1)
        self.value[item[last]], self.status[item[last]], self.known[item[last]] = new[last], code[last], True
        return passed

    def passes_text(self, row: int, text: str | None, status: int, source: int) -> bool:
        """The same for one sample of a text tag."""
        trigger = self.trigger[row]
        passed = bool(
            not self.known[row]
            or status != self.status[row]
            or (trigger != STATUS and text != self.text.get(row))
            or (trigger == STATUS_VALUE_TIMESTAMP and source != self.source[row])
        )
        if passed:
            self.status[row], self.source[row], self.known[row] = status, source, True
            if text is not None:
                self.text[row] = text
        return passed


def _moved(new: Floats, old: Floats, band: Floats) -> Mask:
    far = np.subtract(new, old)
    moved: Mask = np.abs(far, out=far) > band
    odd = np.isnan(far)
    if some(odd):  # NaN, a value that never was, differs from every number but not from NaN
        moved |= np.isnan(new) != np.isnan(old)
    return moved
