"""The sections `models` and `scenarios`."""
# ruff: noqa: E501  faults stand here as people read them, in one piece

import json

import pytest

from gateway.model.process import ProcessModel, Scenario
from gateway.settings import SettingsError, difference, schema
from gateway.simulation.kinds import KINDS

TAGS = """
version: 1
tags:
  - {name: line.t, unit: Cel, range: [0, 60]}
  - {name: line.sp, unit: Cel, range: [0, 60]}
  - {name: oven.t}
  - {name: note, type: text}
"""
GOOD = """
models:
  heater: {kind: first_order_dead_time, output: line.t, inputs: {u: line.sp},
           parameters: {K: 1, tau: {value: 100s, sd: 5s}, theta: 20s}, noise: {process: 0.05, measurement: 0.1}}
  stove: {kind: first_order, outputs: {y: oven.t}, inputs: {u: 150}, parameters: {tau: 2min}}
scenarios:
  warm: {description: a warm hall, parameters: {line.sp: 26, heater.tau: 2min}, horizon: 10min, step: 500ms, runs: 300}
  plain: {}
"""


def test_models_are_tied_to_tags_and_times_are_seconds(folder):
    site = folder.load(TAGS + GOOD)
    assert site.models == (
        ProcessModel(
            "heater",
            "first_order_dead_time",
            {"y": "line.t"},
            {"u": "line.sp"},
            {"K": 1.0, "tau": 100.0, "theta": 20.0, "process_noise": 0.05, "measurement_noise": 0.1},
            {"tau": 5.0},
        ),
        ProcessModel("stove", "first_order", {"y": "oven.t"}, {"u": 150.0}, {"tau": 120.0}),
    )
    assert site.scenarios == {
        "warm": Scenario("warm", "a warm hall", {"line.sp": 26.0, "heater.tau": 120.0}, 600.0, 0.5, 300),
        "plain": Scenario("plain"),
    }


def test_a_model_may_be_equations(folder):
    """States and outputs as text, parameters of its own, some of them times."""
    tank = "  tank: {kind: equations, equations: {states: {level: (inflow - level) / fill}}, output: oven.t, inputs: {inflow: line.t}, parameters: {fill: 2min}, noise: {process: 0.1}}"
    (model,) = folder.load(f"{TAGS}\nmodels:\n{tank}\n").models
    assert model.equations == {"states": {"level": "(inflow - level) / fill"}}
    assert (model.parameters, model.outputs) == ({"fill": 120.0, "process_noise": 0.1}, {"level": "oven.t"})


def test_a_whole_line_is_a_model_with_the_keys_of_its_configuration(folder):
    """SIMULATION_PARAMETERS by key; its outputs and inputs have dots of their own."""
    line = "{kind: pv_line, outputs: {production_line.temperature: line.t}, inputs: {production_line.setpoint: line.sp, production_line.status: 1}, parameters: {temperature_regulation: 0.2, step_s: 1min}}"
    site = folder.load(f"{TAGS}\nmodels:\n  pv: {line}\nscenarios: {{a: {{parameters: {{pv.target_temperature: 23, pv.step_s: 30s}}}}}}\n")
    assert site.models[0].parameters == {"temperature_regulation": 0.2, "step_s": 60.0}
    assert site.models[0].inputs == {"production_line.setpoint": "line.sp", "production_line.status": 1.0}
    assert site.scenarios["a"].parameters == {"pv.target_temperature": 23.0, "pv.step_s": 30.0}


