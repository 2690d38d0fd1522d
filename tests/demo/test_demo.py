"""`edgetwin demo` as a person runs it: a process, its addresses, its one line of counters."""

import json
import re
import signal
import socket
import sys

import httpx
import pytest

from gateway.plugins import plugins
from gateway.settings import load
from support.waiting import eventually

KEYS = {
    "samples_in", "samples_out", "lost", "tags", "alarms_raised", "alarms_cleared", "events", "opcua_url", "mqtt_url",
    "latency_ms_p50", "latency_ms_p99", "rss_mb", "web_url", "login_url",
}  # fmt: skip


@pytest.fixture
def start_demo(start_process):
    return lambda *options, env=None: start_process([sys.executable, "-m", "gateway", "demo", *options], env=env)


@pytest.mark.live
def test_fifteen_seconds_lose_nothing_and_alarms_come_and_go(start_demo):
    demo = start_demo("--for", "15", "--json")
    assert demo.wait(within=60) == 0, demo.errors()
    summary = json.loads(demo.output().splitlines()[-1])
    assert set(summary) >= KEYS
    assert summary["lost"] == 0, summary["lost_tags"]
    assert summary["tags"] >= 60
    assert summary["samples_in"] > 1000
    assert summary["samples_out"] > 500
    assert summary["alarms_raised"] > 0
    assert summary["alarms_cleared"] > 0
    assert summary["latency_ms_p50"] <= summary["latency_ms_p99"] < 1000


@pytest.mark.live
async def test_its_addresses_answer_and_ctrl_c_ends_it(start_demo):
    """The page answers, the one-time link signs in once, and SIGINT leaves exit code 0 and a last line in words."""
    demo = start_demo()
    page = (await eventually(lambda: re.search(r"web page +(http\S+)", demo.output()), within=40))[1]
    link = re.search(r"sign in +(http\S+)", demo.output())[1]
    assert "OPC UA on loopback: no security, anonymous may operate" in demo.output()
    opcua = re.search(r"OPC UA +opc.tcp://127.0.0.1:(\d+)", demo.output())[1]
    async with httpx.AsyncClient(timeout=10) as client:
        assert (await client.get(f"{page}/healthz")).status_code == 200
        assert (await client.get(link)).status_code < 400
    with socket.create_connection(("127.0.0.1", int(opcua)), timeout=5):
        pass
    demo.signal(signal.SIGINT)
    assert demo.wait(within=30) == 0, demo.errors()
    assert "nothing lost" in demo.output()


@pytest.mark.live
async def test_a_terminal_that_is_closed_ends_it_in_order(start_demo, tmp_path):
    """SIGHUP, also more than one of them, leaves exit code 0 and neither socket nor folder."""
    (tmp_path / "edgetwin").mkdir()
    demo = start_demo(env={"XDG_RUNTIME_DIR": str(tmp_path), "TMPDIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path)})
    local = re.compile(r"OPC UA +opc.tcp://127.0.0.1:(\d+)")
    port = (await eventually(lambda: local.search(demo.output()), within=40))[1]
    demo.signal(signal.SIGHUP)
    demo.signal(signal.SIGHUP)
    assert demo.wait(within=30) == 0, demo.errors()
    name = "demo.sock" if port == "4840" else f"demo-{port}.sock"
    assert not [folder / name for folder in folders(tmp_path) if (folder / name).exists()]
    assert not list(tmp_path.glob("edgetwin-*"))


def folders(runtime):
    """Where its socket may have lain."""
    from gateway import local

    return [local.SYSTEM, runtime / "edgetwin"]


@pytest.mark.live
def test_a_configuration_that_is_wrong_ends_with_2_and_says_where(start_demo, tmp_path):
    wrong = tmp_path / "site.yaml"
    wrong.write_text("version: 1\ngateway: {nam: x}\n")
    demo = start_demo("--config", str(wrong), "--for", "1")
    assert demo.wait(within=40) == 2
    assert "site.yaml:2:" in demo.errors()


def test_the_demos_site_is_without_fault_and_covers_every_signal_of_the_plant():
    from gateway.demo.physics import Parameters
    from gateway.demo.signals import signals
    from gateway.settings.units import data

    site = load(data("demo.yaml"), plugins())
    assert not site.faults
    assert all(rule.cause and rule.consequence and rule.action for rule in site.rules)
    for signal_ in signals(Parameters()):
        tag = site.tags.named(signal_.name)
        assert tag is not None, signal_.name
        assert (tag.type, tag.unit, tag.eu_range, tag.address) == (signal_.type, signal_.unit, signal_.range, signal_.address)
        assert tag.sampling_interval_ns == signal_.interval_ms * 1_000_000
        assert dict(tag.labels) == signal_.labels
        assert (tag.write_rule is not None) == signal_.setpoint


def test_a_taken_port_is_told_and_left_alone():
    from gateway.demo.ports import free_from
    from gateway.demo.verb import Ports

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert free_from(taken.getsockname()[1]) > taken.getsockname()[1]
    assert Ports(4840, 8080, 4841, 1883).moved() == []
    assert Ports(4842, 8080, 4843, 1883).moved() == ["port 4840 is taken: OPC UA listens on 4842"]
