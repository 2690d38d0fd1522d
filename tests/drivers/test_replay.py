"""Recordings as a source: both forms, both formats, pace, rounds, and what cannot be read."""

import asyncio

import pytest
from pydantic import ValidationError

from drivers.replay.config import Config
from drivers.replay.driver import ReplayDriver
from drivers.replay.table import chunks
from gateway.contracts import NotConnected
from gateway.model import quality
from gateway.model.tag import Tag, TagType
from support.driving import driver_context

TAGS = [
    Tag(0, "a", "r", "a"),
    Tag(1, "b", "r", "b", type=TagType.ENUM, labels={0: "stopped", 1: "running"}),
    Tag(2, "t", "r", "t", type=TagType.TEXT),
]
LONG = """timestamp,tag,value,status
2026-01-01T00:00:00Z,a,1.5,Good
2026-01-01T00:00:00.100Z,b,running,
2026-01-01T00:00:00.200Z,a,2.5,UncertainLastUsableValue
2026-01-01T00:00:00.300Z,t,hello,
2026-01-01T00:00:00.400Z,nobody,1,
not a time,a,1,
2026-01-01T00:00:00.500Z,a,warm,
"""
WIDE = "timestamp,a,b,t\n2026-01-01T00:00:00Z,1,0,x\n2026-01-01T00:00:01Z,,1,\n"


def file(folder, text, name="tape.csv"):
    path = folder / name
    path.write_text(text)
    return path


def only(path):
    (chunk,) = chunks(path, TAGS)
    return chunk


def test_the_long_form_with_statuses_labels_and_texts(tmp_path):
    chunk = only(file(tmp_path, LONG))
    assert chunk.tag_id.tolist() == [0, 1, 0, 2, 0]
    assert chunk.value[:3].tolist() == [1.5, 1.0, 2.5]
    assert [quality.name(status) for status in chunk.status.tolist()] == [
        "Good",
        "Good",
        "UncertainLastUsableValue",
        "Good",
        "BadDecodingError",
    ]
    assert chunk.text == {3: "hello"}
    assert (chunk.unknown, chunk.wrong) == (1, 1)


def test_the_wide_form_where_an_empty_cell_is_no_sample(tmp_path):
    chunk = only(file(tmp_path, WIDE))
    assert chunk.tag_id.tolist() == [0, 1, 2, 1]
    assert chunk.text == {2: "x"}


def test_parquet_reads_as_csv_does(tmp_path):
    pa_csv, pa_parquet = pytest.importorskip("pyarrow.csv"), pytest.importorskip("pyarrow.parquet")
    table = pa_csv.read_csv(file(tmp_path, WIDE))
    pa_parquet.write_table(table, tmp_path / "tape.parquet")
    one, other = only(tmp_path / "tape.csv"), only(tmp_path / "tape.parquet")
    assert one.source_ns.tolist() == other.source_ns[: one.source_ns.size].tolist()
    assert one.tag_id.tolist() == other.tag_id[: one.tag_id.size].tolist()


def driver(folder, tags=TAGS, **keys):
    context, unit = driver_context(tags, folder)
    return ReplayDriver(Config(**keys), context), unit


async def test_it_keeps_the_recorded_pace(tmp_path):
    played, _ = driver(tmp_path, file=str(file(tmp_path, LONG)), speed=1.0)
    await played.connect()
    loop = asyncio.get_running_loop()
    began, rows = loop.time(), 0
    while rows < 4:
        rows += len(await played.read())
    assert 0.29 <= loop.time() - began < 2.0
    await played.close()


async def test_times_now_keep_their_distances_and_begin_now(tmp_path):
    played, _ = driver(tmp_path, file=str(file(tmp_path, WIDE)), speed="max", times="now")
    await played.connect()
    batch = await played.read()
    assert (batch.source_ns[-1] - batch.source_ns[0]) == 1_000_000_000
    assert abs(batch.source_ns[0] - batch.received_ns) < 5_000_000_000
    await played.close()


async def test_a_loop_goes_on_with_later_times(tmp_path):
    played, unit = driver(tmp_path, file=str(file(tmp_path, WIDE)), speed=1e6, times="now", loop=True)
    await played.connect()
    times = []
    while len(times) < 12:
        times += (await asyncio.wait_for(played.read(), 5)).source_ns.tolist()
    assert times == sorted(times)
    assert unit.counters["rounds"] >= 2
    await played.close()


async def test_after_its_end_it_is_silent(tmp_path):
    played, _ = driver(tmp_path, file=str(file(tmp_path, WIDE)), speed="max")
    await played.connect()
    await played.read()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(played.read(), 0.1)
    await played.close()


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n"])
async def test_a_file_of_another_form_is_not_connected_and_says_why(tmp_path, text):
    played, _ = driver(tmp_path, file=str(file(tmp_path, text)))
    with pytest.raises(NotConnected, match="timestamp"):
        await played.connect()


@pytest.mark.parametrize("keys", [{"speed": 0}, {"loop": True}, {"file": "x.xlsx"}, {"sped": 1}])
def test_what_cannot_work_is_refused(keys):
    with pytest.raises(ValidationError):
        Config(**{"file": "x.csv", **keys})


async def test_rows_out_of_order_are_named(tmp_path):
    """As an export of several tags, one after the other, has them."""
    text = "timestamp,tag,value\n2026-01-01T00:00:05Z,a,1\n2026-01-01T00:00:00Z,a,2\n"
    played, unit = driver(tmp_path, file=str(file(tmp_path, text)), speed="max")
    await played.connect()
    assert any("order of time" in why for why in unit.problems.values())
    await played.close()
