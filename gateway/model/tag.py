"""Tags: what is measured, where it comes from and what its numbers mean. The TagTable is the one index of the daemon."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

MANUAL: Final = ""  # Tag.source of a tag that nobody but a person or a program sets
DERIVED: Final = "="  # Tag.source of a tag that the engine computes from others
EXACT_INT: Final = 2.0**53  # integers beyond it have no exact float64 and become BadOutOfRange


class TagType(IntEnum):
    """How a tag's float64 column is to be read; the number of the type is what the store keeps."""

    FLOAT = 0  # OPC UA Double
    INT = 1  # Int64, exact to +-2^53
    BOOL = 2  # Boolean, 0 or 1
    TEXT = 3  # String; the value column is NaN and the text lies beside it
    ENUM = 4  # UInt32 with labels


@dataclass(frozen=True, slots=True)
class WriteRule:
    """Who may write a tag, and within which bounds. max_rate is in engineering units per second."""

    low: float = -np.inf
    high: float = np.inf
    max_rate: float | None = None
    role: str = "operator"
    reason: bool = False
    interlock: str | None = None  # an expression over tags that must be true


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag. tag_id is its row in every column and holds for one boot only; the name is for ever."""

    tag_id: int
    name: str
    source: str = MANUAL
    address: str = ""
    type: TagType = TagType.FLOAT
    unit: str = ""  # UCUM
    eu_range: tuple[float, float] | None = None
    deadband: float = 0.0  # engineering units
    sampling_interval_ns: int = 1_000_000_000
    stale_after_ns: int | None = None  # None: the driver's default, 0: never
    labels: Mapping[int, str] = field(default_factory=dict)
    description: str = ""
    write_rule: WriteRule | None = None
    enabled: bool = True
    was: str | None = None

    @property
    def path(self) -> tuple[str, ...]:
        """The levels of the asset tree: the dots of the name."""
        return tuple(self.name.split("."))


@dataclass(frozen=True)
class TagTable:
    """All tags of a boot, row = tag_id. A reload keeps the row of a name that stays, disables one that goes, and appends."""

    tags: tuple[Tag, ...]
    index: Mapping[str, int]  # name -> tag_id
    type: NDArray[np.int8]
    low: NDArray[np.float64]  # eu_range, -inf where none
    high: NDArray[np.float64]
    deadband: NDArray[np.float64]
    enabled: NDArray[np.bool_]

    @classmethod
    def of(cls, tags: Sequence[Tag]) -> "TagTable":
        """Raises ValueError where a tag_id is not its place or a name stands twice."""
        index = {tag.name: tag.tag_id for tag in tags}
        if len(index) != len(tags) or any(tag.tag_id != place for place, tag in enumerate(tags)):
            raise ValueError("each tag needs a name of its own and its place as tag_id")
        ranges = np.array([tag.eu_range or (-np.inf, np.inf) for tag in tags], np.float64).reshape(-1, 2)
        return cls(
            tags=tuple(tags),
            index=index,
            type=np.array([tag.type for tag in tags], np.int8),
            low=np.ascontiguousarray(ranges[:, 0]),
            high=np.ascontiguousarray(ranges[:, 1]),
            deadband=np.array([tag.deadband for tag in tags], np.float64),
            enabled=np.array([tag.enabled for tag in tags], np.bool_),
        )

    def __len__(self) -> int:
        return len(self.tags)

    def __iter__(self) -> Iterator[Tag]:
        return iter(self.tags)

    def __getitem__(self, tag_id: int) -> Tag:
        return self.tags[tag_id]

    def named(self, name: str) -> Tag | None:
        """The tag of that name, or None."""
        tag_id = self.index.get(name)
        return None if tag_id is None else self.tags[tag_id]
