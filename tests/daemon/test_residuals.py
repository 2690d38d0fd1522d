"""Models beside their plant: what names a wrong sensor or a changed plant, and the model in place of a sensor."""

import math

import numpy as np
import pytest

from gateway import own_alarms
from gateway.engine.engine import Engine
from gateway.launch import load_site
from gateway.model import quality
from gateway.model.batch import Origin, SampleBatch
from gateway.residuals import Residuals
from gateway.simulation.process.linear import FirstOrder
from gateway.store.state import UnitMemory

S = 1_000_000_000
AT = 1_700_000_000 * S
SITE = """
version: 1
gateway: {name: g, data_dir: DATA}
sources: {plc: {driver: mqtt, url: "mqtt://127.0.0.1:1", topics: ["x/#"]}}
tags:
  - {name: room.t, source: plc, address: x/t, unit: Cel}
  - {name: room.sp, source: plc, address: x/sp, unit: Cel}
derived: [{name: room.error, expr: room.sp - room.t, unit: Cel}]
models:
  hall: {kind: first_order, output: room.t, inputs: {u: room.sp}, parameters: {K: 2, tau: 20s}NOISE,
         residual: {false_alarm: 7d, stand_in: STAND}}
"""


class Bench:
    """An engine with one watched model, and a plant that is read every second; every call into the engine is kept for a replay."""

    def __init__(self, tmp_path, *, stand_in=True, noise=True, memory=None, engine=None):
        path = tmp_path / "site.yaml"
        noises = ", noise: {process: 0.01, measurement: 0.05}" if noise else ""
        path.write_text(SITE.replace("DATA", str(tmp_path / "data")).replace("STAND", str(stand_in).lower()).replace("NOISE", noises))
        self.site = load_site(path)
        self.engine = engine or Engine(self.site.tags, own_alarms.rules(self.site), self.site.derived, self.site.sync)
        self.words = {} if memory is None else memory
        self.events, self.calls, self.now_ns, self.seconds = [], [], AT, 0
        self.residuals = Residuals(
            self.engine, lambda: self.site, self.put, self.commanded, self.events.append, UnitMemory("residual", self.words, {}),
            lambda: self.now_ns,
        )  # fmt: skip
        self.plant = FirstOrder({"K": 2.0, "tau": 20.0, "process_noise": 0.01})
        self.x, self.chance = np.zeros((1, 1)), np.random.default_rng(1)

    def put(self, batch):
        self.calls.append(("step", batch, self.now_ns))
        self.engine.step(batch, self.now_ns)

    def commanded(self, kind, update, **args):
        assert kind == "release"
        self.calls.append((kind, args["tag_ids"], update.now_ns))

    async def run(self, seconds, *, bias=0.0, status=0, setpoint=0):
        """So many seconds of the plant; bias and status of its sensor, status of the setpoint."""
        for _ in range(seconds):
            self.now_ns += S
            self.seconds += 1
            u = 1.0 if self.seconds // 60 % 2 else -1.0
            self.x = self.plant.step(self.x, np.array([[u]]), 1.0, self.chance.standard_normal((1, 1)))
            y = float(self.x[0, 0]) + 0.05 * self.chance.standard_normal() + bias
            value = math.nan if status >= quality.BAD else y
            ids = [self.site.tags.index["room.t"], self.site.tags.index["room.sp"]]
            self.put(SampleBatch.of(ids, [value, u], np.array([status, setpoint], np.uint32), self.now_ns, received_ns=self.now_ns))
            self.residuals.follow()
            await self.residuals.step(self.residuals.watched["hall"])

    def shown(self, tag):
        tag_id = self.site.tags.index[tag]
        return self.engine.view.value.item(tag_id), self.engine.view.status.item(tag_id)

    @property
    def figures(self):
        return self.residuals.figures()["Simulation/Models/hall"]

    @property
    def said(self):
        return [event.message for event in self.events]


