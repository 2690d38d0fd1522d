"""`edgetwin line`: runs, bundles, their files and pictures; exit codes 0 done, 1 cannot be written, 2 what was asked for is wrong."""

import csv
import hashlib
import json
import math
import os
import subprocess
import sys
from importlib import util
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cli.conftest import run
from gateway.line import execute, execute_scenario, load_line, read_bundle
from support.line_tree import edited, planted

ROOT = Path(__file__).parents[2]
TELEMETRY = (
    "time,datetime,sku_name,sku_description,size_oz,units_per_case,cases_per_pallet,tubes_produced,cases_produced,pallets_produced,"
    "good_pallets,defective_pallets,defects_created,defects_detected,material_cost,conversion_cost,revenue,gross_margin,"
    "buffer__source_Mill,buffer_Mill_Press,state_Mill,state_Press"
)
FILES = ["events.csv", "summary.json", "telemetry.csv"]


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A small tree as ./config/line of the working folder."""
    monkeypatch.chdir(tmp_path)
    return planted(tmp_path / "config" / "line")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def hashes(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def configured(*args):
    """A new bundle's folder."""
    said = run("line", "configure", "--run", "short", *args, "--json")
    assert said.code == 0, said.err
    return said.json["bundle"]


# --- run ------------------------------------------------------------------------------------------------------------------------------


def test_a_run_without_export_tells_and_writes_nothing(tree, tmp_path):
    said = run("line", "run", "--run", "short")
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0] == "short: scenario base, 60 min, seed 7"
    assert lines[2].split()[:6] == ["machine", "OEE", "availability", "performance", "quality", "starved"]
    assert [line.split()[0] for line in lines[3:6]] == ["Mill", "Press", "line"]
    assert lines[-1].startswith("bottleneck Mill")
    assert names(tmp_path) == ["config"]


@pytest.mark.parametrize("words", [("line", "run", "--run", "short", "--export"), ("line", "--run", "short", "--export")])
def test_export_writes_the_documents_columns(tree, tmp_path, words):
    assert run(*words).code == 0
    assert names(tmp_path / "output" / "short") == FILES
    telemetry = (tmp_path / "output" / "short" / "telemetry.csv").read_text().splitlines()
    assert telemetry[0] == TELEMETRY
    assert len(telemetry) == 1 + 12  # an hour in intervals of five minutes
    events = (tmp_path / "output" / "short" / "events.csv").read_text().splitlines()
    assert events[0] == "datetime,timestamp,machine,state,event_type,duration"
    assert {row["state"] for row in rows(tmp_path / "output" / "short" / "events.csv")} <= {
        "STARVED",
        "EXECUTE",
        "DOWN",
        "JAMMED",
        "BLOCKED",
    }


@pytest.mark.parametrize("words", [("--export", "there"), ("--export=there",), ("--out", "there"), ("--export", "--out", "there")])
def test_export_to_a_folder(tree, tmp_path, words):
    assert run("line", "run", "--run", "short", *words).code == 0
    assert names(tmp_path / "there") == FILES


def test_deltas_of_the_telemetry_sum_to_the_summary_and_durations_of_events_to_the_run(tree, tmp_path):
    assert run("line", "run", "--run", "short", "--export", "o").code == 0
    summary = json.loads((tmp_path / "o" / "summary.json").read_text())
    telemetry, events = rows(tmp_path / "o" / "telemetry.csv"), rows(tmp_path / "o" / "events.csv")
    for name in ("material_cost", "conversion_cost", "revenue", "gross_margin"):
        assert math.fsum(float(row[name]) for row in telemetry) == summary["economics"][name]
    for name in ("tubes_produced", "cases_produced", "pallets_produced", "good_pallets", "defects_created", "defects_detected"):
        assert sum(int(row[name]) for row in telemetry) == summary["production"][name]
    for machine in ("Mill", "Press"):
        assert math.isclose(math.fsum(float(row["duration"]) for row in events if row["machine"] == machine), 3600.0, rel_tol=1e-12)
    assert summary["economics"]["conversion_cost"] == 25.0


def test_parquet_holds_what_the_csv_holds(tree, tmp_path):
    assert run("line", "run", "--run", "short", "--export", "o", "--parquet").code == 0
    assert names(tmp_path / "o") == ["events.csv", "events.parquet", "summary.json", "telemetry.csv", "telemetry.parquet"]
    for table in ("telemetry", "events"):
        columns = pq.read_table(tmp_path / "o" / f"{table}.parquet").to_pydict()
        assert [dict(zip(columns, map(str, row), strict=True)) for row in zip(*columns.values(), strict=True)] == rows(
            tmp_path / "o" / f"{table}.csv"
        )


