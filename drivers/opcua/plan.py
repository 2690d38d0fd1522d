"""Which subscription a tag goes into, and what is asked of the server for it. Pure."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.opcua.config import Config
from gateway.contracts import ConfigError
from gateway.model.tag import Tag, TagType
from gateway.wire.opcua.address import Address, parse
from gateway.wire.opcua.services import Wanted

_SHARE: Final = 10  # a slow tag is published ten times a sampling interval: at most a tenth later than sampled
_STEPS: Final = (1.0, 2.0, 5.0)
_QUEUE_LEAST: Final = 10


@dataclass(frozen=True, slots=True)
class Item:
    """One tag as a monitored item; its place in the plan is the client handle."""

    tag: Tag
    address: Address
    group: int


@dataclass(frozen=True, slots=True)
class Plan:
    """items in the order of handles; intervals: publishing interval of each group in seconds.

    By handle: tag_id int32[n], element int32[n] (-1 scalar), is_text bool[n], probe_ns int64[n] (silence after which to probe, 0 never)
    """

    items: tuple[Item, ...]
    intervals: tuple[float, ...]
    tag_id: NDArray[np.int32]
    element: NDArray[np.int32]
    is_text: NDArray[np.bool_]
    probe_ns: NDArray[np.int64]
    digest: str

    def handles(self, group: int) -> list[int]:
        return [handle for handle, item in enumerate(self.items) if item.group == group]


def plan(tags: Sequence[Tag], config: Config) -> Plan:
    """Raises ConfigError for an address that cannot be one."""
    tags = [tag for tag in tags if tag.enabled]
    interval_of = [group_interval(tag.sampling_interval_ns / 1e9, config.publishing_interval) for tag in tags]
    intervals = tuple(sorted(set(interval_of)))
    items = tuple(Item(tag, _address(tag), intervals.index(interval)) for tag, interval in zip(tags, interval_of, strict=True))
    told = "\n".join(f"{item.tag.name} {item.address} {item.tag.sampling_interval_ns} {item.group}" for item in items)
    return Plan(
        items=items,
        intervals=intervals,
        tag_id=np.array([tag.tag_id for tag in tags], np.int32),
        element=np.array([item.address.element for item in items], np.int32),
        is_text=np.array([tag.type is TagType.TEXT for tag in tags], np.bool_),
        probe_ns=np.array([(tag.stale_after_ns or 0) // 2 for tag in tags], np.int64),
        digest=hashlib.sha256(f"{config.url} {intervals} {config.queue_size}\n{told}".encode()).hexdigest()[:16],
    )


def group_interval(sampling_s: float, publishing_s: float) -> float:
    """The source's publishing interval, or a tenth of a slow tag's sampling interval, rounded down to 1, 2, 5 so that groups stay few."""
    wanted = sampling_s / _SHARE
    if wanted <= publishing_s:
        return publishing_s
    decade = 10.0 ** math.floor(math.log10(wanted))
    step = max(step for step in _STEPS if step * decade <= wanted * (1 + 1e-9))
    return max(publishing_s, step * decade)


def wanted(plan_: Plan, handle: int, config: Config) -> Wanted:
    """What to ask of the server for one item. The queue holds two publishing intervals of samples, and ten at least."""
    item = plan_.items[handle]
    sampling_s = item.tag.sampling_interval_ns / 1e9
    samples = math.ceil(plan_.intervals[item.group] / sampling_s) if sampling_s > 0 else 100
    queue = config.queue_size or min(max(_QUEUE_LEAST, 2 * samples), 10_000)
    return Wanted(item.address, handle, sampling_s, queue)


def _address(tag: Tag) -> Address:
    try:
        return parse(tag.address)
    except ValueError as fault:
        raise ConfigError(f"tags.{tag.name}.address", str(fault)) from fault
