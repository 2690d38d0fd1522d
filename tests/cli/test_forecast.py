"""`edgetwin forecast score` over files: what it prints, what it refuses."""

import json

import numpy as np
import pytest

from cli.conftest import run
from gateway.engine.engine import Engine
from gateway.model.batch import SampleBatch
from gateway.model.sync import Sync
from gateway.model.tag import Tag, TagTable
from gateway.store.recording import Recorder

CONFIG = """
version: 1
gateway: {name: line1, data_dir: DATA}
tags:
  - {name: line.temperature, type: float, unit: Cel, range: [0, 60]}
  - {name: line.pressure, type: float, unit: bar}
  - {name: line.mode, type: enum, labels: {0: stopped, 1: running}}
"""
BEGAN = 1_700_000_000
SHORT = ("--horizon", "20s", "--step", "1s", "--every", "2s")


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text(CONFIG.replace("DATA", str(tmp_path / "site-data")))
    return path


@pytest.fixture
def values():
    return np.random.default_rng(3).normal(22.5, 0.5, 400)


@pytest.fixture
def history(tmp_path, values):
    """As `export` writes it: white noise on line.temperature, one sample in fifty Bad; two samples of an enum."""
    path = tmp_path / "history.csv"
    rows = [f"line.temperature,{BEGAN + at},{value},,{'BadNoCommunication' if at % 50 == 9 else 'Good'}" for at, value in enumerate(values)]
    path.write_text("\n".join(["tag,timestamp,value,text,status", *rows, f"line.mode,{BEGAN},0,,Good", f"line.mode,{BEGAN + 9},1,,Good"]))
    return path


def test_a_history_is_scored_per_tag_and_horizon(config, history):
    said = run("forecast", "score", history, "--config", config, *SHORT, "--json")
    assert said.code == 0, said.err
    report = said.json
    assert report["samples"] == 400
    assert (report["from"], report["horizon_s"]) == ("2023-11-14T22:13:20.000Z", 20.0)
    [tag] = report["tags"]  # enums are no numbers, and line.pressure has no sample
    assert (tag["tag"], tag["unit"]) == ("line.temperature", "Cel")
    assert [row["horizon_s"] for row in tag["horizons"]] == [1, 2, 4, 10, 20]
    for row in tag["horizons"]:
        assert row["n"] > 100
        assert row["mase"] <= 1.02
        assert 0.8 < row["coverage"] <= 1
        assert 0.9 < row["crps"] / (0.5 / np.sqrt(np.pi)) < 1.65  # the best there is; at worst persistence, sqrt(2), in a young band
        assert sum(row["reliability"]) == row["n"]
        assert set(row["pinball"]) == {"P05", "P50", "P95"}


def test_the_table_names_model_scores_and_how_many(config, history):
    said = run("forecast", "score", history, "--config", config, *SHORT, "--tag", "line.temperature")
    lines = said.out.splitlines()
    assert said.code == 0
    assert lines[0].split() == ["tag", "horizon", "model", "CRPS", "MASE", "in", "90", "%", "band", "n", "unit"]
    assert len(lines) == 6
    assert lines[1].split()[:3] == ["line.temperature", "1", "s"]


def test_a_recording_gives_the_same_scores_as_the_history_of_its_samples(config, history, values, tmp_path):
    tags = TagTable.of([Tag(0, "other"), Tag(1, "line.temperature", eu_range=(0.0, 60.0))])
    engine = Engine(tags, [], [], Sync())
    recorder = Recorder(tmp_path / "line.etrec", {"tags": ["other", "line.temperature"]}, engine.snapshot())
    for begin in range(0, 400, 25):
        at = np.arange(begin, begin + 25)
        status = np.where(at % 50 == 9, 0x80310000, 0).astype(np.uint32)
        now_ns = (BEGAN + begin + 24) * 10**9
        recorder.step(SampleBatch.of([1] * 25, values[at], status, (BEGAN + at) * 10**9, received_ns=now_ns), now_ns)
    recorder.close("")
    said = run("forecast", "score", tmp_path / "line.etrec", "--config", config, *SHORT, "--json")
    assert said.code == 0, said.err
    recorded = said.json
    imported = run("forecast", "score", history, "--config", config, *SHORT, "--json").json
    assert recorded["tags"] == imported["tags"]


def test_the_same_file_gives_the_same_document(config, history):
    first, again = (run("forecast", "score", history, "--config", config, *SHORT, "--json").out for _ in range(2))
    assert first == again
    json.loads(first, parse_constant=pytest.fail)  # no NaN, no Infinity


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        (("--horizon", "0"), 2, "is no part of"),
        (("--horizon", "soon"), 2, "--horizon: 'soon' is not a duration"),
        (("--step", "0s"), 2, "is no part of"),
        (("--horizon", "30d", "--step", "1s"), 2, "more than 86400 steps"),
        (("--tag", "line.nothing"), 1, "there is no tag 'line.nothing'"),
        (("--tag", "line.mode"), 1, "there is no tag 'line.mode' of numbers"),
        (("--tag", "line.pressure"), 1, "no sample of these tags"),
    ],
)
def test_what_cannot_be_scored_is_refused_by_name(config, history, given, code, words):
    said = run("forecast", "score", history, "--config", config, *given)
    assert (said.code, said.out) == (code, "")
    assert words in said.err


def test_a_file_that_is_none(config, tmp_path):
    said = run("forecast", "score", tmp_path / "nowhere.csv", "--config", config)
    assert (said.code, "there is no such file" in said.err) == (2, True)
    (tmp_path / "broken.etrec").write_bytes(b"nothing")
    said = run("forecast", "score", tmp_path / "broken.etrec", "--config", config)
    assert (said.code, "no recording" in said.err) == (1, True)
