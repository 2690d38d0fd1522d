"""Forecasts in the daemon: sampled from the twin, worked on in a process of their own, stored, scored, and taken up after a restart."""

import asyncio
import json
import os
import signal
from contextlib import asynccontextmanager

import numpy as np
import pytest
from typer.testing import CliRunner

from gateway.cli import app
from gateway.launch import running
from gateway.model.command import Caller, Command
from support.ports import free_port
from support.waiting import eventually

ADMIN = Caller("admin", "admin", "test")
SITE = """
tags:
  - {name: line.t, unit: Cel, range: [0, 60], sampling_interval: 100ms}
  - {name: line.p, unit: kW, range: [0, 60], sampling_interval: 100ms}
alarms:
  - {tag: line.t, lo: 18, hi: 25, hihi: 30}
forecast: {tags: [line.t, line.p], horizon: 6s, step: 100ms, every: 200ms, lead: 3s}
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    path = tmp_path / "site.yaml"
    head = f"version: 1\ngateway: {{name: t{free_port()}, data_dir: {tmp_path / 'data'}}}\nweb: {{port: {free_port()}}}\n"
    path.write_text(head + SITE)
    return path


@asynccontextmanager
async def gateway_of(site, **values):
    """A gateway whose tags stand at these values."""
    async with running(site) as gateway:
        for tag, number in values.items():
            await do(gateway, "tag.override", tag=f"line.{tag}", value=number)
        yield gateway


async def do(gateway, kind, **args):
    return await gateway.door.execute(Command(kind, args, ADMIN))


async def test_an_outlook_is_issued_with_bands_and_a_prediction_for_each_limit(site):
    async with gateway_of(site, t=22.0, p=5.0) as gateway:
        view, index = gateway.foreseeing.forecasts, gateway.engine.view.tags.index
        assert view.tags == (index["line.t"], index["line.p"])
        assert (view.lead_ns, view.horizon_ns) == (3_000_000_000, 6_000_000_000)
        told = []
        view.watch(told.append)
        outlook = await eventually(lambda: told and np.isfinite(told[-1].p50).all() and told[-1], within=20)
        row = outlook.row_of(index["line.t"])
        assert outlook.p50.shape == (2, 60)
        assert outlook.lead == 30
        assert (outlook.p50[row] == 22.0).all()
        assert [one.limit for one in outlook.predictions[row]] == ["HIHI", "HI", "LO"]
        assert outlook.predictions[1] == ()
        assert all(one.issued_ns == outlook.at_ns and 0 <= one.probability < 0.5 for one in outlook.predictions[row])
        assert view.newest() is told[-1]


def worker_pids(gateway):
    return [worker.process.pid for worker in gateway.foreseeing.forecasts.jobs._all]


async def scored(gateway, least=1):
    """The scores, once so many forecasts of the first tag came due at the first horizon."""

    def looked():
        scores = gateway.foreseeing.forecasts.scores()
        return scores is not None and scores.n[0, 0] >= least and scores

    return await eventually(looked, within=20)


async def test_what_was_learned_and_scored_survives_a_restart(site):
    async with gateway_of(site, t=22.0, p=5.0) as gateway:
        before = await scored(gateway, 3)
        assert gateway.foreseeing.forecasts.began == "it begins anew: nothing was kept"
    async with running(site) as gateway:
        after = await scored(gateway, 3)
        assert after.n[0, 0] >= before.n[0, 0]
        assert gateway.foreseeing.forecasts.began == "it goes on with what was learned of 2 of 2 tags"


async def test_a_worker_that_is_killed_is_replaced_and_takes_up_what_was_saved(site, monkeypatch):
    monkeypatch.setattr("gateway.forecasting.live.SAVE_S", 0.0)
    async with gateway_of(site, t=22.0, p=5.0) as gateway:
        live = gateway.foreseeing.forecasts
        live._save_s = 0.0
        await scored(gateway, 3)
        os.kill(worker_pids(gateway)[0], signal.SIGKILL)
        await eventually(lambda: live.failed == 1 or live.began.startswith("it goes on"), within=20)
        before = live.issued
        await eventually(lambda: live.issued > before + 2 and live.fault is None, within=20)
        assert live.began == "it goes on with what was learned of 2 of 2 tags"
        assert (await scored(gateway, 3)).n[0, 0] >= 3
        assert gateway.health.ready()[0]


async def test_a_reload_forecasts_other_tags_and_keeps_what_is_known_of_those_that_stay(site):
    async with gateway_of(site, t=22.0, p=5.0) as gateway:
        live = gateway.foreseeing.forecasts
        await scored(gateway, 3)
        site.write_text(site.read_text().replace("tags: [line.t, line.p], horizon", "tags: [line.p], horizon"))
        assert (await do(gateway, "config.reload")).status == 0
        assert live.tags == (gateway.engine.view.tags.index["line.p"],)
        assert live.newest() is None
        outlook = await eventually(live.newest, within=20)
        assert outlook.tag_id.tolist() == list(live.tags)
        assert live.began == "it goes on with what was learned of 1 of 1 tags"
        site.write_text("".join(line for line in site.read_text().splitlines(keepends=True) if not line.startswith("forecast")))
        assert (await do(gateway, "config.reload")).status == 0
        assert live.tags == ()
        assert live.newest() is None
        assert gateway.report.status()["forecast"] is None


async def test_a_state_file_that_is_damaged_is_refused_with_its_reason(site, tmp_path):
    async with gateway_of(site, t=22.0, p=5.0) as gateway:
        await scored(gateway)
    path = tmp_path / "data" / "forecast.state"
    path.write_bytes(path.read_bytes()[:-1])
    async with running(site) as gateway:
        await eventually(gateway.foreseeing.forecasts.newest, within=20)
        assert "the checksum does not fit" in gateway.foreseeing.forecasts.began


async def test_a_tag_of_which_nothing_was_heard_for_a_horizon_has_no_forecast(site):
    async with gateway_of(site, t=22.0) as gateway:
        live, index = gateway.foreseeing.forecasts, gateway.engine.view.tags.index
        outlook = await eventually(
            lambda: live.newest() is not None and np.isfinite(live.newest().p50[0]).all() and live.newest(), within=20
        )
        row = outlook.row_of(index["line.p"])
        assert np.isnan(outlook.p50[row]).all()
        assert np.isnan(outlook.p95[row]).all()


async def test_what_was_forecast_is_stored_and_read_by_the_instant_it_was_for(site):
    async with gateway_of(site, t=22.0, p=5.0) as gateway:
        live, index = gateway.foreseeing.forecasts, gateway.engine.view.tags.index
        outlook = await eventually(lambda: live.newest() is not None and np.isfinite(live.newest().p50).all() and live.newest(), within=20)
        valid_ns = outlook.at_ns + live.lead_ns
        told = await eventually(lambda: rows(live, index["line.t"], valid_ns), within=10)
        assert told.p50.tolist() == [22.0]
        with pytest.raises(KeyError):
            await live.past(99, 0, 1)


async def rows(live, tag_id, at_ns):
    told = await live.past(tag_id, at_ns, at_ns + 1)
    return told.valid_ns.size and told


async def test_figures_status_and_metrics_speak_of_the_forecasts(site):
    async with gateway_of(site, t=22.0, p=5.0) as gateway:
        await scored(gateway, 2)
        own = gateway.report.figures()["Gateway/Forecast"]
        assert (own["Tags"], own["Failed"]) == (2, 0)
        assert own["Issued"] > 0
        status = gateway.report.status()["forecast"]
        assert status["horizons"][0]["n"] >= 2
        assert status["models"] == {"persistence": 2}
        told = {(name, labels.get("tag"), labels.get("horizon_s")) for name, labels, *_ in gateway.report.metrics()}
        assert ("edgetwin_forecasts_scored_total", "line.t", "0.1") in told
        assert gateway.report.status()["workers"]["alive"] >= 1


async def test_forecast_score_prints_the_live_scores_per_tag_and_horizon(site):
    async with gateway_of(site, t=22.0, p=5.0) as gateway:
        await scored(gateway, 2)

        def asked(*args):
            return CliRunner().invoke(app, ["forecast", "score", "--name", gateway.identity.name, *args])

        said = await asyncio.to_thread(asked, "--json")
        assert said.exit_code == 0, said.output
        [one, _] = json.loads(said.stdout)["tags"]
        assert one["tag"] == "line.t"
        assert [row["horizon_s"] for row in one["horizons"]] == [0.1, 0.3, 0.6, 1.2, 3.0, 6.0]
        assert one["horizons"][0]["n"] >= 2
        table = (await asyncio.to_thread(asked, "--tag", "line.p")).stdout
        assert "in 90 % band" in table
        assert "line.p" in table
        assert "line.t" not in table
        refused = await asyncio.to_thread(asked, "--tag", "line.x")
        assert refused.exit_code == 1
        assert "line.x is not forecast" in refused.stderr


async def test_the_scores_at_the_lead_stand_in_the_outlook(site):
    site.write_text(site.read_text().replace("lead: 3s", "lead: 600ms"))
    async with gateway_of(site, t=22.0, p=5.0) as gateway:
        live = gateway.foreseeing.forecasts
        outlook = await eventually(lambda: live.newest() is not None and live.newest().scored["n"].min() >= 2 and live.newest(), within=20)
        assert set(outlook.scored) == {"n", "crps", "mase", "coverage"}
        assert outlook.scored["crps"].tolist() == [0.0, 0.0]
        assert outlook.scored["coverage"].tolist() == [1.0, 1.0]
