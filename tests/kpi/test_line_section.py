"""The section `line`: what it ties, and each of its faults at its place."""

import pytest

from gateway.model.line import MachineState
from gateway.plugins import plugins
from gateway.settings import SettingsError, load
from support.line_tree import planted

TAGS = """version: 1
tags:
  - {name: mill.state, type: enum, labels: {0: off, 1: run, 2: starved, 3: broken}}
  - {name: mill.made, type: int}
  - {name: mill.bad, type: int}
  - {name: press.state, type: text}
  - {name: press.kw, unit: kW}
  - {name: between, type: int}
  - {name: gone, type: int, enabled: false}
"""
MILL = "{state: mill.state, states: {off: IDLE, run: EXECUTE, broken: DOWN}, produced: mill.made, rejected: mill.bad, rollover: 1000}"
PRESS = "{state: press.state, states: {busy: execute}, power: press.kw}"


def site(tmp_path, mill=MILL, press=PRESS, *, head="run: short", rest=""):
    planted(tmp_path / "tree")
    path = tmp_path / "site.yaml"
    path.write_text(f"{TAGS}line:\n  tree: tree\n  {head}\n  machines:\n    Mill: {mill}\n    Press: {press}\n{rest}")
    return load(path, plugins())


def test_machines_buffers_and_forecast_are_tied_to_tags(tmp_path):
    found = site(tmp_path, rest="  buffers: {Mill->Press: between}\n  forecast: {every: 30s, at_least: 2min}\n").line
    mill, press = found.machines
    assert found.line.name == "short"
    assert mill.states == {0: MachineState.IDLE, 1: MachineState.EXECUTE, 2: MachineState.STARVED, 3: MachineState.DOWN}
    assert press.words["busy"] is MachineState.EXECUTE
    assert press.words["DOWN"] is MachineState.DOWN
    assert (mill.produced, mill.rejected, mill.rollover, press.power) == (1, 2, 1000, 4)
    assert found.buffers == {("Mill", "Press"): 5}
    assert (found.ahead.every_s, found.ahead.minimum_s, found.ahead.replications) == (30.0, 120.0, 200)


def test_without_the_section_there_is_no_line(tmp_path):
    (tmp_path / "site.yaml").write_text(TAGS)
    assert load(tmp_path / "site.yaml", plugins()).line is None


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (
            {"mill": "{state: mill.stat}"},
            "site.yaml:14:19: line.machines.Mill.state: there is no tag 'mill.stat' (did you mean mill.state?)",
        ),
        ({"mill": "{state: between}", "press": "{state: between}"}, "between stands twice"),
        ({"mill": MILL.replace("DOWN", "BROKEN")}, "'BROKEN' is no state of a machine"),
        ({"mill": MILL.replace("broken:", "brocken:")}, "mill.state has no value 'brocken' (did you mean broken?)"),
        ({"mill": "{state: mill.state, rejected: mill.bad}"}, "line.machines.Mill.rejected: needs `produced` beside it"),
        ({"mill": "{state: mill.state, produced: press.state}"}, "press.state is text"),
        ({"mill": "{state: mill.state, produced: gone}"}, "gone is disabled"),
        ({"mill": "{state: mill.state, rollover: 1}"}, "line.machines.Mill.rollover"),
        ({"mill": "{state: mill.state, colour: red}"}, "line.machines.Mill.colour: is not a known key"),
        ({"mill": "{produced: mill.made}"}, "line.machines.Mill.state: is missing"),
        ({"rest": "    Oven: {state: between}\n"}, "the line has no machine 'Oven'"),
        ({"rest": "    Today: {state: between}\n"}, "cannot be named 'Today'"),
        ({"rest": "  buffers: {Press->Mill: between}\n"}, "the line has no buffer 'Press->Mill' (known: Mill->Press)"),
        ({"rest": "  forecast: {clear: 0.8}\n"}, "clear 0.8 is not below probability 0.7"),
        ({"rest": "  forecast: {replications: 2}\n"}, "line.forecast.replications"),
        ({"head": "run: shot"}, "there is no run 'shot'"),
        ({"head": "scenario: base"}, "line.run: is missing"),
        ({"head": "run: short\n  tree2: x"}, "line.tree2: is not a known key"),
    ],
)
def test_each_fault_is_named_at_its_place(tmp_path, changes, fault):
    with pytest.raises(SettingsError) as told:
        site(tmp_path, **changes)
    assert fault in str(told.value)


def test_a_fault_of_the_tree_stands_in_its_own_file(tmp_path):
    site(tmp_path)
    (tmp_path / "tree" / "equipment" / "mill.yaml").write_text("name: Mill\nuph: -1\n")
    with pytest.raises(SettingsError, match=r"mill\.yaml:2:6: "):
        load(tmp_path / "site.yaml", plugins())


def test_a_machine_of_the_line_that_is_not_tied_is_warned_of(tmp_path):
    planted(tmp_path / "tree")
    (tmp_path / "site.yaml").write_text(f"{TAGS}line:\n  tree: tree\n  run: short\n  machines:\n    Mill: {MILL}\n")
    found = load(tmp_path / "site.yaml", plugins())
    assert any("the machine Press of the line is not tied" in fault.why for fault in found.faults)
