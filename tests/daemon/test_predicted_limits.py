"""Predicted limits in the daemon: from an outlook to conditions, events and verdicts, on every face, through reload and restart."""

import json
from contextlib import asynccontextmanager

import numpy as np
import pytest

from gateway.launch import running
from gateway.model.command import Caller, Command
from gateway.model.event import Category
from gateway.model.forecast import Outlook, Prediction, Predictions
from gateway.replay import replay
from support.ports import free_port
from support.waiting import eventually

ADMIN = Caller("admin", "admin", "test")
SITE = """
tags:
  - {name: line.t, unit: Cel, range: [0, 60]}
  - {name: line.p, unit: kW, range: [0, 60]}
alarms:
  - {tag: line.t, lo: 18, hi: 25, hihi: 30}
  - {tag: line.p, hi: 40}
forecast:
  tags: [line.t]
  horizon: 1h
  every: 1h
  step: 1h
  alert: {issues: 1, count: 2}
"""
HI = "line.t/Forecast/HI"


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    path = tmp_path / "site.yaml"
    head = f"version: 1\ngateway: {{name: t{free_port()}, data_dir: {tmp_path / 'data'}}}\nweb: {{port: {free_port()}}}\n"
    path.write_text(head + SITE)
    return path


@asynccontextmanager
async def gateway_of(site, t=22.0):
    async with running(site) as gateway:
        await do(gateway, "tag.override", tag="line.t", value=t)
        yield gateway


async def do(gateway, kind, **args):
    return await gateway.door.execute(Command(kind, args, ADMIN))


def foretell(gateway, probability, median_s=300.0, limit="HI"):
    """What a forecast of now would hand on."""
    at_ns = gateway.clock.now_ns()
    told = Prediction(limit, 25.0, probability, median_s / 2, median_s, float("nan"), at_ns, "trend")
    flat = np.full((1, 60), 22.0)
    tag_id = np.array([gateway.engine.view.tags.index["line.t"]])
    gateway.alerts.issued(Outlook(at_ns, 10**10, 60, tag_id, flat, flat, flat, ("trend",), np.zeros(1), Predictions.of([[told]])))


def limits(gateway):
    return {one["condition"]: one for one in gateway.report.predicted_limits()["limits"]}


async def test_an_alert_is_told_and_counts_among_no_alarms(site):
    async with gateway_of(site) as gateway:
        foretell(gateway, 0.6)
        assert not gateway.engine.condition(HI).active
        foretell(gateway, 0.9)
        assert gateway.engine.condition(HI).active
        assert gateway.engine.view.standing() == (0, 0)
        assert gateway.counts["alarms_raised"] == 0
        report, figures = gateway.report.status(), gateway.report.figures()
        assert report["alarms"]["performance"]["standing"] == 0
        assert report["predicted_limits"]["standing"] == 1
        assert (figures["Gateway/PredictedLimits"]["Standing"], figures["Gateway/PredictedLimits"]["Watched"]) == (1, 3)
        told = [one for one in gateway.events.latest if one.details.get("condition") == HI]
        assert [(one.category, one.details["predicts"], one.details["probability"]) for one in told] == [(Category.PROCESS, "HI", 0.9)]
        assert (await do(gateway, "alarm.acknowledge", condition=HI)).status == 0
        foretell(gateway, 0.2)
        assert not gateway.engine.condition(HI).retained
        assert gateway.performance.report(gateway.clock.now_ns())["last_day"] == 0


