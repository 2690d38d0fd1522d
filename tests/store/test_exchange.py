"""Samples leave in forms that other programs read, and come in again as batches."""

import json

import numpy as np
import pytest

from gateway.contracts import Series
from gateway.store.exchange import Writer, batches

from .conftest import NOW, SECOND, TAGS


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def rows(path):
    """(time, tag, value, status, text) of every row, NaN as None."""
    return [
        (now_ns, TAGS[tag].name, None if np.isnan(value) else value, status, batch.text.get(row))
        for now_ns, batch in batches(path, TAGS)
        for row, (tag, value, status) in enumerate(zip(batch.tag_id.tolist(), batch.value.tolist(), batch.status.tolist(), strict=True))
    ]


def test_the_long_form_becomes_one_batch_per_distinct_time_in_order(tmp_path):
    path = write(
        tmp_path / "a.csv",
        "timestamp,tag,value,status\n"
        "2023-11-14T22:13:21Z,line.temp,2.5,\n"
        "2023-11-14T22:13:20Z,line.temp,1.5,Good\n"
        "2023-11-14T22:13:20Z,line.recipe,glue,\n"
        "2023-11-14T22:13:20Z,nobody.knows,7,\n"
        "1700000001000,line.speed,,BadNoCommunication\n",
    )
    assert [len(batch) for _, batch in batches(path, TAGS)] == [2, 2]
    assert rows(path) == [
        (NOW, "line.temp", 1.5, 0, None),
        (NOW, "line.recipe", None, 0, "glue"),
        (NOW + SECOND, "line.temp", 2.5, 0, None),
        (NOW + SECOND, "line.speed", None, 0x80310000, None),
    ]


def test_the_wide_form_takes_an_empty_cell_for_no_sample(tmp_path):
    path = write(tmp_path / "a.csv", "timestamp,line.temp,other,line.speed\n1700000000,1.5,x,\n1700000001,,x,2\n")
    assert rows(path) == [(NOW, "line.temp", 1.5, 0, None), (NOW + SECOND, "line.speed", 2.0, 0, None)]


def test_an_unreadable_time_is_named_with_its_line(tmp_path):
    path = write(tmp_path / "a.csv", "timestamp,tag,value\n1700000000,line.temp,1\nyesterday,line.temp,1\n")
    with pytest.raises(ValueError, match=r"a\.csv:3: 'yesterday' is no time"):
        list(batches(path, TAGS))
    with pytest.raises(ValueError, match="no column 'timestamp'"):
        list(batches(write(tmp_path / "b.csv", "a,b\n1,2\n"), TAGS))


def test_an_empty_file_has_no_batches(tmp_path):
    assert list(batches(write(tmp_path / "a.csv", "timestamp,tag,value\n"), TAGS)) == []


TEMPERATURE = Series(np.array([NOW, NOW + 123_456_789]), np.array([0.1, np.nan]), np.array([0, 0x80310000], np.uint32), {})
RECIPE = Series(np.array([NOW]), np.array([np.nan]), np.zeros(1, np.uint32), {0: 'a "quoted", line\nand \ud800'})


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_what_is_written_reads_back(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    with Writer(path) as writer:
        writer.add("line.temp", TEMPERATURE)
        writer.add("line.recipe", RECIPE)
    found = rows(path)
    assert found[0] == (NOW, "line.temp", 0.1, 0, None)
    assert found[1][4].startswith('a "quoted", line\nand ')
    assert found[2] == (NOW + 123_456_789, "line.temp", None, 0x80310000, None)


def test_json_is_one_array_without_nan(tmp_path):
    with Writer(tmp_path / "a.json") as writer:
        writer.add("line.temp", TEMPERATURE)
        writer.add("line.recipe", RECIPE)
    found = json.loads((tmp_path / "a.json").read_text())
    assert [row["value"] for row in found] == [0.1, None, None]
    assert found[1]["status"] == "BadNoCommunication"
    with Writer(tmp_path / "b.json"):
        pass
    assert json.loads((tmp_path / "b.json").read_text()) == []


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\.csv, \.parquet or \.json"):
        Writer(tmp_path / "a.xls")
