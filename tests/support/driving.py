"""Running a driver by hand, as the runner does: its context, and reading until enough has come."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.contracts import Driver, DriverContext, Identity
from gateway.health import Health, Unit
from gateway.model.tag import Tag
from gateway.store.state import UnitMemory


def driver_context(tags: Sequence[Tag], folder: Path, memory: UnitMemory | None = None) -> tuple[DriverContext, Unit]:
    """A context for the source `plant`, and the unit of health that it reports to."""
    unit = Health(time.time_ns).fresh("driver", "plant")
    words: dict[tuple[str, str], str] = {}
    identity = Identity("test", "acme/plant/test", "boot", "0", str(folder))
    return DriverContext("plant", tags, memory or UnitMemory("plant", words, {}), unit, time.time_ns, identity), unit


async def read_rows(driver: Driver, enough: Callable[[list[tuple]], bool], within: float = 10.0, *, accept: bool = True) -> list[tuple]:
    """(tag_id, value or text, status, source_ns) of all that is read until it is enough."""
    rows: list[tuple] = []
    async with asyncio.timeout(within):
        while not enough(rows):
            batch = await driver.read()
            for place, row in enumerate(
                zip(batch.tag_id.tolist(), batch.value.tolist(), batch.status.tolist(), batch.source_ns.tolist(), strict=True)
            ):
                rows.append((row[0], batch.text.get(place, row[1]), row[2], row[3]))
            if accept:
                driver.accept(batch.receipt)
    return rows


def values_of(rows: list[tuple], tag_id: int) -> list[float | str]:
    """The Good and Uncertain values of one tag, in order."""
    return [
        value
        for one, value, status, _ in rows
        if one == tag_id and status < 0x8000_0000 and not (isinstance(value, float) and math.isnan(value))
    ]
