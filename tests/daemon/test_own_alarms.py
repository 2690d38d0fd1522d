"""The gateway's own alarms: what is wrong, told on the edge, once it has lasted."""

import asyncio
import datetime as dt
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway import app, own_alarms
from gateway.health import Health, State
from gateway.launch import load_site, running
from gateway.model.alarm import SYSTEM_TAG, AlarmRule, Condition, Limit
from gateway.model.command import Caller, Command
from gateway.own_alarms import Certificate, Edges, expiry_ns, wrong
from gateway.replay import replay
from support.mqtt_face import subscriber
from support.ports import free_port
from support.waiting import eventually

S = 1_000_000_000
DAY_NS = 86_400 * S
SITE = """
version: 1
gateway: {name: line1}
sources:
  plc1: {driver: opcua, url: "opc.tcp://127.0.0.1:1", security: None}
upstream:
  - {name: hq, kind: mqtt, url: "mqtt://127.0.0.1:1"}
tags:
  - {name: line.temp, source: plc1, address: "nsu=urn:x;s=temp"}
alarms:
  - {tag: line.temp, hi: 27}
"""


@pytest.fixture
def site(tmp_path):
    def made(text=SITE):
        path = tmp_path / "site.yaml"
        path.write_text(text)
        return load_site(path)

    return made


def test_each_link_has_a_condition_of_its_own_and_one_key_turns_all_of_them_off(site):
    own = [rule for rule in own_alarms.rules(site()) if rule.tag_id == SYSTEM_TAG]
    names = [rule.condition.removeprefix("Gateway/Alarms/") for rule in own]
    assert names == ["source.plc1", "sink.hq", "outbox", "store", "audit", "certificate"]
    assert all(rule.message and rule.action and 1 <= rule.severity <= 1000 for rule in own)
    off = site(SITE + "events: {system_alarms: false}\n")
    assert own_alarms.rules(off) == off.rules


def condition(name, active):
    rule = AlarmRule(SYSTEM_TAG, "Gateway", Limit.SYSTEM, 0.0, subject=name.rpartition("/")[2])
    return Condition(rule, active, not active, 0, float(active))


def looked(health, site, share=0.0, expires_ns=None, now_ns=0):
    return wrong(health, site, share, expires_ns, now_ns)


def test_a_unit_that_is_starting_says_nothing_and_one_that_is_away_says_why(site):
    health, made = Health(lambda: 0), site()
    unit = health.fresh("source", "plc1")
    health.keep(unit)
    assert "source.plc1" not in looked(health, made)
    unit.turn(State.DOWN, "connection refused")
    assert looked(health, made)["source.plc1"] == "connection refused"
    unit.turn(State.FAILED, "ValueError")
    assert looked(health, made)["source.plc1"] == "ValueError"
    unit.turn(State.UP)
    assert looked(health, made)["source.plc1"] is None


def test_the_servers_are_no_links_of_theirs(site):
    health = Health(lambda: 0)
    unit = health.fresh("sink", "web")
    health.keep(unit)
    unit.turn(State.DOWN, "port taken")
    assert [subject for subject, why in looked(health, site()).items() if why] == []


def test_the_outbox_is_full_from_80_percent_until_it_is_below_70(site):
    health, made = Health(lambda: 0), site()
    assert looked(health, made, share=0.79).get("outbox", "unsaid") == "unsaid"
    assert looked(health, made, share=0.8)["outbox"] == "80% of it are used"
    assert looked(health, made, share=0.69)["outbox"] is None


def test_a_store_that_refuses_and_a_certificate_with_less_than_30_days(site):
    health, made = Health(lambda: 0), site()
    health.store_fault = "disk full"
    health.note("audit", "read-only")
    found = looked(health, made, expires_ns=30 * DAY_NS - 60 * S)
    assert (found["store"], found["audit"], found["certificate"]) == ("disk full", "read-only", "valid until 1970-01-30 23:59 UTC")
    health.store_fault = None
    found = looked(health, made, expires_ns=30 * DAY_NS)
    assert (found["store"], found["certificate"]) == (None, None)


def test_a_short_reconnect_raises_nothing_and_what_lasts_is_told_once():
    active: set[str] = set()
    edges = Edges(lambda name: condition(name, name in active), 10 * S)

    def look(why, at_s):
        told = list(edges.look({"source.plc1": why}, at_s * S))
        for name, comes, _ in told:
            (active.add if comes else active.discard)(name)
        return told

    name = "Gateway/Alarms/source.plc1"
    assert look("away", 0) == look("away", 9) == look(None, 9) == []
    assert look("away", 12) == look("away", 21) == []
    assert look("away", 22) == [(name, True, "away")]
    assert look("away", 30) == []
    assert look(None, 40) == [(name, False, "")]
    assert look(None, 41) == look("away", 42) == []


def test_what_stood_before_a_restart_returns_without_a_delay_and_what_has_no_rule_is_passed_over():
    edges = Edges({"Gateway/Alarms/store": condition("Gateway/Alarms/store", True)}.__getitem__, 10 * S)
    assert list(edges.look({"store": None, "unknown": "x"}, 0)) == [("Gateway/Alarms/store", False, "")]


