"""HistoryRead to node-opcua, a stack that shares no line with ours."""

from pathlib import Path

import pytest

from gateway.model.event import Category, Event
from gateway.model.tag import Tag
from gateway.store.store import Commit
from support.past import NOON, SECOND, past

CLIENT = Path(__file__).parents[1] / "node" / "history.mjs"
BAD_NO_COMMUNICATION = 0x8031_0000
NOON_MS = NOON // 1_000_000

pytestmark = pytest.mark.live


async def test_a_foreign_client_reads_every_kind_of_history(node, tmp_path):
    """Raw in one go and in pages, twelve aggregates, values at times, events, and what the address space says of it."""
    async with past([Tag(0, "line.temp")], tmp_path / "data") as kept:
        values = [float(k) for k in range(11)]
        await kept.keep(0, [NOON + 10 * k * SECOND for k in range(11)], values, [BAD_NO_COMMUNICATION if k == 4 else 0 for k in range(11)])
        await kept.keep(0, [NOON + 10 * SECOND] * 9, [100.0 + k for k in range(9)])  # more of one time than fit a page
        told = Event("00000000-0000-4000-8000-000000000001", NOON + SECOND, Category.PROCESS, 300, "line.temp", "a word")
        await kept.store.commit(Commit([], events=[told], snapshot=b"s"))
        found = await node.run(CLIENT, kept.face.sink.url, NOON_MS, NOON_MS + 100_000, folder=tmp_path / "node", within=90)
    expected = sorted([(NOON_MS + 10_000 * k, None if k == 4 else k, BAD_NO_COMMUNICATION if k == 4 else 0) for k in range(10)])
    expected[2:2] = [(NOON_MS + 10_000, 100 + k, 0) for k in range(9)]
    assert [tuple(row) for row in found["raw"]] == [*expected, (NOON_MS + 100_000, 10, 0)]  # it asks for bounds
    assert [tuple(row) for page in found["pages"] for row in page] == expected
    assert [len(page) for page in found["pages"]] == [7, 7, 5]
    assert (found["released"], found["afterRelease"]) == ("Good", "BadContinuationPointInvalid")
    aggregates = found["aggregates"]
    assert {name: answer["status"] for name, answer in aggregates.items()} == dict.fromkeys(aggregates, "Good")
    assert [value for _, value, _ in aggregates["Count"]["values"]] == [11, 2, 1, 2, 2]
    assert [value for _, value, _ in aggregates["Maximum"]["values"]] == [108, 3, 5, 7, 9]
    assert [value for _, value, _ in aggregates["PercentGood"]["values"]] == [100, 100, 50, 100, 100]
    assert [value for _, value, _ in aggregates["Delta"]["values"]] == [108, 1, 0, 1, 1]
    assert found["unsupported"] == "BadAggregateNotSupported"
    assert [(at - NOON_MS, value) for at, value, _ in found["times"]] == [(15_000, 55.0), (0, 0.0)]
    assert found["events"] == [["line.temp", "a word", 300]]
    assert found["attributes"] == [True, 5, 5]
    assert "BadTimestampsToReturnInvalid" in found["neither"]
