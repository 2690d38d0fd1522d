"""Composition, and the line of PV modules: what its configuration says, at any step of the simulation."""

import math

import numpy as np
import pytest

from gateway.simulation.ensemble import chance, simulate
from gateway.simulation.process.balance import Integrator
from gateway.simulation.process.line import Line, Part
from gateway.simulation.process.linear import FirstOrder, FirstOrderDeadTime
from gateway.simulation.process.model import ModelError
from gateway.simulation.process.pv_line import DEFAULTS, START, STEPS, pv_line

TEMPERATURE, ENERGY, RATE = "production_line.temperature", "production_line.energy", "production_line.production_rate"


def test_parts_are_put_in_the_order_in_which_they_feed_each_other():
    """Written backwards: two lags and a counter; a name from one is a name of the other's input."""
    line = Line(
        [
            Part("count", Integrator(), {"u": "second.y"}),
            Part("second", FirstOrder({"tau": 5}), {"u": "warm"}, {}),
            Part("first", FirstOrder({"tau": 10}), {"u": "heat"}, {"y": "warm"}),
        ]
    )
    assert [part.name for part in line.parts] == ["first", "second", "count"]
    assert line.inputs == ("heat",)
    assert line.outputs == ("warm", "second.y", "count.y")
    assert line.parameters["second.tau"] == 5
    assert line.fastest_s == 5
    runs = simulate(line, {}, {"heat": 1.0}, 0.01, 2000, chance(1))
    t = 20.0
    assert runs.of("second.y")[0, -1] == pytest.approx(1 - 2 * math.exp(-t / 10) + math.exp(-t / 5), abs=2e-3)


def test_a_circle_is_refused_with_the_names_on_it():
    with pytest.raises(ModelError, match=r"(a -> b -> a|b -> a -> b) feed each other in a circle"):
        Line([Part("a", FirstOrder(), {"u": "b.y"}), Part("b", FirstOrder(), {"u": "a.y"})])
    with pytest.raises(ModelError, match="a -> a feed each other"):
        Line([Part("a", FirstOrder(), {"u": "a.y"})])


def test_names_are_there_once():
    with pytest.raises(ModelError, match="two parts 'a'"):
        Line([Part("a", FirstOrder()), Part("a", FirstOrder())])
    with pytest.raises(ModelError, match="two outputs 'same'"):
        Line([Part("a", FirstOrder(), {}, {"y": "same"}), Part("b", FirstOrder(), {}, {"y": "same"})])
    with pytest.raises(ModelError, match="no input of a 'v'"):
        Line([Part("a", FirstOrder(), {"v": "x"})])


def test_a_part_with_dead_time_starts_from_what_feeds_it():
    line = Line([Part("first", FirstOrder({"tau": 10})), Part("late", FirstOrderDeadTime({"tau": 10, "theta": 3}), {"u": "first.y"})])
    runs = simulate(line, {"first.y": 4.0, "first.u": 4.0, "late.y": 4.0}, {}, 1, 10, chance(1))
    assert runs.of("late.y")[0] == pytest.approx(np.full(11, 4.0))


def test_temperature_is_regulated_as_configured_per_step_of_the_line():
    """0.1 a step is a time constant of 9.4912 steps; ten steps of 60 s from 25 towards 22.5 (D2), at 60 s and at 1 s."""
    assert pv_line().parameters["temperature.tau"] == pytest.approx(9.4912 * 60, rel=1e-5)
    start = {**START, TEMPERATURE: 25.0, "production_line.target": 22.5}
    for dt_s in (60.0, 1.0):
        runs = simulate(pv_line(), start, {}, dt_s, round(600 / dt_s), chance(1), 1, process_noise=False)
        assert runs.of(TEMPERATURE)[0, -1] == pytest.approx(23.371696, abs=1e-6)
    many = simulate(pv_line(), start, {}, 60.0, STEPS, chance(2), 8000).of(TEMPERATURE)[:, -1]
    assert many.var() == pytest.approx(0.0462328, rel=0.05)


