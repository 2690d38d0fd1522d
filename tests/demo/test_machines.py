"""The demo's machines are the line simulator's: the same states and counts when left alone, and what is done to them acts on the line."""

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from gateway.demo.machines import BEGUN, as_built
from gateway.demo.physics import MACHINES, Inputs, MachineState
from gateway.demo.virtual import VirtualPlant
from gateway.model.line import MachineState as Line
from gateway.settings.line import load_line, shipped
from gateway.simulation.line.oee import busy_times, oee
from gateway.simulation.line.run import execute

STATES = {
    MachineState.RUNNING: Line.EXECUTE,
    MachineState.FAULT: Line.DOWN,
    MachineState.STARVED: Line.STARVED,
    MachineState.BLOCKED: Line.BLOCKED,
    MachineState.JAMMED: Line.JAMMED,
}
FRAMER, STRINGER, LAYUP, PACKER = (MACHINES.index(name) for name in ("framer", "stringer", "layup", "packer"))


def run(plant, seconds, inputs=None, dt=1.0):
    """The states shown, int64[steps, machines]."""
    return np.array([plant.step(inputs or Inputs(), dt).machines.state for _ in range(round(seconds / dt))])


def only(*rows):
    faulty = np.zeros(len(MACHINES), bool)
    faulty[list(rows)] = True
    return faulty


def test_a_shift_left_alone_is_a_run_of_the_simulator_and_its_oee_that_of_the_summary():
    """Counts and buffers are equal to a run under the same seed; OEE of what is shown each second is that of its summary."""
    hours = 4
    line = replace(as_built(), duration_s=hours * 3600.0)
    plant = VirtualPlant(11)
    shown = run(plant, hours * 3600)
    made = execute(line, 11, events=False, start=BEGUN).summary
    now = plant.state.machines
    assert dict(zip(MACHINES, now.produced.tolist(), strict=True)) == {name: made["machines"][name]["made"] for name in MACHINES}
    assert now.rejected.tolist() == [made["machines"][name]["defects_detected"] for name in MACHINES]
    assert now.buffer.tolist() == [made["buffers"][f"{a}->{b}"]["last"] for a, b in pairwise(MACHINES)]
    for row, machine in enumerate(line.machines):
        own = made["machines"][machine.name]
        seconds = {state: float((shown[:, row] == code).sum()) for code, state in STATES.items()}
        for state, spent in seconds.items():
            assert spent == pytest.approx(own["time_in_state_s"][state.value], abs=0.01 * hours * 3600)
        busy, production = busy_times(seconds)
        ideal = plant.machines.hands[row].usual_s
        found = oee(busy, production, ideal, float(now.produced[row]), float(now.produced[row] - now.rejected[row]))
        assert found.oee == pytest.approx(own["oee"]["oee"], rel=1e-9)
        assert found.availability == pytest.approx(own["oee"]["availability"], abs=0.002)


def test_the_plant_is_not_quite_the_line_that_its_twin_takes_it_for():
    baseline = load_line("pv_baseline_8hr", shipped())
    assert [machine.name for machine in baseline.machines] == [machine.name for machine in as_built().machines] == list(MACHINES)
    assert [(edge.origin, edge.target, edge.capacity) for edge in baseline.edges] == [
        (edge.origin, edge.target, edge.capacity) for edge in as_built().edges
    ]
    assert all(a != b for a, b in zip(baseline.machines, as_built().machines, strict=True))
    rate = execute(as_built(), 1, events=False).summary["flow"]["throughput_per_hour"] / 60.0
    assert 7.0 < rate < 8.5


def test_the_simulator_is_loaded_by_the_plant_alone():
    """Neither the demo's verb nor what writes its site for the gateway loads SimPy."""
    code = "import sys, gateway.demo.verb, gateway.demo.extra; sys.exit('simpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, env={"PYTHONPATH": ":".join(sys.path)}).returncode == 0


def test_in_a_few_hours_every_state_shows():
    assert set(np.unique(run(VirtualPlant(2), 3 * 3600, dt=2.0))) >= set(STATES)


