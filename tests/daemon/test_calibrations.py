"""Calibrations in the daemon: begun by a command, worked on beside the loop, kept in versions, in force after a restart."""

import asyncio

import pytest

from gateway.launch import running
from gateway.model import quality
from gateway.model.calibration import VersionState
from gateway.model.command import Caller, Command
from gateway.model.event import Category
from gateway.model.process import RunState
from support.heated import SITE, plant
from support.ports import free_port

ENGINEER, OPERATOR, VIEWER = (Caller(role, role, "test") for role in ("engineer", "operator", "viewer"))


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    path = tmp_path / "site.yaml"
    write(path, f"version: 1\ngateway: {{name: t{free_port()}, data_dir: {tmp_path / 'data'}}}\nweb: {{port: {free_port()}}}\n")
    return path


def write(path, head, tau="50s", more=""):
    path.write_text(head + SITE.replace("TAU", tau).replace("MORE", more))


def head_of(path):
    return path.read_text().partition("\ntags:")[0] + "\n"


async def do(gateway, kind, caller=ENGINEER, **args):
    return await gateway.door.execute(Command(kind, args, caller))


async def calibrated(gateway, **args):
    """The ended run of one calibration of the hall."""
    begun = await do(gateway, "calibration.run", window_s=3700, **({"model": "hall"} | args))
    assert begun.status == quality.GOOD, begun.message
    async with asyncio.timeout(60):
        while (run := await gateway.store.runs.run(begun.result["run"])).state is RunState.RUNNING:  # noqa: ASYNC110  another process works
            await asyncio.sleep(0.02)
    return run


def parameters(gateway):
    """Of the hall, as runs and forecasts take them."""
    return next(model for model in gateway.foreseeing.calibrated().models if model.name == "hall").parameters


async def test_a_calibration_is_kept_and_applied_and_rolled_back_and_survives_a_restart(site):
    """Runs take the parameters in force; an operator may not calibrate, a viewer may look."""
    await plant(site)
    async with running(site) as gateway:
        seen = gateway.events.subscribe([Category.PROCESS])
        run = await calibrated(gateway)
        assert run.state is RunState.DONE, run.why
        assert (run.results["version"], run.results["applied"], run.results["better"]) == (1, False, True)
        found = {one["name"]: one for one in run.results["parameters"]}
        for name, true in (("K", 2.0), ("tau", 100.0), ("theta", 20.0)):
            assert found[name]["value"] == pytest.approx(true, rel=0.02)
            assert found[name]["low"] < found[name]["value"] < found[name]["high"]
        assert parameters(gateway)["tau"] == 50.0
        assert (await do(gateway, "calibration.apply", OPERATOR, model="hall", version=1)).status == quality.BAD_USER_ACCESS_DENIED
        assert (await do(gateway, "calibration.apply", model="hall", version=1)).status == quality.GOOD
        assert parameters(gateway)["tau"] == found["tau"]["value"]
        assert "calibration 1 of hall:" in (await anext(aiter(seen))).message
        again = await do(gateway, "calibration.apply", model="hall", version=1)
        assert "in force already" in again.message
    async with running(site) as gateway:
        assert parameters(gateway)["tau"] == found["tau"]["value"]
        what_if = await do(gateway, "simulation.run", parameters={"line.sp": 1.0, "line.t": 0.0}, horizon_s=600, runs=1)
        while (run := await gateway.store.runs.run(what_if.result["run"])).state is RunState.RUNNING:  # noqa: ASYNC110  as above
            await asyncio.sleep(0.02)
        assert run.state is RunState.DONE, run.why
        assert run.results["outputs"]["line.t"]["mean"][-1] == pytest.approx(2.0, abs=0.2)
        back = await do(gateway, "calibration.rollback", model="hall")
        assert (back.result["from"], back.result["version"], parameters(gateway)["tau"]) == (1, None, 50.0)
        listed = await do(gateway, "calibration.list", VIEWER)
        assert [(row["version"], row["state"]) for row in listed.result["versions"]] == [(1, "rolled_back")]
        nothing = await do(gateway, "calibration.rollback", model="hall")
        assert "nothing to go back from" in nothing.message


