"""The twin offline: the face for notebooks and tests."""

import math

import pytest

from gateway import Twin
from gateway.model.alarm import Change
from gateway.settings import SettingsError

SITE = """
version: 1
gateway: {name: t}
sync: {history_length: 3}
tags:
  - {name: production_line.temperature, unit: Cel, range: [0, 60]}
  - {name: production_line.status, type: enum, labels: {0: stopped, 1: running}}
  - {name: materials.wafer.inventory, type: int}
alarms:
  - {tag: production_line.temperature, hi: 27, hysteresis: 0.5, on_delay: 5s}
"""


@pytest.fixture
def twin(tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text(SITE)
    return Twin.from_config(path)


def at(second):
    return f"2026-01-01T00:00:{second:02d}Z"


def test_a_nested_update_becomes_a_nested_state_with_a_timestamp(twin):
    twin.update({"production_line": {"temperature": 22.5, "status": "running"}}, at(0))
    twin.update({"materials.wafer.inventory": 850}, at(1))
    state = twin.state()
    assert state["production_line"] == {"temperature": 22.5, "status": 1}
    assert state["materials"] == {"wafer": {"inventory": 850}}
    assert state["timestamp"].startswith("2026-01-01T00:00:0")


def test_what_was_never_heard_is_null(twin):
    assert twin.state()["production_line"]["temperature"] is None


def test_an_alarm_comes_after_its_delay_as_time_passes(twin):
    assert twin.update({"production_line.temperature": 28.0}, at(0)) == []
    assert twin.advance(at(4)) == []
    (came,) = twin.advance(at(5))
    (went,) = twin.update({"production_line.temperature": 26.4}, at(9))
    assert (came.change, went.change) == (Change.ACTIVE, Change.INACTIVE)


def test_history_keeps_the_latest_states_oldest_first_and_finds_the_last_at_or_before_a_time(twin):
    for second in range(0, 50, 10):
        twin.update({"production_line.temperature": float(second)}, at(second))
    assert [state["production_line"]["temperature"] for state in twin.history()] == [20.0, 30.0, 40.0]
    assert [state["production_line"]["temperature"] for state in twin.history(2)] == [30.0, 40.0]
    assert twin.state_at(at(39))["production_line"]["temperature"] == 30.0
    assert twin.state_at(at(5)) is None
    twin.clear_history()
    assert twin.state()["production_line"]["temperature"] == 40.0
    assert twin.state_at(at(25)) is None


def test_unknown_tags_and_times_are_refused_by_name(twin):
    with pytest.raises(KeyError, match=r"no\.such"):
        twin.update({"no.such": 1}, at(0))
    with pytest.raises(ValueError, match="yesterday"):
        twin.update({"production_line.temperature": 1}, "yesterday")


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ([], "State must be a dictionary"),
        ({}, "Missing 'timestamp' field"),
        ({"timestamp": "noon"}, "Invalid timestamp format"),
        ({"timestamp": at(0), "x": 1}, "there is no tag 'x'"),
        ({"timestamp": at(0), "production_line": {"temperature": 99}}, "production_line.temperature: 99 is outside 0 to 60"),
        (
            {"timestamp": at(0), "production_line": {"temperature": "warm"}},
            "production_line.temperature: 'warm' is BadDecodingError as float",
        ),
        ({"timestamp": at(0), "production_line": {"temperature": 20, "status": "running"}}, "Valid state"),
    ],
)
def test_validation_says_what_is_wrong(twin, state, why):
    assert twin.validate(state) == (why == "Valid state", why)


def test_a_faulty_file_lists_its_faults(tmp_path):
    path = tmp_path / "site.yaml"
    path.write_text(SITE.replace("hi: 27", "hii: 27"))
    with pytest.raises(SettingsError, match="hi"):
        Twin.from_config(path)


MODELS = """
models:
  hall: {kind: first_order, output: production_line.temperature, inputs: {u: 24}, parameters: {tau: 10s}, noise: {process: 0.1}}
"""


@pytest.fixture
def modelled(tmp_path):
    path = tmp_path / "modelled.yaml"
    path.write_text(SITE + MODELS)
    made = Twin.from_config(path)
    made.update({"production_line": {"temperature": 20.0, "status": "running"}}, at(0))
    return made


def test_a_simulation_gives_the_present_state_and_one_for_each_step(modelled):
    """5 steps give 6 states; ten without a number; the present state is not touched; 24 - 4 exp(-t/10) without noise."""
    before = modelled.state()
    states = modelled.simulate(5)
    assert len(states) == 6
    assert len(modelled.simulate()) == 11
    assert modelled.state() == before
    assert states[0] == before
    assert states[5]["production_line"] == {
        "temperature": pytest.approx(24 - 4 * math.exp(-0.5)),
        "status": before["production_line"]["status"],
    }
    assert states[5]["timestamp"] == "2026-01-01T00:00:05.000Z"


def test_parameters_are_given_by_dotted_path(modelled):
    states = modelled.simulate(1, {"production_line.temperature": 23.0, "hall.tau": 5.0})
    assert states[1]["production_line"]["temperature"] == pytest.approx(24 - math.exp(-0.2))
    with pytest.raises(ValueError, match=r"there is no tag or parameter in the models 'hall.tua' \(did you mean hall.tau\?\)"):
        modelled.simulate(1, {"hall.tua": 5.0})
    with pytest.raises(ValueError, match="a horizon of 0 s is none"):
        modelled.simulate(0)


def test_monte_carlo_draws_its_parameters(modelled):
    """[{iteration, parameters, states}], the same for the same seed."""
    runs = modelled.monte_carlo(3, iterations=20, uncertainty=0.1)
    assert [run["iteration"] for run in runs] == list(range(20))
    drawn = [run["parameters"]["hall.tau"] for run in runs]
    assert len(set(drawn)) == 20
    assert 7 < min(drawn) < max(drawn) < 13
    assert all(len(run["states"]) == 4 for run in runs)
    assert runs == modelled.monte_carlo(3, iterations=20, uncertainty=0.1)