def test_what_is_well_is_not_asked_for_again():
    asked = []
    edges = Edges(lambda name: asked.append(name) or condition(name, False), 0)
    for _ in range(3):
        assert list(edges.look({"store": None}, 0)) == []
    assert len(asked) == 1
    assert list(edges.look({"store": "full"}, 0)) == [("Gateway/Alarms/store", True, "full")]


def test_of_what_nothing_is_said_the_delay_begins_anew():
    edges = Edges(lambda name: condition(name, False), 10 * S)
    assert list(edges.look({"source.plc1": "away"}, 0)) == list(edges.look({}, 5 * S)) == []
    assert list(edges.look({"source.plc1": "away"}, 11 * S)) == []


def test_a_condition_that_is_disabled_is_not_told_of():
    edges = Edges(lambda name: replace(condition(name, False), enabled=False), 0)
    assert list(edges.look({"store": "full"}, 0)) == []


def certificate(path, days):
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    ends = dt.datetime(2027, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=days)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = builder.not_valid_before(ends - dt.timedelta(days=1)).not_valid_after(ends).sign(key, hashes.SHA256())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(made.public_bytes(serialization.Encoding.DER))
    return round(ends.timestamp()) * S


async def test_the_certificate_is_read_again_once_it_was_renewed(tmp_path):
    path = tmp_path / "pki" / "own" / "cert.der"
    watched = Certificate(tmp_path)
    assert await watched.expires_ns() is None
    first = certificate(path, 0)
    assert await watched.expires_ns() == first
    second = certificate(path, 400)
    assert await watched.expires_ns() == second
    path.write_bytes(b"no certificate")
    assert expiry_ns(path) is None


LIVE = """
version: 1
gateway: {{name: t{web}, path: acme/line, data_dir: {folder}/data}}
web: {{port: {web}}}
sources:
{sources}
upstream:
  - {{name: hq, kind: mqtt, url: "{broker}"}}
tags:
  - {{name: line.temp, source: plc1, address: "a/b"}}
"""
ADMIN = Caller("root", "admin", "local:0")


@pytest.fixture
def live(tmp_path, mosquitto, monkeypatch):
    """A site with a source whose broker is not there yet, looked at often and without a delay."""
    monkeypatch.setattr(app, "LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(own_alarms.OwnAlarms.__init__, "__defaults__", (0,))
    path, port, web = tmp_path / "site.yaml", free_port(), free_port()

    def write(*more):
        names = {"plc1": port} | dict.fromkeys(more, port)
        sources = "".join(f'  {name}: {{driver: mqtt, url: "mqtt://127.0.0.1:{at}", topics: [a/b]}}\n' for name, at in names.items())
        path.write_text(LIVE.format(web=web, folder=tmp_path, sources=sources, broker=mosquitto.url))
        return path

    return write, port


def active(gateway, subject="source.plc1"):
    return gateway.engine.view.condition(f"Gateway/Alarms/{subject}").active


async def test_a_lost_link_goes_the_road_of_all_alarms_survives_a_restart_and_is_replayed(live, mosquitto, start_mosquitto, tmp_path):
    (write, port), target = live, tmp_path / "run.etrec"
    topic, path = "acme/line/_alarm/Gateway/source.plc1", write()
    async with subscriber(mosquitto.port, "acme/line/_alarm/#") as heard:
        async with running(path) as gateway:
            await gateway.door.execute(Command("record.start", {"path": str(target)}, ADMIN))
            await eventually(lambda: active(gateway), 15)
            await eventually(lambda: heard.on(topic))
            assert heard.on(topic)[-1]["active"] is True
            assert gateway.engine.view.condition("Gateway/Alarms/source.plc1").message.startswith("no link to the source plc1: ")
            (event,) = await eventually(lambda: gateway.store.journal.query(source="Gateway"))
            assert (event.details["condition"], event.details["change"]) == ("Gateway/Alarms/source.plc1", "active")
            assert not active(gateway, "sink.hq")
            done = await gateway.door.execute(Command("alarm.acknowledge", {"condition": "Gateway/Alarms/source.plc1"}, ADMIN))
            assert done.result["done"]
            stopped = await gateway.door.execute(Command("record.stop", {}, ADMIN))
        report = await asyncio.to_thread(replay, target, path)
        assert (report["equal"], report["state_hash"]) == (True, stopped.result["state_hash"])
        async with running(path) as gateway:
            assert active(gateway)
            assert gateway.engine.view.condition("Gateway/Alarms/source.plc1").acknowledged
            start_mosquitto(port=port)
            await eventually(lambda: not active(gateway), 15)
            await eventually(lambda: heard.messages[-1][0] == topic and not (heard.on(topic)[-1] or {}).get("active"))


async def test_a_reload_brings_and_takes_the_conditions_of_links(live):
    write, _ = live
    async with running(write()) as gateway:
        with pytest.raises(KeyError):
            active(gateway, "source.plc2")
        write("plc2")
        assert (await gateway.door.execute(Command("config.reload", {}, ADMIN))).status == 0
        await eventually(lambda: active(gateway, "source.plc2"), 15)
        write()
        assert (await gateway.door.execute(Command("config.reload", {}, ADMIN))).status == 0
        found = await eventually(lambda: _ended(gateway))
        assert found == ["inactive", "active"]


async def _ended(gateway):
    found = await gateway.store.journal.query(source="Gateway")
    changes = [event.details["change"] for event in found if event.details["condition"] == "Gateway/Alarms/source.plc2"]
    return changes if "inactive" in changes else None