def test_energy_rises_by_its_increment_while_running_and_never_falls():
    """2 kW.h a step: 120 kW, of the state alone; idle costs its share, stopped nothing."""
    for status, step in ((1.0, 2.0), (2.0, 0.6), (0.0, 0.0)):
        runs = simulate(pv_line(), {**START, "production_line.status": status}, {}, 60, 10, chance(1), 400)
        assert runs.of(ENERGY).mean(axis=0)[-1] == pytest.approx(120.5 + 10 * step, abs=0.15)
        assert np.diff(runs.of(ENERGY), axis=1).min() >= 0


def test_the_rate_moves_by_its_increment_and_takes_the_materials_with_it():
    """From 8.3 to 10 units a minute in 0.2 a step, and to 0 when the line stops; wafers and glass close to the last piece."""
    runs = simulate(pv_line(), START, {"production_line.target_rate": 10.0}, 60, 20, chance(1))
    assert runs.of(RATE)[0, [0, 1, 8, 9, 20]] == pytest.approx([8.3, 8.5, 9.9, 10.0, 10.0])
    units = runs.of("materials.good")[0] + runs.of("materials.scrap")[0]
    assert units[-1] == pytest.approx(runs.of(RATE)[0, :-1].sum())
    assert runs.of("materials.silicon_wafer")[0] == pytest.approx(850 - 0.5 * units)
    assert runs.of("materials.solar_glass")[0] == pytest.approx(420 - 0.2 * units)
    stopped = simulate(pv_line(), START, {"production_line.status": 0.0}, 60, 60, chance(1))
    assert stopped.of(RATE)[0, -1] == 0


def test_the_line_makes_nothing_of_no_wafers():
    runs = simulate(pv_line(), {**START, "materials.silicon_wafer": 10.0}, {}, 60, 30, chance(1))
    assert runs.of("materials.silicon_wafer")[0].min() == 0
    assert runs.of("materials.good")[0, -1] + runs.of("materials.scrap")[0, -1] == pytest.approx(20)
    assert runs.of("materials.made")[0, -1] == 0


def test_every_key_of_the_configuration_has_its_default_and_no_other_is_taken():
    seed = {"temperature_increment": 0.5, "energy_consumption_increment": 2.0, "production_rate_increment": 0.2}
    seed |= {"default_simulation_steps": 10, "target_temperature": 22.5, "temperature_regulation": 0.1}
    seed |= {"silicon_wafer_consumption_rate": 0.5, "solar_glass_consumption_rate": 0.2}
    assert {name: DEFAULTS[name] for name in seed} == seed
    with pytest.raises(ModelError, match="did you mean target_temperature"):
        pv_line({"target_temp": 20})
    with pytest.raises(ModelError, match="temperature_regulation lies between 0 and 1"):
        pv_line({"temperature_regulation": 1.0})


def test_the_target_moves_by_the_temperature_increment():
    runs = simulate(pv_line(), START, {"production_line.setpoint": 25.0}, 60, 6, chance(1))
    assert runs.of("production_line.target")[0] == pytest.approx([22.5, 23, 23.5, 24, 24.5, 25, 25])


def test_the_keys_of_the_configuration_are_parameters_too():
    """One may vary from run to run; a part's own parameter goes before what the keys say of it."""
    regulation = np.array([0.1, 0.2])
    line = pv_line().with_parameters({"temperature_regulation": regulation})
    assert line.parameters["temperature.tau"] == pytest.approx(-60 / np.log(1 - regulation))
    start = {**START, TEMPERATURE: 25.0, "production_line.target": 22.5}
    runs = simulate(pv_line(), start, {}, 60, 1, chance(1), 2, overrides={"temperature_regulation": regulation}, process_noise=False)
    assert runs.of(TEMPERATURE)[:, -1] == pytest.approx([24.75, 24.5])
    own = line.with_parameters({"temperature.tau": 100.0}).with_parameters({"target_temperature": 21.0})
    assert own.parameters["temperature.tau"] == 100.0
    assert own.parameters["quality.best"] == 21.0
