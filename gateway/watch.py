"""The watch: once a second it measures the loop, follows the clock, looks for silent sources and feeds systemd's watchdog."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import structlog

from gateway.contracts import TwinView
from gateway.health import Health, notify
from gateway.model import quality
from gateway.model.batch import Origin, SampleBatch
from gateway.model.tag import Tag
from gateway.road import Clock

log = structlog.get_logger()

PERIOD_S = 1.0
_SILENT_INTERVALS = 3
_SHORTEST_SILENCE_NS = 5_000_000_000
_UNCONFIRMED_NS = 30_000_000_000
_LINKED_LOOKS = 3  # a second each: what the source had queued for us comes first
_GATEWAY_MADE = (quality.BAD_NO_COMMUNICATION, quality.BAD_WAITING_FOR_INITIAL_DATA, quality.UNCERTAIN_LAST_USABLE)


class Silence:
    """Tags whose source tells no interval (MQTT) are silent after three observed ones, and after 5 s at the least.

    A value from before the start that nobody has confirmed is silent after 30 s. Once a lost link stands again, what it has not brought
    anew is the last usable value: a source that reports changes alone may be quiet for days.
    interval  float64[n]  longest recent time between receipts, ns, slowly forgotten; 0 until two have come
    heard     bool[n]     something came since the start
    """

    def __init__(self, tags: Sequence[Tag], view: TwinView, before: "Silence | None" = None) -> None:
        """before: of the same source under the last configuration; what it learned of a tag is kept."""
        self._view = view
        self._ids = np.array([tag.tag_id for tag in tags if tag.stale_after_ns is None and tag.enabled], np.int32)
        self._received = np.zeros(self._ids.size, np.int64)
        self._interval = np.zeros(self._ids.size)
        self._heard = np.zeros(self._ids.size, np.bool_)
        self._began_ns: int | None = None
        self._linked = 0  # looks since the link stands
        if before is not None:
            self._began_ns = before._began_ns
            _, here, there = np.intersect1d(self._ids, before._ids, return_indices=True)
            self._received[here], self._interval[here], self._heard[here] = (
                before._received[there],
                before._interval[there],
                before._heard[there],
            )

    def silent(self, now_ns: int, *, linked: bool = True) -> SampleBatch | None:
        """The gateway's word on the tags that fell silent since the last look; None where none did. linked: the source is up."""
        if not self._ids.size:
            return None
        self._linked = self._linked + 1 if linked else 0
        received = self._view.received_ns[self._ids]
        if self._began_ns is None:
            self._began_ns, self._received = now_ns, received.copy()
        elapsed = received - self._received
        came = elapsed > 0
        known = came & (self._received > 0) & self._heard
        slower = np.maximum(elapsed, 0.9 * self._interval + 0.1 * elapsed)
        self._interval = np.where(known, slower, self._interval)
        self._heard |= came
        self._received = received.copy()
        limit = np.maximum(_SILENT_INTERVALS * self._interval, _SHORTEST_SILENCE_NS)
        over = (self._interval > 0) & (now_ns - received > limit)
        over |= ~self._heard & (received > 0) & (now_ns - self._began_ns > _UNCONFIRMED_NS)
        status = self._view.status[self._ids]
        over &= ~np.isin(status, np.array(_GATEWAY_MADE, np.uint32))
        if self._linked > _LINKED_LOOKS:
            over |= (status == np.uint32(quality.BAD_NO_COMMUNICATION)) & (received > 0)
        rows = self._ids[over]
        if not rows.size:
            return None
        nan = np.full(rows.size, np.nan)
        return SampleBatch.of(rows, nan, quality.UNCERTAIN_LAST_USABLE, now_ns, received_ns=now_ns, origin=Origin.GATEWAY)

    def rebase(self, delta_ns: int) -> None:
        """The wall clock was set: the engine's times moved, and so does what is remembered of them."""
        if self._began_ns is not None:
            self._began_ns += delta_ns
        self._received += np.where(self._received > 0, delta_ns, 0)


async def watch(
    health: Health,
    clock: Clock,
    rebase: Callable[[int], None],
    silences: Callable[[], Sequence[tuple[Silence, bool]]],
    put: Callable[[SampleBatch], None],
) -> None:
    """For ever. rebase(ns) is told when the wall clock was set. silences: each with whether its source is up."""
    while True:
        began = time.monotonic()
        await asyncio.sleep(PERIOD_S)
        health.loop_lag_s = max(0.0, time.monotonic() - began - PERIOD_S)
        jump_ns = clock.step()
        if jump_ns:
            log.warning("the wall clock was set", by_s=jump_ns / 1e9)
            for silence, _ in silences():
                silence.rebase(jump_ns)
            rebase(jump_ns)
        for silence, linked in silences():
            batch = silence.silent(clock.now_ns(), linked=linked)
            if batch is not None:
                put(batch)
        alive, reasons = health.live()
        if alive:
            notify("WATCHDOG=1")
        else:
            log.warning("not alive", reasons=reasons)


def process_figures() -> dict[str, float]:
    """This process alone: rss_mb, open_files, cpu_s."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    times = os.times()
    return {
        "rss_mb": round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1),
        "open_files": sum(1 for _ in Path("/proc/self/fd").iterdir()),
        "cpu_s": round(times.user + times.system, 2),
    }


def process_age_s() -> float:
    """Seconds since this process was started, the interpreter's own start included (proc(5): starttime in clock ticks since boot)."""
    fields = Path("/proc/self/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