def test_parquet_without_pyarrow_says_what_to_install(tree, tmp_path, monkeypatch):
    found = util.find_spec
    monkeypatch.setattr("gateway.cli.line.find_spec", lambda name: None if name == "pyarrow" else found(name))
    said = run("line", "run", "--run", "short", "--parquet")
    assert (said.code, said.err) == (
        2,
        "edgetwin: --parquet needs pyarrow, which is not installed here: `pip install edgetwin[parquet]`\n",
    )
    assert names(tmp_path) == ["config"]


def test_one_json_document_whatever_is_written(tree):
    said = run("line", "run", "--run", "short", "--json", "--export")
    assert (said.json["run"], said.json["seed"], said.json["scenario"]) == ("short", 7, "base")
    assert set(said.json["machines"]) == {"Mill", "Press"}
    assert said.json == json.loads((tree.parents[1] / "output" / "short" / "summary.json").read_text())


def test_options_are_overrides(tree):
    said = run("line", "run", "--run", "short", "--seed", 9, "--duration", "30min", "--set", "Mill.quality.defect_rate=0", "--json")
    assert (said.json["seed"], said.json["duration_s"], said.json["production"]["defects_created"]) == (9, 1800.0, 0)
    (tree / "scenarios" / "perfect.yaml").write_text("name: perfect\nbase: base\noverrides: {Mill.reliability: null}\n")
    said = run("line", "run", "--run", "short", "--scenario", "perfect", "--json")
    assert (said.json["scenario"], said.json["machines"]["Mill"]["time_in_state_s"]["DOWN"]) == ("perfect", 0.0)


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(tree, tmp_path):
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        assert run("line", "run", "--run", "short", "--seed", seed, "--export", name).code == 0
    assert hashes(tmp_path / "a") == hashes(tmp_path / "b")
    assert hashes(tmp_path / "a")["events.csv"] != hashes(tmp_path / "c")["events.csv"]


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_pictures_are_drawn_and_the_same_run_draws_the_same(tree, tmp_path, kind):
    assert run("line", "run", "--run", "short", "--plot", "--plot-format", kind, "--out", "a").code == 0
    pictures = [f"buffers.{kind}", f"gantt.{kind}", f"oee.{kind}"]
    assert names(tmp_path / "a") == sorted([*pictures, *FILES])
    assert all((tmp_path / "a" / name).stat().st_size > 5000 for name in pictures)
    if kind == "svg":
        assert run("line", "run", "--run", "short", "--plot", "--plot-format", kind, "--out", "b").code == 0
        assert hashes(tmp_path / "a") == hashes(tmp_path / "b")
    assert run("line", "run", "--run", "short", "--plot-format", "gif").code == 2


def test_the_public_api_runs_the_same_line(tree, tmp_path):
    result = execute(load_line("short"))
    said = run("line", "run", "--run", "short", "--json")
    assert result.summary["oee"] == said.json["oee"]


# --- bundles --------------------------------------------------------------------------------------------------------------------------


def test_configure_then_simulate_twice_gives_the_same_bytes(tree, tmp_path):
    folder = tmp_path / configured()
    assert folder.parent == tmp_path / "scenarios"
    assert folder.name.startswith("short_20")
    assert len(folder.name) == len("short_YYYYmmdd_HHMMSS")
    assert names(folder) == ["config_snapshot.yaml", "metadata.json", "output", "scenario.py"]
    assert run("line", "simulate", "--scenario", folder).code == 0
    first = hashes(folder / "output")
    assert sorted(first) == FILES
    assert run("line", "simulate", "--scenario", folder, "--json").json["seed"] == 7
    assert hashes(folder / "output") == first
    assert run("line", "run", "--run", "short", "--export", "direct").code == 0
    assert hashes(tmp_path / "direct") == first


def test_a_bundle_runs_from_its_snapshot_whatever_becomes_of_the_tree(tree, tmp_path):
    folder = tmp_path / configured()
    execute_scenario(folder)
    first = hashes(folder / "output")
    planted(tree, edited("equipment/mill.yaml", "uph: 600", "uph: 60") | {"defaults.yaml": "run: {seed: 99}\n"})
    assert run("line", "simulate", "--scenario", folder).code == 0
    assert hashes(folder / "output") == first


def test_scenario_py_runs_by_itself(tree, tmp_path):
    folder = tmp_path / configured()
    where = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, folder / "scenario.py"]
    done = subprocess.run(command, cwd="/", env=where, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "scenario.py").stat().st_mode & 0o111
    assert hashes(folder / "output").keys() == set(FILES)
    (folder / "config_snapshot.yaml").write_text("")
    done = subprocess.run(command, cwd="/", env=where, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"{folder / 'config_snapshot.yaml'} was changed since it was configured")