async def test_what_is_worse_on_held_out_data_is_never_applied(site):
    """Neither with the run nor by hand: the plant was another one until a while ago, and the configured parameters are those of now."""
    write(site, head_of(site), tau="100s")
    site.write_text(site.read_text().replace("K: 1", "K: 2").replace("theta: 5s", "theta: 20s"))
    await plant(site, early=0.5)
    async with running(site) as gateway:
        run = await calibrated(gateway, apply=True)
        assert (run.results["applied"], "worse on held-out data" in run.results["why"]) == (False, True)
        refused = await do(gateway, "calibration.apply", model="hall", version=1)
        assert refused.status == quality.BAD_INVALID_STATE
        assert "worse on held-out data" in refused.message
        assert parameters(gateway)["tau"] == 100.0


async def test_a_model_that_is_changed_in_the_configuration_voids_its_version(site):
    """With an event; the configured parameters are in force at once."""
    await plant(site)
    async with running(site) as gateway:
        assert (await calibrated(gateway, apply=True)).results["applied"]
    write(site, head_of(site), tau="70s")
    async with running(site) as gateway:
        assert parameters(gateway)["tau"] == 70.0
        events = [event.message for event in gateway.events.latest if event.source == "calibration"]
        assert events == [
            "calibration 1 of hall is void: the model is changed in the configuration; its configured parameters are in force"
        ]
        refused = await do(gateway, "calibration.apply", model="hall", version=1)
        assert "as it was configured before" in refused.message


@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        ({"model": "none"}, quality.BAD_NODE_ID_UNKNOWN, "there is no model 'none'; there are free, hall"),
        ({"tag": "line.sp"}, quality.BAD_NODE_ID_UNKNOWN, "no model gives the tag 'line.sp'"),
        ({}, 0x80AB_0000, "name a model, or a tag"),
        ({"model": "hall", "tag": "line.t"}, 0x80AB_0000, "name a model, or a tag"),
        ({"model": "hall", "window_s": 0}, quality.BAD_OUT_OF_RANGE, "window_s is above 0"),
        ({"model": "hall", "window_s": float("nan")}, quality.BAD_OUT_OF_RANGE, "'window_s' is a finite number"),
        ({"model": "hall", "window_s": "1h"}, quality.BAD_TYPE_MISMATCH, "'window_s' is a number"),
        ({"model": "hall", "apply": 1}, quality.BAD_TYPE_MISMATCH, "'apply' is true or false"),
        ({"model": "hall", "step_s": -1}, quality.BAD_OUT_OF_RANGE, "step_s is above 0"),
        ({"model": "hall", "deadline_s": 0}, quality.BAD_OUT_OF_RANGE, "deadline_s is above 0"),
        ({"model": "hall", "windows": 1}, 0x80AB_0000, "there is no argument 'windows'"),
    ],
)
async def test_what_cannot_be_asked_is_refused_by_name(site, args, status, words):
    async with running(site) as gateway:
        outcome = await do(gateway, "calibration.run", **args)
        assert (outcome.status, words in outcome.message) == (status, True), outcome.message


async def test_a_window_without_data_fails_and_says_what_to_do(site):
    """So do unknown parameters; the run is kept with its reason."""
    async with running(site) as gateway:
        run = await calibrated(gateway)
        assert run.state is RunState.FAILED
        assert "line.t has 0 Good samples in the window, and 30 are the fewest: take a longer window" in run.why


async def test_a_model_is_calibrated_on_schedule(site):
    """The first time `every` after the start; what is better is applied where the configuration says so."""
    write(site, head_of(site), more=", calibrate: {every: 1h, window: 65min, apply: true}")
    await plant(site)
    async with running(site) as gateway:
        calibrations, kept, shift_ns = gateway.foreseeing.calibrations, gateway.store.calibrations.versions, [0]
        real = calibrations._now_ns
        calibrations._now_ns = lambda: real() + shift_ns[0]
        await calibrations.due()
        assert not await gateway.store.runs.runs()
        calibrations._began_ns["hall"] -= 3_601_000_000_000
        await calibrations.due()
        async with asyncio.timeout(60):
            while not [one for one in await kept("hall") if one.state is VersionState.APPLIED]:  # noqa: ASYNC110  another process works
                await asyncio.sleep(0.02)
        assert [one.user for one in await kept("hall")] == ["calibration"]
        await calibrations.due()
        assert len(await gateway.store.runs.runs()) == 1
