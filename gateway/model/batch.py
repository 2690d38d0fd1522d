"""The one currency on the road of a sample: a batch of columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from gateway.model.quality import Statuses

TagIds = NDArray[np.int32]
Floats = NDArray[np.float64]
Times = NDArray[np.int64]
Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]
Where = slice | Rows
"""Rows of a table as it suits numpy: a slice for a contiguous run (memory speed), an index array otherwise."""
_FALSE = b"\0"
_TRUE = b"\1"


def every(mask: Mask) -> bool:
    """mask.all(), at a third of its price: a bool is a byte of 0 or 1."""
    return _FALSE not in mask.tobytes()


def some(mask: Mask) -> bool:
    """mask.any(), likewise."""
    return _TRUE in mask.tobytes()


def laps(tag_id: TagIds) -> int:
    """How often the same ids follow each other, ascending each time: 1 = each id stands once; 0 = any other order, and no ids."""
    size = tag_id.size
    length = (tag_id[1:] <= tag_id[:-1]).tobytes().find(_TRUE) + 1 or size
    if not size or size % length:
        return 0
    table = tag_id.reshape(-1, length)
    return len(table) if every(table[1:] == table[0]) else 0


class Origin(IntEnum):
    """Who made a batch."""

    SOURCE = 0  # a driver read it from the plant (`sensors`, `manufacturing_system`)
    MANUAL = 1  # a person or a program set it (`manual_input`); it wins until released
    GATEWAY = 2  # the runner's word on a link: lost, silent. Changes the status; keeps the value and the order of source times
    AGAIN = 3  # a source delivers what it may have delivered before (MQTT DUP): it revives a tag, but never restarts its order
    MODEL = 4  # a model stands in for a sensor that is wrong, until it is released; manual input wins over it


@dataclass(frozen=True, slots=True)
class SampleBatch:
    """n samples, one row each; rows of one tag stand in the order in which they were read.

    tag_id     int32[n]    row of the TagTable
    value      float64[n]  engineering units; NaN where the status is Bad and for text
    status     uint32[n]   StatusCode
    source_ns  int64[n]    the device's time, UTC ns since 1970; 0 = the source gave none
    text       row -> text, for the rows of text tags only
    received_ns            the gateway's time when the message came in
    receipt                what Driver.accept takes once the batch is committed; None = nothing to acknowledge
    messages               of how many messages of the source the rows are
    """

    tag_id: TagIds
    value: Floats
    status: Statuses
    source_ns: Times
    received_ns: int
    text: Mapping[int, str] = field(default_factory=dict)
    receipt: object = None
    origin: Origin = Origin.SOURCE
    messages: int = 1

    def __len__(self) -> int:
        return self.tag_id.size

    @classmethod
    def of(
        cls,
        tag_id: Sequence[int] | TagIds,
        value: Sequence[float] | Floats,
        status: Sequence[int] | Statuses | int = 0,
        source_ns: Sequence[int] | Times | int = 0,
        *,
        received_ns: int = 0,
        text: Mapping[int, str] | None = None,
        receipt: object = None,
        origin: Origin = Origin.SOURCE,
    ) -> "SampleBatch":
        """Columns of the right dtype from any sequences; a single status or time holds for all rows."""
        ids = np.asarray(tag_id, np.int32)
        return cls(
            tag_id=ids,
            value=np.asarray(value, np.float64),
            status=np.full(ids.size, status, np.uint32) if isinstance(status, int) else np.asarray(status, np.uint32),
            source_ns=np.full(ids.size, source_ns, np.int64) if isinstance(source_ns, int) else np.asarray(source_ns, np.int64),
            received_ns=received_ns,
            text=text or {},
            receipt=receipt,
            origin=origin,
        )

    def lap(self, number: int, length: int) -> "SampleBatch":
        """Rows number * length and so many more, without a copy; of a batch without texts."""
        part = slice(number * length, (number + 1) * length)
        return SampleBatch(
            self.tag_id[part], self.value[part], self.status[part], self.source_ns[part], self.received_ns, {}, self.receipt, self.origin
        )

    def pick(self, rows: Rows, origin: Origin | None = None) -> "SampleBatch":
        """Some of the rows, in the order given; the receipt stays with them."""
        text = {place: self.text[row] for place, row in enumerate(rows.tolist()) if row in self.text} if self.text else {}
        return SampleBatch(
            self.tag_id[rows],
            self.value[rows],
            self.status[rows],
            self.source_ns[rows],
            self.received_ns,
            text,
            self.receipt,
            self.origin if origin is None else origin,
        )