def test_metadata_say_where_a_bundle_comes_from(tree, tmp_path):
    folder = tmp_path / configured("--seed", "3", "--set", "Mill.uph=700")
    metadata = json.loads((folder / "metadata.json").read_text())
    digest = hashlib.sha256((folder / "config_snapshot.yaml").read_bytes()).hexdigest()
    assert metadata["config_hash"] == f"sha256:{digest}"
    assert (metadata["run"], metadata["scenario"], metadata["product"], metadata["seed"]) == ("short", "base", "jar", 3)
    assert set(metadata["libraries"]) == {"numpy", "simpy", "scipy"}
    assert metadata["command"] == "edgetwin line configure --run short --seed 3 --set Mill.uph=700"
    assert "git_commit" not in metadata  # of a folder without a repository
    assert read_bundle(folder).line.seed == 3


def test_a_tree_in_a_repository_gives_its_commit(tree, tmp_path):
    def git(*words):
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        return subprocess.run(["git", *who, *words], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True).stdout.strip()

    git("init", "-q")
    git("add", "config")
    git("commit", "-q", "-m", "a tree")
    metadata = json.loads((tmp_path / configured() / "metadata.json").read_text())
    assert (metadata["git_commit"], metadata["git_dirty"]) == (git("rev-parse", "HEAD"), False)
    planted(tree, edited("runs/short.yaml", "seed: 7", "seed: 8"))
    assert json.loads((tmp_path / configured("--out", "again") / "metadata.json").read_text())["git_dirty"] is True


def test_two_bundles_of_one_second_lie_side_by_side(tree, tmp_path):
    assert len({configured() for _ in range(3)}) == 3
    assert len(names(tmp_path / "scenarios")) == 3


def test_a_dry_run_writes_nothing(tree, tmp_path):
    before = sorted(path for path in tmp_path.rglob("*"))
    said = run("line", "configure", "--run", "short", "--dry-run")
    assert said.code == 0
    assert "config_snapshot.yaml" in said.out
    assert "name: Mill" in said.out
    assert run("line", "configure", "--run", "short", "--dry-run", "--json").json["written"] is False
    assert run("line", "run", "--run", "short", "--dry-run", "--export").code == 0
    assert run("line", "run", "--run", "short", "--dry-run", "--json").json["line"]["name"] == "short"
    assert sorted(path for path in tmp_path.rglob("*")) == before


# --- what is refused ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["run", "configure"])
def test_a_fault_of_the_tree_is_named_by_its_place_and_nothing_is_written(tree, tmp_path, verb):
    planted(tree, edited("equipment/mill.yaml", "jam_prob: 0.02", "jam_prob: 2") | edited("runs/short.yaml", "jar", "jam"))
    said = run("line", verb, "--run", "short")
    assert said.code == 2
    assert said.err.splitlines() == [
        "edgetwin: config/line/runs/short.yaml:3:10: run.product: there is no product 'jam' in config/line/products (did you mean jar?)",
        "config/line/equipment/mill.yaml:10:13: equipment.Mill.performance.jam_prob: '2' is out of bounds: a share lies between 0 and 1",
    ]
    assert names(tmp_path) == ["config"]


def test_a_run_and_a_tree_that_are_not_there(tree, tmp_path):
    said = run("line", "run", "--run", "shor")
    assert (said.code, said.err) == (
        2,
        "edgetwin: config/line/runs:1:1: there is no run 'shor' in config/line/runs (did you mean short?)\n",
    )
    assert run("line", "run", "--run", "short", "--config", tmp_path / "nowhere").code == 2
    assert run("line", "run").code == 2


@pytest.mark.parametrize("file", ["config_snapshot.yaml", "metadata.json"])
@pytest.mark.parametrize("change", [lambda text: text.replace("7", "8"), lambda text: text + " ", lambda _: ""])
def test_a_changed_bundle_is_refused_and_its_output_stays(tree, tmp_path, file, change):
    """One byte is enough; white space behind metadata changes nothing that is said there."""
    folder = tmp_path / configured()
    execute_scenario(folder)
    before = hashes(folder / "output")
    text = (folder / file).read_text()
    (folder / file).write_text(change(text))
    said = run("line", "simulate", "--scenario", folder)
    assert said.code == (0 if file == "metadata.json" and change(text).strip() == text.strip() else 2)
    if said.code:
        assert str(folder / file) in said.err
    if file == "config_snapshot.yaml":
        assert "config_snapshot.yaml was changed since it was configured: its hash is sha256:" in said.err
        assert "change the configuration and configure again" in said.err
    assert hashes(folder / "output") == before