async def test_hits_misses_and_false_alarms_are_told_and_survive_a_restart(site):
    async with gateway_of(site) as gateway:
        foretell(gateway, 0.9)
        await do(gateway, "tag.override", tag="line.t", value=26.0)  # the limit: a hit
        assert not gateway.engine.condition(HI).active
        foretell(gateway, 1.0)
        assert not gateway.engine.condition(HI).active, "the alarm says it"
        await do(gateway, "tag.override", tag="line.t", value=10.0)  # LO: missed
        assert (limits(gateway)[HI]["hits"], limits(gateway)["line.t/Forecast/LO"]["missed"]) == (1, 1)
        foretell(gateway, 0.9)
        assert gateway.engine.condition(HI).active
        await eventually(lambda: gateway.pending.empty)
    async with gateway_of(site) as gateway:
        assert gateway.engine.condition(HI).active
        assert gateway.engine.condition(HI).prediction.model == "trend"
        foretell(gateway, 0.1)
        assert not gateway.engine.condition(HI).active
        hi = limits(gateway)[HI]
        assert (hi["hits"], hi["foreseen"], hi["precision"], hi["recall"]) == (1, 1, 1.0, 1.0)
        gateway.alerts.rebase(-3700 * 10**9)  # its claim is older than the horizon now
        foretell(gateway, 0.1)
        assert (limits(gateway)[HI]["false"], limits(gateway)[HI]["precision"]) == (1, 0.5)
        assert {name for name, *_ in gateway.report.metrics()} >= {"edgetwin_predicted_limit_verdicts_total"}


async def test_a_class_that_is_wrong_too_often_mutes_itself_says_so_and_earns_its_voice_again(site):
    async with gateway_of(site) as gateway:
        for _ in range(2):
            foretell(gateway, 0.9)
            foretell(gateway, 0.1)
            gateway.alerts.rebase(-3700 * 10**9)
        foretell(gateway, 0.1)
        assert limits(gateway)[HI]["muted"]
        assert gateway.report.figures()["Gateway/PredictedLimits"]["MutedLimits"] == HI
        (said,) = [one for one in gateway.events.latest if one.details.get("muted")]
        assert said.message == "line.t HI: its predictions are muted, fewer than 50% of its last 2 came true"
        for _ in range(2):
            foretell(gateway, 0.9)
            assert not gateway.engine.condition(HI).active, "in silence"
            await do(gateway, "tag.override", tag="line.t", value=26.0)
            await do(gateway, "tag.override", tag="line.t", value=22.0)
        assert not limits(gateway)[HI]["muted"]
        foretell(gateway, 0.9)
        assert gateway.engine.condition(HI).active


async def test_a_tag_that_is_bad_has_no_alert_and_its_claim_counts_for_nothing(site):
    async with gateway_of(site) as gateway:
        foretell(gateway, 0.9)
        gateway.engine.twin.status[gateway.engine.view.tags.index["line.t"]] = 0x80000000
        foretell(gateway, 0.9)
        assert not gateway.engine.condition(HI).active
        gateway.alerts.rebase(-3700 * 10**9)
        foretell(gateway, 0.9)
        assert limits(gateway) == {}


async def test_a_reload_adds_and_takes_predicted_limits(site):
    async with gateway_of(site) as gateway:
        foretell(gateway, 0.9)
        text = site.read_text()
        site.write_text(text.replace("hi: 25, ", ""))
        assert (await do(gateway, "config.reload")).status == 0
        await eventually(lambda: gateway.engine.owed is None)
        with pytest.raises(KeyError):
            gateway.engine.condition(HI)
        foretell(gateway, 0.9)
        site.write_text(text)
        await do(gateway, "config.reload")
        foretell(gateway, 0.9)
        assert gateway.engine.condition(HI).active
        site.write_text(text.replace("issues: 1", "enabled: false"))
        await do(gateway, "config.reload")
        foretell(gateway, 0.9)
        assert gateway.report.predicted_limits()["limits_watched"] == 0


async def test_a_recording_of_predictions_replays_to_the_same_state(site, tmp_path):
    async with gateway_of(site) as gateway:
        await do(gateway, "record.start", path="told.etrec")
        foretell(gateway, 0.9)
        foretell(gateway, 0.8)
        await do(gateway, "alarm.shelve", condition=HI, duration=60)
        await do(gateway, "tag.override", tag="line.t", value=26.0)
        stopped = await do(gateway, "record.stop")
    found = replay(tmp_path / "data" / "recordings" / "told.etrec", site)
    assert found["equal"], json.dumps(stopped.result)
    assert [one["condition"] for one in found["alarms"]][:2] == [HI, HI]