async def test_a_sensor_that_reads_off_is_named_and_stood_in_for_and_given_back(tmp_path):
    """The twin shows the model's value as a substitute, what is derived inherits that; the raw reading stays visible as a figure."""
    bench = Bench(tmp_path)
    await bench.run(600)
    assert (bench.said, bench.figures["State"], bench.figures["StandsIn"]) == ([], "good", False)
    assert 0.7 < bench.figures["NIS"] < 1.4
    await bench.run(30, bias=1.0)
    assert "room.t does not agree with its model hall: the sensor reads +" in bench.said[0]
    assert bench.said[1] == "the model hall stands in for room.t: its sensor is wrong"
    assert bench.events[0].details["suspected"] == ["sensor"]
    assert bench.events[0].details["causes"][0]["change"] == pytest.approx(1.0, abs=0.15)
    value, status = bench.shown("room.t")
    assert (status, abs(value - bench.x[0, 0]) < 0.3) == (quality.UNCERTAIN_SUBSTITUTE, True)
    assert bench.shown("room.error")[1] == quality.UNCERTAIN_SUBSTITUTE
    assert bench.figures["Raw"] == pytest.approx(bench.x[0, 0] + 1.0, abs=0.3)
    assert (bench.figures["Health"], bench.figures["StandsIn"]) == (0.0, True)
    await bench.run(300)
    assert bench.shown("room.t")[1] == quality.GOOD
    assert bench.said[2:] == ["room.t agrees with its model hall again"]
    assert bench.figures["Health"] > 0


async def test_a_replay_of_the_calls_gives_the_same_state(tmp_path):
    """The stand-in goes to the engine as samples and releases, which a recording has: no model is needed for its replay."""
    bench = Bench(tmp_path)
    await bench.run(200)
    await bench.run(20, bias=2.0)
    await bench.run(250)
    again = Engine(bench.site.tags, own_alarms.rules(bench.site), bench.site.derived, bench.site.sync)
    for kind, what, now_ns in bench.calls:
        again.step(what, now_ns) if kind == "step" else again.release(what, now_ns)
    assert any(kind == "release" for kind, _, _ in bench.calls)
    assert any(kind == "step" and what.origin is Origin.MODEL for kind, what, _ in bench.calls)
    assert again.state_hash() == bench.engine.state_hash()


async def test_a_bad_sensor_is_stood_in_for_until_it_is_good(tmp_path):
    bench = Bench(tmp_path)
    await bench.run(100)
    await bench.run(20, status=0x808C_0000)
    assert bench.said == ["the model hall stands in for room.t: it is Bad"]
    value, status = bench.shown("room.t")
    assert (status, abs(value - bench.x[0, 0]) < 0.3) == (quality.UNCERTAIN_SUBSTITUTE, True)
    await bench.run(5)
    assert bench.shown("room.t")[1] == quality.GOOD


async def test_without_stand_in_a_wrong_sensor_is_only_told_of(tmp_path):
    bench = Bench(tmp_path, stand_in=False)
    await bench.run(100)
    await bench.run(10, bias=1.0)
    assert len(bench.said) == 1
    assert bench.shown("room.t")[1] == quality.GOOD


async def test_a_plant_that_has_changed_is_no_wrong_sensor(tmp_path):
    """A gain or an offset of the plant cannot be told apart while the setpoint rests: both are named, and nothing stands in."""
    bench = Bench(tmp_path)
    await bench.run(300)
    bench.plant = FirstOrder({"K": 3.0, "tau": 20.0, "process_noise": 0.01})
    await bench.run(200)
    suspected = bench.events[0].details["suspected"]
    assert "K" in suspected
    assert suspected != ["sensor"]
    assert bench.shown("room.t")[1] == quality.GOOD