HEATER = "models:\n  heater: {kind: first_order, output: line.t, inputs: {u: line.sp}, "


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("models: [a]\n", "8:9: models: should be a map of keys, not a list"),
        ("models:\n  heater: {kind: first_odrer}\n", "9:18: models.heater.kind: there is no kind of model 'first_odrer'"),
        ("models:\n  t: {kind: equations, output: oven.t}\n", "9:6: models.t.equations: is missing"),
        ("models:\n  t: {kind: equations, output: oven.t, equations: {states: {x: 1 +}}}\n", "9:51: models.t.equations: the equation of x: character 4: "),
        ("models:\n  t: {kind: equations, output: oven.t, equations: {stats: {x: 1}}}\n", "9:52: models.t.equations.stats: is not a known key"),
        (HEATER + "equations: {}}\n", "9:80: models.heater.equations: first_order has none (write kind: equations)"),
        ("models:\n  heater: {output: line.t}\n", "9:11: models.heater.kind: is missing (known: "),
        ("models:\n  line: {kind: first_order, output: line.t, inputs: {u: 1}}\n", "9:3: models.line: line is also the beginning"),
        ("models:\n  a b: {}\n", "9:3: models.a b: 'a b' is not a name (1 to 64 letters, digits, _ or -)"),
        (HEATER + "paramters: {}}\n", "9:69: models.heater.paramters: is not a known key (did you mean parameters?)"),
        (HEATER + "parameters: {tua: 5}}\n", "9:82: models.heater.parameters.tua: first_order has no parameter 'tua' (did you mean tau?)"),
        (HEATER + "parameters: {tau: fast}}\n", "9:87: models.heater.parameters.tau: 'fast' is not a duration: write 500ms, 10s,"),
        (HEATER + "parameters: {K: 5s}}\n", "9:85: models.heater.parameters.K: should be a number, not '5s' (this parameter is no time)"),
        (HEATER + "parameters: {tau: 0}}\n", "9:87: models.heater.parameters.tau: is 0.0 and must be positive"),
        (HEATER + "parameters: {tau: .nan}}\n", "9:87: models.heater.parameters.tau: should be a number, not '.nan'"),
        (HEATER + "parameters: {K: {value: 1, sd: -1}}}\n", "9:100: models.heater.parameters.K.sd: -1 is negative"),
        (HEATER + "parameters: {K: {sd: 1}}}\n", "9:85: models.heater.parameters.K.value: is missing"),
        (HEATER + "noise: {process: -1}}\n", "9:86: models.heater.noise.process: is -1.0 and must not be negative"),
        (HEATER + "noise: {other: 1}}\n", "9:77: models.heater.noise.other: first_order has no noise 'other' (known: measurement"),
        ("models:\n  heater: {kind: first_order, inputs: {u: 1}}\n", "9:11: models.heater.output: is missing (the tag that the model gives)"),
        ("models:\n  heater: {kind: first_order, output: line.x}\n", "9:39: models.heater.output: there is no tag 'line.x' (did you mean line.t?)"),
        ("models:\n  heater: {kind: first_order, output: note}\n", "9:39: models.heater.output: note is text, not a number"),
        ("models:\n  heater: {kind: first_order, outputs: {z: line.t}}\n", "9:41: models.heater.outputs.z: is not an output of the model (known: y)"),
        ("models:\n  heater: {kind: first_order, output: line.t, inputs: {w: 1}}\n", "9:56: models.heater.inputs.w: first_order has no input 'w'"),
        (HEATER + "}\n  other: {kind: first_order, output: line.t, inputs: {u: 1}}\n", "10:38: models.other.output: line.t is given by heater too"),
        ("scenarios:\n  now: {}\n", "9:3: scenarios.now: 'now' is not a name for a scenario (now is the scenario that changes nothing)"),
        (HEATER + "}\nscenarios: {a: {parameters: {line.s: 5}}}\n", "10:30: scenarios.a.parameters.line.s: no model has a tag or parameter 'line.s'"),
        (HEATER + "}\nscenarios: {a: {parameters: {line.sp: 99}}}\n", "10:39: scenarios.a.parameters.line.sp: 99 is outside the range of line.sp"),
        (HEATER + "}\nscenarios: {a: {horizon: 0}}\n", "10:26: scenarios.a.horizon: is no time (write 10min, 1s)"),
        (HEATER + "}\nscenarios: {a: {runs: 0}}\n", "10:23: scenarios.a.runs: should be a whole number from 1 to 100000"),
        (HEATER + "}\nscenarios: {a: {descripton: x}}\n", "10:17: scenarios.a.descripton: is not a known key (did you mean description?)"),
    ],
)  # fmt: skip
def test_every_fault_has_its_place_and_its_hint(folder, text, fault):
    """To the character, with what would be right."""
    found = folder.faults(TAGS.lstrip("\n").replace("version: 1\n", "version: 1\n\n") + text)
    assert any(f"site.yaml:{fault}" in one for one in found), found


def test_the_schema_knows_each_kind_with_its_parameters(plugins):
    kinds = {one["properties"]["kind"]["const"]: one for one in schema(plugins)["properties"]["models"]["additionalProperties"]["oneOf"]}
    assert set(kinds) == {*KINDS, "equations"}
    heater = kinds["first_order_dead_time"]["properties"]
    assert set(heater["parameters"]["properties"]) == {"K", "tau", "theta", "bias"}
    assert heater["parameters"]["properties"]["tau"]["anyOf"][0] == {"$ref": "#/$defs/duration"}
    assert set(heater["noise"]["properties"]) == {"process", "measurement"}
    json.dumps(kinds)


def test_a_reload_tells_what_changed_in_a_model_and_in_a_scenario(folder):
    old = folder.load(TAGS + GOOD)
    new = folder.load(TAGS + GOOD.replace("K: 1,", "K: 2,").replace("runs: 300", "runs: 400").replace("  plain: {}\n", ""))
    assert {str(one) for one in difference(old, new)} == {
        "models.heater.parameters.K: changed 1.0 -> 2.0",
        "scenarios.warm.runs: changed 300 -> 400",
        "scenarios.plain: removed",
    }


def test_a_model_of_tags_that_are_gone_is_a_fault(folder):
    """A reload keeps the row of a name, and not the name."""
    old = folder.load(TAGS + GOOD)
    with pytest.raises(SettingsError, match=r"there is no tag 'oven.t'"):
        folder.load((TAGS + GOOD).replace("  - {name: oven.t}\n", ""), old.tags)
