"""Health with reasons, systemd's protocol, the watch for silent sources, and logs."""

import json
import logging
import socket

import pytest

from gateway import logs
from gateway.engine.engine import Engine
from gateway.health import Health, State, notify
from gateway.model import quality
from gateway.model.batch import Origin, SampleBatch
from gateway.model.sync import Sync
from gateway.model.tag import Tag, TagTable
from gateway.watch import Silence, process_age_s, process_figures

S = 1_000_000_000


def test_an_absent_source_leaves_the_gateway_ready_and_is_named():
    health = Health(lambda: 0)
    health.ready_after_s = 0.5
    unit = health.fresh("source", "plc1")
    health.keep(unit)
    unit.turn(State.DOWN, "connection refused")
    assert health.ready() == (True, [])
    assert health.degraded() == ["source plc1: down, connection refused"]


@pytest.mark.parametrize("name", ["opcua", "web", "local"])
def test_a_face_that_does_not_listen_is_not_ready_and_is_named_yet_the_gateway_works(name):
    health = Health(lambda: 0)
    health.ready_after_s = 0.5
    unit = health.fresh("sink", name)
    health.keep(unit)
    unit.turn(State.DOWN, "cannot listen")
    assert health.ready() == (False, [f"sink {name}: down, cannot listen"])
    assert (health.able(), health.live()) == ((True, []), (True, []))
    unit.turn(State.UP)
    assert health.ready() == (True, [])


def test_a_stuck_loop_and_a_commit_that_does_not_end_are_not_alive():
    now = 0
    health = Health(lambda: now)
    health.loop_lag_s, health.committing_since_ns = 2.0, 0
    now = 20 * S
    alive, reasons = health.live()
    assert not alive
    assert len(reasons) == 2


def test_a_plant_that_says_nothing_for_hours_leaves_the_gateway_alive():
    now = 0
    health = Health(lambda: now)
    now = 10_000 * S
    assert health.live() == (True, [])


def test_problems_are_bounded_and_what_does_not_fit_is_counted():
    unit = Health(lambda: 0).fresh("source", "plc1")
    for number in range(1005):
        unit.problem(f"tag{number}", "bad")
    assert len(unit.problems) == 1000
    assert unit.counters["problems_not_kept"] == 5
    unit.problem("tag0", None)
    assert "tag0" not in unit.problems


def test_a_unit_of_a_reload_goes_on_counting():
    health = Health(lambda: 0)
    unit = health.fresh("source", "plc1")
    health.keep(unit)
    unit.count("samples", 7)
    assert health.fresh("source", "plc1").counters["samples"] == 7


def test_notify_speaks_systemds_protocol(tmp_path, monkeypatch):
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(path))
        systemd.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        notify("READY=1", "STATUS=running")
        assert systemd.recv(100) == b"READY=1\nSTATUS=running"


def test_without_systemd_nothing_is_said(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("READY=1")  # and nothing is raised


def test_a_tag_is_silent_after_three_of_its_own_intervals_and_once():
    tags = TagTable.of([Tag(0, "slow", "cell"), Tag(1, "told", "cell", stale_after_ns=10 * S)])
    engine = Engine(tags, [], [], Sync())
    silence = Silence(tuple(tags), engine.view)

    def receive(second):
        batch = SampleBatch.of([0, 1], [1.0, float(second)], 0, second * S, received_ns=second * S)
        engine.step(batch, second * S)
        return silence.silent(second * S)

    assert [receive(second) for second in (100, 110, 120)] == [None, None, None]
    assert silence.silent(149 * S) is None
    batch = silence.silent(151 * S)
    assert batch.tag_id.tolist() == [0]  # the other one says for itself when it is stale
    assert (batch.origin, int(batch.status[0])) == (Origin.GATEWAY, quality.UNCERTAIN_LAST_USABLE)
    engine.step(batch, 151 * S)
    assert silence.silent(160 * S) is None
    assert engine.view.value[0] == 1.0
    assert receive(170) is None
    assert engine.view.status[0] == quality.GOOD


def test_a_value_from_before_the_start_that_nobody_confirms_is_silent_after_half_a_minute_and_an_old_one_learned_is_kept():
    tags = TagTable.of([Tag(0, "quiet", "cell"), Tag(1, "never", "cell")])
    engine = Engine(tags, [], [], Sync())
    engine.step(SampleBatch.of([0], [1.0], 0, 10 * S, received_ns=10 * S), 10 * S)  # as restored
    silence = Silence(tuple(tags), engine.view)
    assert silence.silent(100 * S) is None
    assert silence.silent(130 * S) is None
    assert Silence(tuple(tags), engine.view, silence).silent(131 * S).tag_id.tolist() == [0]  # a reload begins no new half minute
    assert silence.silent(131 * S).tag_id.tolist() == [0]


def test_what_a_link_that_stands_again_has_not_brought_anew_is_the_last_usable_value():
    tags = TagTable.of([Tag(0, "door", "cell"), Tag(1, "never", "cell")])
    engine = Engine(tags, [], [], Sync())
    silence = Silence(tuple(tags), engine.view)
    engine.step(SampleBatch.of([0], [1.0], 0, 10 * S, received_ns=10 * S), 10 * S)
    lost = SampleBatch.of([0, 1], [float("nan")] * 2, quality.BAD_NO_COMMUNICATION, 11 * S, received_ns=11 * S, origin=Origin.GATEWAY)
    engine.step(lost, 11 * S)
    assert [silence.silent(second * S, linked=False) for second in (12, 13, 14, 15, 16)] == [None] * 5
    looks = [silence.silent(second * S) for second in (17, 18, 19, 20)]
    assert looks[:3] == [None] * 3
    assert (looks[3].tag_id.tolist(), int(looks[3].status[0])) == ([0], quality.UNCERTAIN_LAST_USABLE)


def test_a_wall_clock_that_is_set_makes_nobody_silent():
    tags = TagTable.of([Tag(0, "a", "cell")])
    engine = Engine(tags, [], [], Sync())
    silence = Silence(tuple(tags), engine.view)
    for second in (100, 101, 102):
        engine.step(SampleBatch.of([0], [float(second)], 0, second * S, received_ns=second * S), second * S)
        silence.silent(second * S)
    engine.rebase(3600 * S)
    silence.rebase(3600 * S)
    assert silence.silent(3703 * S) is None


def test_figures_of_this_process_are_plausible():
    figures = process_figures()
    assert 10 < figures["rss_mb"] < 4000
    assert figures["open_files"] >= 3
    assert 0 < process_age_s() < 100_000


def test_a_log_file_holds_json_lines_and_is_rotated(tmp_path, monkeypatch):
    monkeypatch.setenv("LOG_LEVEL", "info")
    path = tmp_path / "logs" / "edgetwin.log"
    logs.configure(logs.LogConfig.model_validate({"file": str(path), "format": "json"}))
    try:
        logging.getLogger("test").info("hello")
        rotating = logging.getLogger().handlers[1]
        assert (rotating.maxBytes, rotating.backupCount) == (10 * 1024 * 1024, 5)
        line = json.loads(path.read_text().splitlines()[-1])
        assert (line["event"], line["level"]) == ("hello", "info")
    finally:
        logging.basicConfig(handlers=[], force=True)


@pytest.mark.parametrize("level", ["verbose", 3])
def test_an_unknown_level_is_refused(level):
    with pytest.raises(ValueError, match="level"):
        logs.LogConfig.model_validate({"level": level})
