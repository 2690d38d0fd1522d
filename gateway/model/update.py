"""What one step of the engine changed: columns, plus the few things that are records."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.model.alarm import Transition
from gateway.model.batch import Floats, Mask, TagIds, Times
from gateway.model.quality import Statuses


@dataclass(frozen=True, slots=True)
class Columns:
    """n rows of tag_id int32, value float64, status uint32, source_ns int64; text by row."""

    tag_id: TagIds
    value: Floats
    status: Statuses
    source_ns: Times
    text: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.tag_id.size


@dataclass(frozen=True, slots=True)
class Counts:
    """What happened to the rows of one step, for the counters."""

    applied: int = 0
    late: int = 0
    duplicate: int = 0
    skewed: int = 0  # source time missing or more than a year off: received time used instead
    refused: int = 0  # NaN, infinite, not representable: marked BadOutOfRange
    overridden: int = 0  # a sample of a tag under manual input: kept aside


@dataclass(frozen=True, slots=True)
class TwinUpdate:
    """One step or tick.

    rows         every sample applied to the twin, derived values included, in the order of application; a tag may stand more than once.
                 value is the twin's: the last one where the status is Bad
    reported     bool[n]: rows that pass the tag's deadband
    late         samples for history only
    version      the twin's version after this step; it counts commits
    committed    True when this step ended a twin commit (design.md 5: paced by update_frequency)
    changed      how many tags changed in that commit, and at most 100 of them, for the state-changed event
    """

    now_ns: int
    rows: Columns
    reported: Mask
    late: Columns
    transitions: tuple[Transition, ...]
    version: int
    committed: bool
    changed: int
    changed_tags: tuple[int, ...]
    counts: Counts