async def test_what_was_learned_of_the_noise_survives_a_restart(tmp_path):
    """Without noises in the configuration the first 300 residuals teach them; a restart takes them from the store."""
    bench = Bench(tmp_path, noise=False)
    await bench.run(299)
    assert (bench.figures["State"], math.isnan(bench.figures["Health"])) == ("learning", True)
    await bench.run(2)
    assert bench.figures["State"] == "good"
    other = Bench(tmp_path, noise=False, memory=bench.words)
    await other.run(2)
    assert other.figures["State"] == "good"


async def test_a_stand_in_goes_on_after_a_restart_and_manual_input_wins_over_it(tmp_path):
    bench = Bench(tmp_path)
    await bench.run(100)
    await bench.run(10, bias=2.0)
    engine = Engine(bench.site.tags, own_alarms.rules(bench.site), bench.site.derived, bench.site.sync)
    engine.restore(bench.engine.snapshot())
    other = Bench(tmp_path, engine=engine)
    other.x, other.now_ns, other.seconds = bench.x, bench.now_ns, bench.seconds
    await other.run(20, bias=2.0)
    assert (other.shown("room.t")[1], other.figures["StandsIn"]) == (quality.UNCERTAIN_SUBSTITUTE, True)
    other.put(SampleBatch.of([other.site.tags.index["room.t"]], [7.0], 0, other.now_ns, received_ns=other.now_ns, origin=Origin.MANUAL))
    await other.run(5, bias=2.0)
    assert other.shown("room.t") == (7.0, quality.GOOD_LOCAL_OVERRIDE)


async def test_a_configuration_that_asks_for_no_stand_in_any_more_gives_the_sensor_back(tmp_path):
    bench = Bench(tmp_path)
    await bench.run(100)
    await bench.run(10, bias=2.0)
    bench.site = Bench(tmp_path, stand_in=False).site
    bench.residuals.follow()
    assert bench.shown("room.t")[1] == quality.GOOD


async def test_an_input_that_is_bad_makes_the_model_blind_and_it_begins_again(tmp_path):
    """Without an event: nothing can be said of a plant whose setpoint is not known."""
    bench = Bench(tmp_path)
    await bench.run(50)
    await bench.run(30, setpoint=0x8031_0000)
    assert (bench.figures["State"], math.isnan(bench.figures["Residual"])) == ("blind", True)
    await bench.run(200)
    assert (bench.figures["State"], bench.said) == ("good", [])


async def test_a_sensor_that_is_silent_says_nothing_of_the_plant(tmp_path):
    """A value that stands is no new residual: the model is blind once it has heard nothing for a while."""
    bench = Bench(tmp_path)
    await bench.run(50)
    for _ in range(110):
        bench.now_ns += S
        await bench.residuals.step(bench.residuals.watched["hall"])
    assert (bench.figures["State"], bench.said) == ("blind", [])


async def test_a_model_that_cannot_be_run_at_its_step_is_told_of_and_harms_nobody(tmp_path):
    """An ARX model knows its own period alone; one that diverges is watched no longer, and gives its sensor back."""
    bench = Bench(tmp_path)
    await bench.run(100)
    await bench.run(10, bias=2.0)
    assert bench.shown("room.t")[1] == quality.UNCERTAIN_SUBSTITUTE
    bench.residuals.watched["hall"].monitor._x[:] = math.inf
    await bench.residuals.steps(math.inf)
    assert bench.said[-1].startswith("the model hall is compared with its plant no longer: its state has diverged")
    assert (bench.shown("room.t")[1], bench.figures["State"]) == (quality.GOOD, "gone")
    text = (
        (tmp_path / "site.yaml")
        .read_text()
        .replace("kind: first_order,", "kind: arx,")
        .replace("{K: 2, tau: 20s}", "{a1: 0.9, period: 5s}")
    )
    (tmp_path / "site.yaml").write_text(text.replace(", noise: {process: 0.01, measurement: 0.05}", ""))
    bench.site = load_site(tmp_path / "site.yaml")
    bench.residuals.follow()
    assert "cannot be compared with its plant: an ARX model of 5 s makes no steps of 1 s" in bench.said[-1]
