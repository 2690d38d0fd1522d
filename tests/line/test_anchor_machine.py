"""One machine that is never starved or blocked: availability, the six phases, their money, and the factors of ISO 22400-2."""

import math

import numpy as np
import pytest

from gateway.model.line import (
    Line,
    Machine,
    MachineState,
    Performance,
    Product,
    Quality,
    Rates,
    Reliability,
    constant,
    exponential,
    serial,
)
from gateway.simulation.line.oee import busy_times, oee
from gateway.simulation.line.run import execute
from support.lines import meets, replicate, share


def six_phases(cycle=10.0, mtbf=3600.0, mttr=300.0, jam=0.02, jam_s=15.0, defect=0.03, detect=0.9, *, hours=8.0, speed=1.0):
    machine = Machine(
        "m",
        constant(cycle),
        reliability=Reliability(exponential(mtbf), exponential(mttr)),
        performance=Performance(jam, constant(jam_s), speed),
        quality=Quality(defect, detect),
        rates=Rates(40.0, 35.0, 25.0),
    )
    return Line("r2", (machine,), serial("m", ()), Product("unit", material_cost=0.5, selling_price=1.2), duration_s=hours * 3600)


def closed_form(cycle, mtbf, mttr, jam, jam_s, defect, detect):
    """Of one cycle: it fails with 1 - exp(-c/MTBF), at most once, and jams with j."""
    fails = -math.expm1(-cycle / mtbf)
    up = cycle + jam * jam_s
    whole = up + fails * mttr
    quality = 1 - defect * detect
    return {"a": up / whole, "p": cycle / up, "q": quality, "oee": cycle * quality / whole, "per_hour": 3600 * quality / whole}


@pytest.mark.parametrize(
    "numbers",
    [(10.0, 3600.0, 300.0, 0.02, 15.0, 0.03, 0.9), (40.0, 200.0, 90.0, 0.1, 25.0, 0.2, 0.5), (20.0, 400.0, 40.0, 0.3, 8.0, 0.1, 1.0)],
)
def test_the_six_phases_give_the_oee_of_the_closed_form(numbers):
    exact = closed_form(*numbers)
    if numbers[1] == 3600.0:
        assert [exact[name] for name in ("a", "p", "q", "oee", "per_hour")] == pytest.approx(
            [0.925246, 0.970874, 0.973, 0.874043, 314.655], abs=6e-4
        )

    def figures(summary):
        own = summary["machines"]["m"]["oee"]
        return [*(own[name] for name in ("availability", "performance", "quality", "oee")), summary["production"]["good_per_hour"]]

    samples = replicate(six_phases(*numbers, hours=25.0), figures, seed=3)
    meets(samples, [exact[name] for name in ("a", "p", "q", "oee", "per_hour")])


def test_the_line_of_one_machine_has_that_machines_oee():
    summary = execute(six_phases(), 5).summary
    assert summary["oee"]["oee"] == pytest.approx(summary["machines"]["m"]["oee"]["oee"])
    assert summary["oee"]["availability"] == summary["machines"]["m"]["oee"]["availability"]


def test_a_shift_earns_what_the_closed_form_expects():
    """8 h: 2587.0951 units, 2517.2435 good; material of all units, revenue of the good ones, conversion by the clock."""

    def figures(summary):
        money = summary["economics"]
        return [money["material_cost"], money["revenue"], money["gross_margin"], summary["production"]["pallets_produced"]]

    samples = replicate(six_phases(), figures, runs=60, seed=8)
    meets(samples[:, [0, 1, 3]], [1293.5475, 3020.6922, 2587.0951])
    meets(samples[:, 2:3], 927.1447, relative=0.03)  # what is left of two large amounts
    summary = execute(six_phases(), 8).summary
    assert summary["economics"]["conversion_cost"] == 800.0
    money = summary["economics"]
    assert money["gross_margin"] == money["revenue"] - money["material_cost"] - money["conversion_cost"]


def test_a_machine_that_runs_below_its_speed_loses_performance_alone():
    summary = execute(six_phases(mtbf=1e12, jam=0.0, defect=0.0, speed=0.8), 1).summary
    own = summary["machines"]["m"]["oee"]
    assert own["availability"] == own["quality"] == 1.0
    assert own["performance"] == pytest.approx(0.8, abs=1e-3)
    assert summary["production"]["pallets_produced"] == 8 * 3600 // 12.5 - 1  # the last one is ready at the very end


@pytest.mark.parametrize("at", [1.0, 20.0, 200.0])
def test_availability_after_a_start_goes_to_its_limit_exponentially(at):
    """Time-dependent failures, MTBF 100, MTTR 5: A(t) = mu/(l+mu) + l/(l+mu) e^-(l+mu)t, counted over many starts at one instant."""
    fail, mend = 1 / 100, 1 / 5
    exact = mend / (fail + mend) + fail / (fail + mend) * math.exp(-(fail + mend) * at)
    machine = Machine("m", constant(0.7), reliability=Reliability(exponential(100.0), exponential(5.0), "time"))
    line = Line("r1", (machine,), serial("m", ()), Product("unit"), duration_s=at)
    starts = 1000 if at < 50 else 500
    up = np.array([execute(line, 4, replication=run).telemetry["state_m"][-1] != "DOWN" for run in range(starts)])
    assert abs(up.mean() - exact) <= 3 * math.sqrt(exact * (1 - exact) / starts)


def test_availability_in_the_long_run_is_mtbf_over_mtbf_and_mttr():
    machine = Machine("m", constant(5.0), reliability=Reliability(exponential(100.0), exponential(5.0), "time"))
    line = Line("r1", (machine,), serial("m", ()), Product("unit"), duration_s=8000.0, telemetry_interval_s=1e9)
    meets(replicate(line, lambda s: 1 - share(s, "m", "DOWN"), seed=1), 100 / 105)


def test_the_factors_are_those_of_iso_22400():
    """A shift of 480 min with 60 of breaks and 47 down at 60 parts a minute: 19271 made, 423 rejected."""
    spent = {MachineState.EXECUTE: 373 * 60.0, MachineState.DOWN: 47 * 60.0, MachineState.BREAK: 60 * 60.0}
    busy, production = busy_times(spent)
    found = oee(busy, production, 1.0, 19271, 19271 - 423)
    assert [found.availability, found.performance, found.quality, found.oee] == pytest.approx(
        [0.888095, 0.861081, 0.978050, 0.747937], abs=1e-6
    )


def test_waiting_and_jams_are_losses_of_performance_and_changeovers_of_availability():
    seconds = dict.fromkeys(MachineState, 10.0)
    assert busy_times(seconds) == (60.0, 40.0)


def test_where_nothing_ran_no_share_is_made_up():
    found = oee(0.0, 0.0, 1.0, 0, 0)
    assert all(math.isnan(value) for value in (found.availability, found.performance, found.quality, found.oee))
