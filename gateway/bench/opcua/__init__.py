"""`edgetwin bench opcua`: the OPC UA server and the source's decoding, beside plain asyncua and plain node-opcua in the same run.

All figures are CPU time of the process that does the work, medians of several rounds; compare them as ratios of one run.
"""

import tempfile
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from gateway.bench.opcua import asking, crowd, decoding, floor, past, peers, publish, secured
from gateway.bench.opcua.peers import Peer
from gateway.bench.rows import PUBLISHED, Row

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Extent:
    """rounds of which the median is taken, seconds of each, and how many connections come and go."""

    rounds: int
    seconds: float
    churned: int


QUICK: Final = Extent(3, 0.6, 10)
FULL: Final = Extent(7, 2.0, 100)


def run(*, quick: bool = False) -> dict[str, Any]:
    """The table of this face: {"rows": [...]}."""
    with tempfile.TemporaryDirectory(prefix="edgetwin-bench-") as folder:
        rows = measured(Path(folder), QUICK if quick else FULL)
    return {"rows": [row.record() for row in rows], "table": rows}


def measured(folder: Path, extent: Extent) -> list[Row]:
    """Every row, the peers' first."""
    library = _run(peers.library(folder, 2 * extent.rounds))
    node = _run(peers.node(folder, 2 * extent.seconds))
    return [
        *_publishing(folder, extent, library, node),
        *_decoding(extent),
        *_asking(folder, extent, library),
        *_past(folder, extent),
        *_crowd(folder, extent),
    ]


def _publishing(folder: Path, extent: Extent, library: Peer, node: Peer) -> list[Row]:
    rounds, seconds = extent.rounds, extent.seconds
    one = _run(publish.to_one(folder, rounds, seconds))
    share, rate = _run(publish.at_full_rate(folder, rounds, seconds))
    sealed = _run(secured.published_us(folder, rounds, seconds))
    ten = _run(publish.to_ten(folder, rounds, max(seconds, 1.2)))
    small = _run(publish.small(folder, rounds, seconds))
    others = _others(library.publish_us, node.publish_us) | {PUBLISHED: "0.45-0.93"}
    return [
        Row("publish to one client, 10 000 items at 20 Hz", one, "us/value", 0.15, others=others, note=node.why),
        Row("of which the system's sending of so many bytes", floor.sending_us(publish.ITEMS, 20.0, rounds), "us/value"),
        Row("the same, Aes256_Sha256_RsaPss, Sign & Encrypt", sealed, "us/value", note=f"{(sealed - one) * 1e3:+.0f} ns for both"),
        Row("1 000 000 values/s to one client", share, "% of a core", 30.0, note=f"delivered {rate:,.0f} values/s"),
        Row("ten clients, own deadbands and intervals", ten, "us/value", 0.3),
        Row("a message of 10 values to one of 20 clients", small, "us/message", 200.0, note=f"{1e6 / small:,.0f} messages/s and core"),
    ]


def _decoding(extent: Extent) -> list[Row]:
    theirs = decoding.library(extent.rounds)
    others: dict[str, float | str] = {"asyncua": theirs, PUBLISHED: "0.09-0.12"}
    return [
        Row("source: decode, one type", decoding.uniform(extent.rounds), "us/value", 0.1, others=others),
        Row("source: decode, five types in no order", decoding.mixed(extent.rounds), "us/value", 0.1, others={"asyncua": theirs}),
    ]


def _asking(folder: Path, extent: Extent, library: Peer) -> list[Row]:
    asked = _run(asking.asked(folder, extent.rounds))
    return [
        Row(
            "batched read",
            asked.reads_per_s,
            "values/s",
            2_000_000,
            most=False,
            others=_others(library.reads_per_s, None) | {PUBLISHED: "4.2 M"},
        ),
        Row(
            "browse",
            asked.references_per_s,
            "references/s",
            500_000,
            most=False,
            others=_others(library.references_per_s, None) | {PUBLISHED: "2.9 M"},
        ),
        Row("50 000 tags are served after", asked.start_s, "s", 1.0),
        Row("memory of 50 000 tags served", asked.tags_mb, "MB"),
    ]


def _past(folder: Path, extent: Extent) -> list[Row]:
    found = _run(past.read(folder, extent.rounds))
    note = f"{found.values_per_s:,.0f} values/s reached the client, page by page"
    return [Row("raw history of a million samples", found.values_per_cpu_s, "values/s", 1_000_000, most=False, note=note)]


def _crowd(folder: Path, extent: Extent) -> list[Row]:
    found = _run(crowd.crowd(folder, 5 * extent.seconds, extent.churned))
    note = f"{found.churned} connections came, subscribed and dropped; {found.core_percent:.0f} % of a core"
    return [
        Row("50 clients of 1000 items at 1 Hz, with churn: p99", found.p99_ms, "ms", 200.0, note=note),
        Row("memory left behind by them", found.grown_mb, "MB", 20.0),
    ]


def _others(library: float | None, node: float | None) -> dict[str, float | str]:
    return {name: figure for name, figure in (("asyncua", library), ("node-opcua", node)) if figure is not None}


def _run(work: Awaitable[Result]) -> Result:
    """On the event loop that the daemon runs on."""
    import uvloop

    async def done() -> Result:
        return await work

    result: Result = uvloop.run(done())
    return result
