"""Forecasts in the daemon: sampled from the twin, worked on in a process of their own, stored, scored, and taken up after a restart."""

from contextlib import asynccontextmanager

import numpy as np
import pytest

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