@pytest.mark.parametrize("row", range(len(MACHINES)))
def test_a_forced_fault_shows_at_once_and_its_cycle_is_finished_afterwards(row):
    plant = VirtualPlant(4)
    run(plant, 3.0, dt=0.1)
    work = plant.state.machines.work[row]
    run(plant, 60.0, Inputs(faulty=only(row)), dt=0.1)
    now = plant.state.machines
    assert now.state[row] == MachineState.FAULT
    assert now.work[row] == pytest.approx(work, abs=1e-9)
    run(plant, 0.1, dt=0.1)
    assert plant.state.machines.state[row] == MachineState.RUNNING
    run(plant, 1.0, dt=0.1)
    usual = plant.machines.hands[row].usual_s
    assert plant.state.machines.work[row] == pytest.approx(work + 1.1 / usual, rel=0.05, abs=0.02)


def test_a_fault_starves_those_behind_and_blocks_those_before():
    plant = VirtualPlant(1)
    run(plant, 600, Inputs(faulty=only(FRAMER)))
    shown = dict(zip(MACHINES, map(MachineState, plant.state.machines.state), strict=True))
    assert shown["framer"] is MachineState.FAULT
    assert shown["stringer"] is shown["layup"] is shown["laminator"] is MachineState.BLOCKED
    assert shown["flash_tester"] is shown["packer"] is MachineState.STARVED
    assert plant.state.rate < 0.5
    assert plant.state.machines.buffer.tolist()[:4] == [12, 12, 12, 0]


def test_a_machine_that_waits_shows_a_forced_fault_too():
    plant = VirtualPlant(1)
    run(plant, 600, Inputs(faulty=only(FRAMER)))
    run(plant, 0.1, Inputs(faulty=only(STRINGER, FRAMER, PACKER)), dt=0.1)
    assert (plant.state.machines.state[[STRINGER, FRAMER, PACKER]] == MachineState.FAULT).all()
    run(plant, 0.1, Inputs(faulty=only(FRAMER)), dt=0.1)
    assert plant.state.machines.state[[STRINGER, PACKER]].tolist() == [MachineState.BLOCKED, MachineState.STARVED]


def test_half_the_speed_makes_half_the_modules_and_a_stopped_line_none():
    def made(speed):
        plant = VirtualPlant(3)
        run(plant, 1800, Inputs(speed_setpoint=np.full(len(MACHINES), speed)), dt=5.0)
        return plant.state.machines

    assert made(50.0).produced[STRINGER] == pytest.approx(0.5 * made(100.0).produced[STRINGER], rel=0.15)
    assert made(50.0).cycle_s[STRINGER] == pytest.approx(2 * made(100.0).cycle_s[STRINGER])
    stopped = made(0.0)
    assert (stopped.state == MachineState.STOPPED).all()
    assert stopped.produced.sum() == 0


def test_a_new_speed_holds_for_the_cycle_under_way():
    plant = VirtualPlant(3)
    run(plant, 60.0)
    before = plant.state.machines.work[PACKER]
    run(plant, 10.0, Inputs(speed_setpoint=np.full(len(MACHINES), 50.0)))
    assert plant.state.machines.work[PACKER] - before == pytest.approx(5.0 / plant.machines.hands[PACKER].usual_s, rel=0.1)


def test_without_wafers_the_stringer_starves_and_in_time_the_whole_line():
    plant = VirtualPlant(1)
    run(plant, 1500, Inputs(loss=5000.0))
    assert plant.state.machines.state[STRINGER] == MachineState.STARVED
    assert plant.state.machines.state[PACKER] == MachineState.STARVED
    assert plant.state.inventory[0] < 0.5
    run(plant, 60)
    assert plant.state.machines.state[STRINGER] == MachineState.RUNNING
    assert plant.state.delivered[0] == 600.0


def test_a_hot_hall_costs_modules():
    """At 31 Cel four times as many modules and more turn defective as at 22.5 (20 % at the most); the flash tester finds them."""

    def rejected(temperature):
        plant = VirtualPlant(5)
        run(plant, 4 * 3600, Inputs(temperature_setpoint=temperature), dt=4.0)
        return plant.state.machines.rejected.sum() / plant.state.machines.produced[LAYUP]

    assert 0.01 < rejected(22.5) < 0.03
    assert rejected(31.0) > 4 * rejected(22.5)
