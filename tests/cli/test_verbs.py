"""Verbs against a gateway on its local socket: what they print, and their exit codes."""

import asyncio
import csv
import json
import subprocess
import sys

import pytest

from cli.conftest import edgetwin, run
from gateway.cli import doctor, show
from support.waiting import eventually

CONFIG = """
version: 1
gateway: {name: line1, data_dir: DATA}
tags:
  - {name: line.temperature, type: float, unit: Cel, range: [0, 60]}
alarms:
  - {tag: line.temperature, hi: 27, hysteresis: 0.5}
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text(CONFIG.replace("DATA", str(tmp_path / "site-data")))
    return path


async def test_read_prints_value_unit_quality_and_age(room):
    said = await edgetwin("read", "line.temperature", "line.state", "oven.temperature")
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[1].split() == ["line.temperature", "22.5", "Cel", "good", "0", "s"]
    assert lines[2].split() == ["line.state", "running", "good", "0", "s"]
    assert "bad (BadWaitingForInitialData)" in lines[3]
    assert (await edgetwin("read", "line.temperature", "--json")).json["tags"][0]["value"] == 22.5


async def test_an_unknown_tag_fails_with_the_reason(room):
    said = await edgetwin("read", "nowhere")
    assert (said.code, said.out) == (1, "")
    assert "there is no tag 'nowhere'" in said.err


async def test_status_shows_units_outbox_and_problems_by_name(room):
    said = await edgetwin("status")
    assert said.code == 0
    for words in ("line1  ok", "plc1", "hours of outage left", "31.0", "oven.temperature", "no such node"):
        assert words in said.out
    assert (await edgetwin("status", "--json")).json["outbox"][0]["outage_hours"] == 31.0


async def test_status_says_how_many_alarms_are_kept_from_people(room):
    assert "shelved" not in (await edgetwin("status")).out
    shelved = {"condition": "line.temperature/Alarms/HI", "duration": 600}
    async with room.client() as client:
        answer = await client.post("/api/v1/commands", json={"command": "alarm.shelve", "args": shelved})
        assert answer.status_code == 200, answer.text
    assert "alarms: 1 active, 1 unacknowledged, 1 shelved" in (await edgetwin("status")).out


async def test_doctor_finds_dead_tags_and_problems(room):
    said = await edgetwin("doctor", "--json")
    found = {finding["subject"]: finding for finding in said.json["findings"]}
    assert said.code == 0
    assert found["tag oven.temperature"]["level"] == "warning"
    assert found["source plc1: oven.temperature"]["what"] == "no such node"
    assert found["outbox hq/live"]["what"] == "room for 31.0 hours of outage at the present rate"
    room.health.sources["plc1"] |= {"state": "down", "reason": "connection refused"}
    said = await edgetwin("doctor")
    assert said.code == 1
    assert said.out.splitlines()[0].startswith("fault    source plc1: down: connection refused")


@pytest.mark.parametrize(
    "why",
    [
        "web: cannot listen on 127.0.0.1:8080: Address already in use; set web.port to a free port",
        "OPC UA server: cannot listen on 127.0.0.1:8080: error while attempting to bind on address (...): address already in use (...)",
    ],
)
def test_doctor_says_once_that_another_program_holds_the_port(why):
    report = {
        "state": "degraded",
        "version": "1",
        "reasons": [f"sink web: down, {why}", "outbox hq: 3 rows given up"],
        "sinks": {"web": {"state": "down", "reason": why}},
    }
    gateway, web = list(doctor.of_status(report))[:2]
    assert (gateway.what, web.what) == ("outbox hq: 3 rows given up", f"down: {why}")
    assert "another program holds the port: `ss -ltnp 'sport = :8080'` shows which" in web.hint


def test_doctor_says_when_a_clock_is_off_and_the_disk_will_be_full():
    report = {
        "state": "ok",
        "version": "1",
        "sources": {"plc1": {"state": "up", "clock_skew_s": -7.0}},
        "outbox": [{"stream": "hq/live", "dropped": 3, "quarantined": 1, "outage_hours": 2.0}],
        "store": {"disk_free_bytes": 10**9, "bytes_per_day": 10**9, "written_bytes_per_day": 3e9, "damage": "page 7"},
        "road": {"loop_lag_ms": 900},
    }
    levels = {finding.what: finding.level for finding in doctor.of_status(report)}
    assert levels["its clock is -7.0 s off ours"] == "warning"
    assert levels["3 rows were given up"] == "fault"
    assert levels["room for 2.0 hours of outage at the present rate"] == "warning"
    assert levels["room for 24 hours at the present rate"] == "warning"
    assert levels["3.00 GB are written per day (wear of flash)"] == "fine"
    assert levels["page 7"] == "fault"


async def test_watch_prints_the_present_and_what_changes(room):
    watching = asyncio.create_task(edgetwin("watch", "line.temperature", "oven.temperature", "--for", "1s", "--json"))
    await eventually(lambda: room.updates._listeners)
    await room.feed({"line.temperature": 23.5})
    said = await watching
    rows = [json.loads(line) for line in said.out.splitlines()]
    assert said.code == 0
    assert {row["tag"] for row in rows} == {"line.temperature", "oven.temperature"}
    assert [row["value"] for row in rows if row["tag"] == "line.temperature"][-1] == 23.5
    assert (await edgetwin("watch", "nowhere", "--for", "5s")).code == 1
    assert (await edgetwin("watch", "line.temperature", "--for", "often")).code == 2


async def test_write_goes_through_the_door(room):
    said = await edgetwin("write", "oven.temperature=180.5", "--json")
    assert said.json["written"] == [{"tag": "oven.temperature", "value": 180.5, "status": "Good", "message": "done"}]
    assert room.executed == ["tag.write"]
    assert (await edgetwin("write", "oven.temperature")).code == 2
    assert (await edgetwin("reload")).code == 1  # this room has no such command: said, not swallowed


async def test_several_writes_are_checked_first_and_each_says_what_became_of_it(room):
    said = await edgetwin("write", "oven.temperature=1", "nowhere=2", "line.temperature=3")
    assert (said.code, said.out, room.executed) == (1, "", [])
    assert "there is no tag 'nowhere'" in said.err
    room.refuse = {"line.temperature"}
    said = await edgetwin("write", "line.temperature=3", "oven.temperature=1", "--json")
    assert said.code == 1
    assert [(row["tag"], row["status"]) for row in said.json["written"]] == [
        ("line.temperature", "BadOutOfRange"),
        ("oven.temperature", "Good"),
    ]
    said = await edgetwin("write", "oven.temperature=1", "line.temperature=3")
    assert said.out.splitlines() == ["oven.temperature = 1: Good", "line.temperature = 3: BadOutOfRange (not that)"]
    assert "1 of 2 were not written" in said.err


@pytest.mark.parametrize(
    ("number", "text"),
    [(1_767_225_600.0, "1767225600"), (2.0**53, "9007199254740992"), (0.1 + 0.2, "0.3"), (12345.678901, "12345.678901"), (1e300, "1e+300")],
)
def test_whole_numbers_are_shown_whole_and_others_with_twelve_digits(number, text):
    assert show.value(number) == text


async def test_what_is_no_time_is_wrong_usage(room, tmp_path):
    assert (await edgetwin("export", "history", tmp_path / "all.csv", "--from", "nonsense")).code == 2
    assert (await edgetwin("export", "events", tmp_path / "all.csv", "--to", "nonsense")).code == 2


async def test_history_events_and_state_are_exported(room, tmp_path):
    await room.feed({"line.temperature": 28.0})
    window = ("--from", "2027-01-01")
    assert (await edgetwin("export", "history", tmp_path / "all.csv", *window)).code == 0
    rows = list(csv.DictReader((tmp_path / "all.csv").open()))
    assert [row["value"] for row in rows if row["tag"] == "line.temperature"] == ["22.5", "28.0"]
    said = await edgetwin("export", "history", tmp_path / "one.json", "--tag", "line.state", *window, "--json")
    assert said.json["bytes"] == (tmp_path / "one.json").stat().st_size
    assert json.loads((tmp_path / "one.json").read_text())["series"][0]["value"] == [1.0]
    assert (await edgetwin("export", "history", tmp_path / "all.parquet", *window)).code == 0
    assert (tmp_path / "all.parquet").read_bytes()[:4] == b"PAR1"
    assert (await edgetwin("export", "events", tmp_path / "events.csv", *window)).code == 0
    assert len(list(csv.DictReader((tmp_path / "events.csv").open()))) == 1
    assert (await edgetwin("export", "state", tmp_path / "state.json")).code == 0
    assert json.loads((tmp_path / "state.json").read_text())["line"]["temperature"] == 28.0
    assert (await edgetwin("export", "state", tmp_path / "state.csv")).code == 2
    assert (await edgetwin("import", "state", tmp_path / "all.csv")).code == 1
    content = json.loads((tmp_path / "state.json").read_text())
    (tmp_path / "bad.json").write_text(json.dumps({**content, "line": {}}))
    assert "the checksum does not fit" in (await edgetwin("import", "state", tmp_path / "bad.json")).err
    assert (await edgetwin("export", "history")).code == 2
    assert (await edgetwin("export", "history", tmp_path / "all.xlsx")).code == 2


def test_history_goes_in_and_out_without_a_gateway(config, tmp_path):
    table = tmp_path / "input.csv"
    table.write_text("timestamp,line.temperature\n" + "".join(f"2026-01-01T00:00:{n:02d}Z,{20 + n}\n" for n in range(30)))
    assert run("import", table, "--config", config, "--json").json["samples"] == 30
    assert run("import", table, "--config", config).code == 0  # twice is once
    out = tmp_path / "out.csv"
    assert run("export", "history", out, "--config", config, "--from", "2026-01-01", "--json").json["samples"] == 30
    rows = list(csv.DictReader(out.open()))
    assert (rows[0]["timestamp"], rows[0]["value"], rows[-1]["value"]) == ("2026-01-01T00:00:00.000Z", "20.0", "49.0")
    again = run(
        "export", "history", tmp_path / "o.csv", "-c", config, "--from", "2026-01-01T00:00:10Z", "--to", "2026-01-01T00:00:20Z", "--json"
    )
    assert again.json["samples"] == 10
    assert run("export", "events", out, "--config", config).code == 2
    assert run("import", tmp_path / "none.csv", "--config", config).code == 2
    table.write_text("a,b\n1,2\n")
    assert "there is no column 'timestamp'" in run("import", table, "--config", config).err


async def test_a_sign_in_link_is_made(room):
    said = await edgetwin("user", "link", "--role", "viewer", "--json")
    sid = room.sessions.redeem(said.json["path"].partition("link=")[2])
    assert room.sessions.find(sid).role == "viewer"


def test_without_a_gateway_the_exit_code_is_three_with_a_hint(folder):
    for verb in (
        ("status",),
        ("read", "a"),
        ("watch", "a"),
        ("reload",),
        ("status", "--name", "line9"),
        ("status", "--url", "http://127.0.0.1:9"),
    ):
        said = run(*verb)
        assert (said.code, said.out) == (3, "")
        assert "is it running?" in said.err
    assert run("status", "--url", "127.0.0.1:8080").code == 2


def test_a_socket_that_nobody_answers_on_is_no_gateway(folder):
    import socket

    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(folder / "dead.sock"))
    assert run("status").code == 3


def test_sockets_that_nobody_answers_on_are_not_several_gateways(folder):
    left_behind(folder, "test-1", "test-2")
    said = run("status")
    assert said.code == 3
    assert "no gateway answers on any of the 2 sockets" in said.err


async def test_sockets_that_were_left_behind_are_passed_over(room, folder):
    left_behind(folder, "bench-1", "demo")
    assert (await edgetwin("status")).code == 0


def left_behind(folder, *names):
    """As kill -9 leaves them."""
    import socket

    for name in names:
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(folder / f"{name}.sock"))


async def test_of_several_gateways_one_must_be_named(room, folder):
    from gateway.web.server import WebServer

    second = WebServer(room.app, None, 0, folder / "line2.sock")
    await second.start()
    said = await edgetwin("status")
    assert said.code == 2
    assert "line1, line2" in said.err
    assert "--name line1" in said.err
    assert (await edgetwin("status", "--name", "line2")).code == 0
    await second.stop()


@pytest.mark.parametrize("args", [("nothing",), ("read",), ("check",), ("status", "--unknown"), ("export", "everything", "x.csv")])
def test_wrong_usage_is_two(args):
    assert run(*args).code == 2


def test_check_says_each_fault_with_its_place(config, tmp_path):
    assert run("check", config).code == 0
    assert run("check", config, "--json").json["ok"] is True
    config.write_text(config.read_text().replace("hysteresis", "histeresis").replace("unit: Cel", "unit: bananas"))
    said = run("check", config)
    assert said.code == 2
    assert f"{config}:7:" in said.out
    assert "hysteresis" in said.out
    faults = run("check", config, "--json").json["faults"]
    assert len(faults) == 2
    assert {fault["line"] for fault in faults} == {5, 7}
    assert run("check", tmp_path / "none.yaml").code == 2


def test_schema_is_json_schema():
    assert "properties" in run("schema").json


def test_replay_of_a_table_prints_alarms_and_the_same_hash_each_time(config, tmp_path):
    table = tmp_path / "input.csv"
    table.write_text("tag,timestamp,value\n" + "".join(f"line.temperature,2026-01-01T00:00:{n:02d}Z,{20 + n}\n" for n in range(12)))
    first, again = (run("replay", table, "--config", config, "--json").json for _ in range(2))
    assert first["state_hash"] == again["state_hash"]
    assert [alarm["change"] for alarm in first["alarms"]] == ["active"]
    said = run("replay", table, "--config", config)
    assert "line.temperature/Alarms/HI" in said.out
    assert run("replay", tmp_path / "none.etrec", "--config", config).code == 2


def test_version_and_help():
    assert run("version").out.startswith("edgetwin 0.")
    assert run("--version").out == run("version").out
    assert "Did you mean 'status'?" in run("statsu").err
    assert run("version", "--json").json["version"]
    assert run("--help").code == 0


def test_the_command_line_loads_without_the_heavy_libraries():
    """`edgetwin run` pays for what the daemon uses, not for what other verbs use."""
    heavy = {"numpy", "fastapi", "uvicorn", "httpx", "asyncua", "pydantic", "scipy"}
    script = f"import sys, gateway.cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "[]"


def test_the_daemon_starts_without_what_only_some_sites_use():
    """Each of these costs a start tens of milliseconds and some megabytes: it is loaded when it is needed first."""
    heavy = {"numpy.random", "scipy", "sklearn", "simpy", "fastapi", "asyncua", "aiomqtt"}
    script = f"import sys, gateway.app; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(None, "-"), (0.0, "0 s"), (1.234, "1.23 s"), (600, "10 min"), (9000, "2.5 h"), (864_000, "10 d")]
)
def test_ages_are_short(seconds, shown):
    assert show.age(seconds) == shown
