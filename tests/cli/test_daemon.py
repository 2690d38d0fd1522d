"""The verbs against the daemon itself, as processes: what an operator types on the machine."""

import json
import re
import subprocess
import sys

import pytest

EDGETWIN = (sys.executable, "-m", "gateway")
SITE = """
version: 1
gateway: {name: NAME, data_dir: DATA}
tags:
  - {name: line.temperature, type: float, unit: Cel, range: [0, 60], writable: {min: 0, max: 50}}
  - {name: line.state, type: enum, labels: {0: stopped, 1: running}, writable: {}}
alarms:
  - {tag: line.temperature, hi: 27, hysteresis: 0.5}
web: {port: 0}
"""


@pytest.fixture
def site(tmp_path, free_port):
    path = tmp_path / "site.yaml"
    path.write_text(SITE.replace("NAME", f"cli{free_port}").replace("DATA", str(tmp_path / "data")))
    return path


def test_an_operator_checks_runs_writes_records_replays_reloads_and_stops(site, tmp_path, start_process, free_port):
    name = re.search(r"name: (cli\d+)", site.read_text())[1]
    runtime = {"XDG_RUNTIME_DIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path)}

    def edgetwin(*args, code=0):

        done = subprocess.run([*EDGETWIN, *map(str, args)], capture_output=True, text=True, timeout=60, check=False, env=runtime)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    edgetwin("check", site)
    daemon = start_process([*EDGETWIN, "run", site], env=runtime)
    daemon.wait_output("ready")
    here = ("--name", name)
    assert json.loads(edgetwin("status", "--json", *here))["name"] == name
    edgetwin("write", "line.temperature=30", "line.state=1", *here)
    rows = {row["name"]: row for row in json.loads(edgetwin("read", "line.temperature", "line.state", "--json", *here))["tags"]}
    assert (rows["line.temperature"]["value"], rows["line.state"]["label"]) == (30.0, "running")
    edgetwin("write", "line.temperature=99", *here, code=1)
    recording = tmp_path / "day.etrec"
    recorded = json.loads(edgetwin("record", recording, "--for", "500ms", "--json", *here))
    replayed = json.loads(edgetwin("replay", recording, "--config", site, "--json"))
    assert (replayed["equal"], replayed["state_hash"]) == (True, recorded["state_hash"])
    site.write_text(site.read_text().replace("hi: 27", "hi: 28"))
    assert "28" in edgetwin("reload", "--dry-run", *here)
    assert "applied" in edgetwin("reload", *here)
    site.write_text(site.read_text() + f"sources: {{plc9: {{driver: opcua, url: opc.tcp://127.0.0.1:{free_port}}}}}\n")
    assert "source plc9 is not up yet: " in edgetwin("reload", *here)
    site.write_text(site.read_text().replace("hi: 28", "high: 28"))
    edgetwin("reload", *here, code=1)
    edgetwin("export", "history", tmp_path / "out.csv", *here)
    assert "30.0" in (tmp_path / "out.csv").read_text()
    assert daemon.stop() == 0
    assert "stopped" in daemon.output() + daemon.errors()
    edgetwin("status", *here, code=3)
    edgetwin("run", site, code=2)
