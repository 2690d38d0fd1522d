"""Kinds that are calibrated without simulation, through the same door."""

import numpy as np
import pytest

from gateway.model.process import ProcessModel
from gateway.simulation.calibration.calibrate import calibrated
from gateway.simulation.calibration.record import Samples, Unfit
from gateway.simulation.kinds import KINDS


def test_an_arx_model_keeps_its_orders_and_its_period():
    """Second order in y, from samples on its own grid; its noise is that of its equation."""
    g, n = np.random.default_rng(1), 4000
    u = np.repeat(g.choice([-1.0, 1.0], n // 5), 5)
    y = np.zeros(n)
    for k in range(2, n):
        y[k] = 0.5 + 1.2 * y[k - 1] - 0.4 * y[k - 2] + 0.3 * u[k - 2] + 0.05 * g.standard_normal()
    rule = ProcessModel("m", "arx", {"y": "T"}, {"u": "U"}, {"a1": 0.9, "a2": 0.1, "b1": 1.0, "period": 2.0, "delay": 1.0})
    t = 2.0 * np.arange(n)
    found = calibrated(rule, {"T": Samples.of(t, y), "U": Samples.of(t, u)}, 0.0, float(t[-1]) + 1)
    values = {one.name: one.value for one in found.parameters}
    assert [values[name] for name in ("a1", "a2", "b1", "bias")] == pytest.approx([1.2, -0.4, 0.3, 0.5], abs=0.03)
    assert values["process_noise"] == pytest.approx(0.05, rel=0.05)
    assert (found.better, found.whiteness.white, found.document()["tuning"]) == (True, True, None)
    KINDS["arx"].make({**rule.parameters, **values})


def test_an_ornstein_uhlenbeck_process_has_no_input():
    """Its three parameters; the forecast of one step ahead is better than from the parameters before."""
    g, n = np.random.default_rng(2), 5000
    y, keep = np.full(n, 4.0), np.exp(-0.05)
    for k in range(1, n):
        y[k] = 4 + (y[k - 1] - 4) * keep + 0.3 * np.sqrt((1 - keep**2) / 0.1) * g.standard_normal()
    rule = ProcessModel("m", "ornstein_uhlenbeck", {"y": "T"}, {}, {"mean": 0.0, "theta": 1.0, "s": 1.0})
    found = calibrated(rule, {"T": Samples.of(np.arange(float(n)), y)}, 0.0, float(n))
    for one, true in zip(found.parameters, (4.0, 0.05, 0.3), strict=True):
        assert one.low - 0.3 * one.sd <= true <= one.high + 0.3 * one.sd
    assert found.better


def test_equations_are_calibrated_by_their_own_parameters():
    """A tank: the change of its level is inflow - level over its time."""
    n = 1200
    u = np.repeat(np.random.default_rng(3).choice([0.0, 4.0], n // 60), 60)
    y = np.zeros(n)
    for k in range(1, n):
        y[k] = u[k - 1] + (y[k - 1] - u[k - 1]) * np.exp(-1 / 40)
    rule = ProcessModel(
        "tank", "equations", {"level": "T"}, {"inflow": "U"}, {"fill": 10.0}, {}, {"states": {"level": "(inflow - level) / fill"}}
    )  # fmt: skip
    t = np.arange(float(n))
    found = calibrated(rule, {"T": Samples.of(t, y), "U": Samples.of(t, u)}, 0.0, float(n))
    assert {one.name: one.value for one in found.parameters} == {"fill": pytest.approx(40.0, rel=0.02)}


def test_a_model_without_anything_to_seek_and_a_tag_without_samples_say_so():
    t = np.arange(100.0)
    series = {"T": Samples.of(t, np.sin(t)), "U": Samples.of(t, np.cos(t))}
    with pytest.raises(Unfit, match="there are no samples of T2"):
        calibrated(ProcessModel("m", "first_order", {"y": "T2"}, {"u": "U"}), series, 0.0, 100.0)
    with pytest.raises(Unfit, match="m: parameter tau is -1"):
        calibrated(ProcessModel("m", "first_order", {"y": "T"}, {"u": "U"}, {"tau": -1.0}), series, 0.0, 100.0)
    with pytest.raises(Unfit, match="the model gives no tag"):
        calibrated(ProcessModel("m", "first_order", {}, {"u": "U"}), series, 0.0, 100.0)
