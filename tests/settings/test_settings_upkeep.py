"""`calibrate` and `residual` of a model: what they say, and what is refused at its place."""

import json

import pytest

from gateway.model.calibration import Upkeep, Watch
from gateway.settings import SettingsError, difference, schema

HEAD = """
version: 1
tags:
  - {name: line.t, unit: Cel}
  - {name: line.sp, unit: Cel}
models:
  heater: {kind: first_order, output: line.t, inputs: {u: line.sp}, MORE}
"""


def load(folder, more):
    return folder.load(HEAD.replace("MORE", more))


def test_what_a_model_says_of_its_upkeep(folder):
    """In seconds; each key has a usual value, and a model without them is neither calibrated by itself nor watched."""
    site = load(folder, "calibrate: {every: 12h, window: 2d, apply: true, parameters: [K, tau]}, residual: {step: 500ms, false_alarm: 1d}")
    assert site.upkeep == {"heater": Upkeep(43_200.0, 172_800.0, apply=True, parameters=("K", "tau"))}
    assert site.watches == {"heater": Watch(0.5, 86_400.0, stand_in=False)}
    usual = load(folder, "calibrate: {}, residual: {}")
    assert (usual.upkeep, usual.watches) == ({"heater": Upkeep()}, {"heater": Watch()})
    none = load(folder, "parameters: {K: 1}")
    assert (none.upkeep, none.watches) == ({}, {})


def test_a_reload_shows_what_changed(folder):
    before = load(folder, "residual: {step: 1s}")
    after = load(folder, "residual: {step: 2s}")
    assert [one.path for one in difference(before, after)] == ["residual.heater.step_s"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("calibrate: {evry: 1h}", "models.heater.calibrate.evry: is not a known key (did you mean every?)"),
        ("calibrate: {every: 5s}", "models.heater.calibrate.every: is not between 1 min and 366 d"),
        ("calibrate: {window: soon}", "models.heater.calibrate.window:"),
        ("calibrate: {apply: maybe}", "models.heater.calibrate.apply: should be true or false"),
        ("calibrate: {parameters: [K, tua]}", "models.heater.calibrate.parameters: there is no parameter 'tua' (did you mean tau?)"),
        ("residual: {step: 1ms}", "models.heater.residual.step: is shorter than 100 ms"),
        ("residual: {step: 10s, false_alarm: 60s}", "models.heater.residual.false_alarm: is shorter than 100 steps of 10 s"),
        ("residual: {stand_in: true}", "models.heater.residual.stand_in: line.t has no source"),
        ("residual: 1s", "models.heater.residual: should be a map"),
    ],
)
def test_what_cannot_be_is_a_fault_at_its_place(folder, more, words):
    with pytest.raises(SettingsError) as raised:
        load(folder, more)
    assert words in str(raised.value)
    assert ":7:" in str(raised.value)


def test_the_schema_knows_both(plugins):
    text = json.dumps(schema(plugins))
    assert all(word in text for word in ('"calibrate"', '"residual"', '"false_alarm"', '"stand_in"'))
