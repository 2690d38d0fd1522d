"""The twin offline: the face for notebooks and tests."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import Twin
from gateway.model import quality, statefile
from gateway.model.alarm import Change
from gateway.model.tag import TagTable
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
    path.write_text(SITE.replace("name: t}", f"name: t, data_dir: {tmp_path / 'data'}}}", 1))
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


FULL = {"production_line": {"temperature": 28.0, "status": "running"}, "materials": {"wafer": {"inventory": 850}}}
NOW = "2026-11-20T08:00:00Z"


def saved(twin):
    """A file of a state with all three tags."""
    twin.update(FULL, NOW)
    return twin.save()


def test_a_saved_state_is_loaded_whole(twin, tmp_path):
    """Where nobody says where it lies in the data directory; the alarm that it means follows its own delay."""
    path = saved(twin)
    assert path == twin.site.gateway.data_dir / "digital_twin" / "state.json"
    assert json.loads(path.read_text())["production_line"] == {"temperature": 28.0, "status": 1}
    other = Twin(twin.site)
    assert other.load() == []
    assert other.state() == twin.state()
    assert [one.change for one in other.advance("2026-11-20T08:00:05Z")] == [Change.ACTIVE]
    assert other.save(tmp_path / "b.json").read_text().count("28.0") == 1


def test_a_state_older_than_the_twin_holds_from_now_on(twin):
    saved(twin)
    twin.update({"production_line.temperature": 20.0}, "2026-11-20T09:00:00Z")
    twin.load()
    assert twin.state()["production_line"]["temperature"] == 28.0
    assert twin.state()["timestamp"].startswith("2026-11-20T09:00:00")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("28.0", "28.5", "the checksum does not fit"),
        ('"version": 1', '"version": 2', "has version 2, and this release knows 1"),
        ("{", "[", "it is not JSON"),
        ("edgetwin-state", "x", "is no state file"),
    ],
)
def test_a_damaged_or_later_file_is_refused_with_words_and_changes_nothing(twin, old, new, words):
    path = saved(twin)
    path.write_text(path.read_text().replace(old, new, 1))
    other = Twin(twin.site)
    with pytest.raises(ValueError, match=words):
        other.load(path)
    assert other.state()["production_line"]["temperature"] is None


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"production_line": {"temperature": "hot", "status": 1}, "materials": FULL["materials"]},
            "temperature is 'hot', which is no float",
        ),
        (
            {"production_line": {"temperature": 61, "status": 1}, "materials": FULL["materials"]},
            "temperature is 61, outside its range 0 to 60",
        ),
        (
            {"production_line": {"temperature": 20}, "materials": FULL["materials"]},
            "lacks tags that the configuration has: production_line.status",
        ),
        ({**FULL, "x": {"y": 1}}, "has tags that the configuration has not: x.y"),
    ],
)
def test_a_state_that_does_not_fit_the_site_is_refused_by_name(twin, tmp_path, values, words):
    path = tmp_path / "a.json"
    path.write_bytes(statefile.text(statefile.document({"timestamp": NOW, **values}, np.zeros(0, np.uint32), twin.site.tags)))
    with pytest.raises(ValueError, match=words):
        twin.load(path)


def test_an_uncertain_value_stays_uncertain(twin, tmp_path):
    saved(twin)
    status = np.array([quality.code("UncertainLastUsableValue"), 0, 0], np.uint32)
    path = tmp_path / "a.json"
    path.write_bytes(statefile.text(statefile.document(twin.state(), status, twin.site.tags)))
    other = Twin(twin.site)
    other.load(path)
    assert other.engine.view.status.tolist() == status.tolist()


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(), lambda x: st.dictionaries(st.text(), x)
    )
)
def test_what_is_written_is_what_is_checked(tree):
    content = statefile.document({"tree": tree}, np.zeros(0, np.uint32), TagTable.of([]))
    assert statefile.checked(statefile.parsed(statefile.text(content))) == {"tree": tree}