def test_what_is_no_text_and_nests_without_end_is_refused_in_a_bundle(tree, tmp_path):
    """Also where its hash fits."""
    folder = tmp_path / configured()
    raw = b"\xff\xfe\x00"
    metadata = json.loads((folder / "metadata.json").read_text()) | {"config_hash": f"sha256:{hashlib.sha256(raw).hexdigest()}"}
    (folder / "metadata.json").write_text(json.dumps(metadata))
    (folder / "config_snapshot.yaml").write_bytes(raw)
    said = run("line", "simulate", "--scenario", folder)
    assert (said.code, "config_snapshot.yaml is not UTF-8 at byte 0" in said.err) == (2, True), said.err
    (folder / "metadata.json").write_text("[" * 100_000)
    said = run("line", "simulate", "--scenario", folder)
    assert (said.code, "metadata.json is not JSON" in said.err) == (2, True), said.err


@pytest.mark.parametrize("file", ["config_snapshot.yaml", "metadata.json"])
def test_a_bundle_without_one_of_its_files_is_refused(tree, tmp_path, file):
    folder = tmp_path / configured()
    (folder / file).unlink()
    said = run("line", "simulate", "--scenario", folder)
    assert (said.code, said.err.splitlines()[0]) == (2, f"edgetwin: {folder / file} cannot be read: No such file or directory")
    assert names(folder / "output") == []
    assert run("line", "simulate", "--scenario", tmp_path / "nowhere").code == 2


def test_other_versions_than_it_was_configured_with_are_told(tree, tmp_path):
    folder = tmp_path / configured()
    text = (folder / "metadata.json").read_text()
    (folder / "metadata.json").write_text(text.replace('"python": "', '"python": "2.7-'))
    said = run("line", "simulate", "--scenario", folder)
    assert said.code == 0
    assert "not as it was configured, so that the bytes may differ: python 2.7-" in said.err


def test_an_output_that_cannot_be_written_is_named(tree, tmp_path):
    (tmp_path / "file").write_text("mine")
    said = run("line", "run", "--run", "short", "--export", "file/below")
    assert (said.code, said.err.splitlines()[0]) == (1, f"edgetwin: file/below cannot be written: {tmp_path / 'file'} is not a folder")
    bundle = tmp_path / configured("--out", tmp_path / "b")
    (bundle / "output").rmdir()
    (bundle / "output").write_text("mine")
    said = run("line", "simulate", "--scenario", bundle)
    assert (said.code, said.err.splitlines()[0]) == (
        1,
        f"edgetwin: {bundle / 'output'} cannot be written: {bundle / 'output'} is not a folder",
    )
    said = run("line", "configure", "--run", "short", "--out", "file")
    assert (said.code, said.err.count("file/short_2")) == (1, 1)
    assert (tmp_path / "file").read_text() == "mine"
    assert names(tmp_path) == ["b", "config", "file"]


def test_a_folder_without_permission_is_named_before_anything_runs(tree, tmp_path, monkeypatch):
    """Root may write anywhere, so the system's answer is given here."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    said = run("line", "run", "--run", "short", "--export", "locked/o")
    assert (said.code, said.err.splitlines()[0]) == (1, f"edgetwin: locked/o cannot be written: no permission to write in {tmp_path}")


def test_nothing_is_half_written(tree, tmp_path):
    """The second of three files cannot be put in its place: the other two stay as they were, and nothing else is left."""
    folder = tmp_path / "o"
    assert run("line", "run", "--run", "short", "--export", folder).code == 0
    before = hashes(folder)
    (folder / "events.csv").unlink()
    (folder / "events.csv").mkdir()
    said = run("line", "run", "--run", "short", "--seed", "8", "--export", folder)
    assert (said.code, said.err.splitlines()[0]) == (1, f"edgetwin: {folder / 'events.csv'} cannot be written: it is a folder")
    (folder / "events.csv").rmdir()
    assert hashes(folder) == {name: digest for name, digest in before.items() if name != "events.csv"}


# --- list -----------------------------------------------------------------------------------------------------------------------------


def test_list_tells_runs_and_scenarios(tree):
    said = run("line", "list", "--json")
    assert [(row["kind"], row["name"], row["uses"]) for row in said.json["files"]] == [
        ("run", "short", {"scenario": "base", "product": "jar"}),
        ("scenario", "base", {"topology": "pair"}),
    ]
    (tree / "runs" / "broken.yaml").write_text("name: [\n")
    said = run("line", "list", "--all")
    assert said.code == 0
    found = [line.split(maxsplit=2) for line in said.out.splitlines()]
    assert any(words[:2] == ["run", "broken"] and "is not YAML" in words[2] for words in found)
    assert ["equipment", "Mill"] in found


def test_the_shipped_examples_run_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = run("line", "run", "--run", "baseline_8hr", "--duration", "1h", "--json")
    assert said.code == 0
    assert list(said.json["machines"]) == ["Filler", "Inspector", "Packer", "Palletizer"]
