"""What machines do beside their cycle: batches, splits, merges, rework, crews, maintenance, changeovers, breaks, phases of others."""

from dataclasses import replace

import numpy as np
import pytest

from gateway.model.line import (
    REJECT,
    SINK,
    SIX_PHASES,
    SOURCE,
    Calendar,
    Changeover,
    Crew,
    Edge,
    Line,
    Lot,
    Machine,
    Maintenance,
    PhaseUse,
    PlannedStop,
    Product,
    Quality,
    Reliability,
    Routing,
    Source,
    constant,
    exponential,
    serial,
)
from gateway.simulation.line.faults import LineError
from gateway.simulation.line.phases import PHASES, phase_names, plugged
from gateway.simulation.line.run import execute
from gateway.simulation.line.station import DOWN
from support.lines import NO_ROWS, UNIT, meets, replicate, share


def row(*machines, rooms=None, **more):
    rooms = [2] * (len(machines) - 1) if rooms is None else rooms
    return Line("row", machines, serial([machine.name for machine in machines], rooms), UNIT, **{"duration_s": 100.0, **more})


def states(result, machine):
    """(instant, state) of a machine in the log."""
    rows = zip(result.events["timestamp"], result.events["machine"], result.events["state"], result.events["event_type"], strict=True)
    return [(at, state) for at, name, state, kind in rows if name == machine and kind != "end"]


def test_a_packer_waits_for_its_batch_and_makes_one_case_of_it():
    line = row(
        Machine("filler", constant(1.0)), Machine("packer", constant(3.0), batch_in=12, output="case"), rooms=[None], duration_s=100.5
    )
    summary = execute(line).summary
    assert summary["production"]["tubes_produced"] == 100
    assert summary["production"]["cases_produced"] == summary["production"]["good_pallets"] == 8  # the 96th tube at 96 s, its case at 99
    assert summary["flow"]["good"] == 96.0


def test_a_cutter_makes_several_parts_of_one_and_mass_closes():
    line = row(Machine("saw", constant(5.0), batch_out=3, output="wafer"), Machine("wash", constant(1.0), output="wafer"), duration_s=100.5)
    flow = execute(line).summary["flow"]
    assert execute(line).summary["production"]["made"] == {"wafer": 60}
    assert flow["entered"] == pytest.approx(flow["good"] + flow["wip_last"])
    assert flow["good"] == 19.0  # the last cut is at the washer


def test_an_assembly_takes_from_each_edge_what_it_needs():
    fast, slow = Machine("fast", constant(1.0)), Machine("slow", constant(4.0))
    join = Machine("join", constant(0.5), assembly=True, output="case")
    edges = (Edge(SOURCE, "fast"), Edge(SOURCE, "slow"), Edge("fast", "join", 3), Edge("slow", "join", 3), Edge("join", SINK))
    summary = execute(Line("join", (fast, slow, join), edges, UNIT, duration_s=41.0)).summary
    assert summary["production"]["made"]["case"] == 10  # one for each part of the slow machine
    assert share(summary, "fast", "BLOCKED") > 0.5


@pytest.mark.parametrize(
    ("routing", "expected"),
    [(Routing.PRIORITY, (100, 0)), (Routing.ROUND_ROBIN, (50, 50)), (Routing.MOST_ROOM, None), (Routing.WEIGHTED, None)],
)
def test_a_split_follows_its_routing(routing, expected):
    """Two quick branches: the first by priority takes all; in turn, each takes half; by weight, a quarter goes to the second."""
    first = Machine("first", constant(1.0), routing=routing)
    left, right = Machine("left", constant(0.25)), Machine("right", constant(0.25))
    ways = (Edge("first", "left", 2, weight=3.0), Edge("first", "right", 2, priority=1))
    line = Line("split", (first, left, right), (Edge(SOURCE, "first"), *ways, Edge("left", SINK), Edge("right", SINK)), UNIT)
    machines = execute(replace(line, duration_s=100.9)).summary["machines"]
    made = machines["left"]["made"], machines["right"]["made"]
    if expected:
        assert made == expected
    elif routing is Routing.MOST_ROOM:
        assert sum(made) == 100
    else:
        counts = np.array([execute(replace(line, duration_s=1000.9), seed).summary["machines"]["right"]["made"] for seed in range(10)])
        assert abs(counts.mean() - 250) < 3 * (1000 * 0.25 * 0.75 / 10) ** 0.5


def test_a_merge_of_equal_edges_serves_both_sides():
    left, right, join = Machine("left", constant(1.0)), Machine("right", constant(1.0)), Machine("join", constant(1.0))
    edges = (Edge(SOURCE, "left"), Edge(SOURCE, "right"), Edge("left", "join", 2), Edge("right", "join", 2), Edge("join", SINK))
    machines = execute(Line("merge", (left, right, join), edges, UNIT, duration_s=200.0)).summary["machines"]
    assert abs(machines["left"]["made"] - machines["right"]["made"]) <= 3


def test_found_defects_take_the_edge_that_asks_for_them_and_the_rest_is_rejected():
    inspector = Machine("inspector", constant(1.0), quality=Quality(0.2, 1.0))
    edges = (Edge(SOURCE, "inspector"), Edge("inspector", SINK, None, "not is_defective"), Edge("inspector", REJECT, None, "is_defective"))
    summary = execute(Line("i", (inspector,), edges, UNIT, duration_s=5000.0)).summary
    found = summary["machines"]["inspector"]["defects_detected"]
    assert found == summary["production"]["defective_pallets"] > 800
    assert summary["production"]["pallets_produced"] == summary["machines"]["inspector"]["made"]
    implicit = execute(Line("i", (inspector,), serial(["inspector"], ()), UNIT, duration_s=5000.0)).summary
    assert implicit["production"] == summary["production"]


def test_defects_that_one_machine_makes_are_found_by_the_inspector_behind_it():
    maker = Machine("maker", constant(1.0), quality=Quality(0.1, 0.0))
    inspector = Machine("inspector", constant(0.5), quality=Quality(0.0, 0.8))
    line = row(maker, inspector, duration_s=4000.0, telemetry_interval_s=NO_ROWS)

    def found(summary):
        machines = summary["machines"]
        return [
            machines["inspector"]["defects_detected"] / summary["duration_s"],
            summary["flow"]["defects_escaped"] / summary["duration_s"],
        ]

    meets(replicate(line, found, seed=2), [0.08, 0.02], relative=0.03)


def test_reworked_parts_go_round_and_come_out_good_or_are_given_up():
    """Every part is found defective: it is sent back twice, then scrapped."""
    machine = Machine("m", constant(1.0), quality=Quality(1.0, 1.0))
    edges = (Edge(SOURCE, "m", priority=1), Edge("m", "m", 5, "is_defective and reworks < 2", rework=True), Edge("m", SINK))
    summary = execute(Line("r", (machine,), edges, UNIT, Source(quantity=10), duration_s=100.0)).summary
    assert summary["flow"]["reworked"] == 20
    assert summary["flow"]["scrapped"] == 10.0
    assert summary["machines"]["m"]["made"] == 30


def test_one_crew_repairs_one_machine_at_a_time():
    """Two machines fail at once every 10 s of work, 4 s to repair: with one fitter the second waits for the first."""
    failing = Reliability(constant(10.0), constant(4.0), within_cycle=True)
    machines = [Machine(name, constant(1.0), reliability=failing, crew="fitters") for name in ("a", "b")]
    edges = (Edge(SOURCE, "a"), Edge(SOURCE, "b"), Edge("a", SINK), Edge("b", SINK))
    alone = execute(Line("c", tuple(machines), edges, UNIT, duration_s=18.0, crews=(Crew("fitters"),)))
    assert [at for at, state in states(alone, "a") if state == "DOWN"] == [at for at, state in states(alone, "b") if state == "DOWN"]
    assert alone.summary["machines"]["a"]["time_in_state_s"]["DOWN"] == pytest.approx(4.0)
    assert alone.summary["machines"]["b"]["time_in_state_s"]["DOWN"] == pytest.approx(8.0)
    assert alone.summary["machines"]["b"]["waited_for_crew_s"] == pytest.approx(4.0)
    both = execute(Line("c", tuple(machines), edges, UNIT, duration_s=18.0, crews=(Crew("fitters", 2),)))
    assert both.summary["machines"]["b"]["time_in_state_s"]["DOWN"] == pytest.approx(4.0)


def test_maintenance_by_age_keeps_a_wearing_machine_from_failing():
    """Renewal reward: lives of 100 s of work are never reached where every 50 s of work are followed by maintenance."""
    worn = Machine("m", constant(1.0), reliability=Reliability(constant(100.0), constant(30.0)))
    kept = replace(worn, maintenance=Maintenance("age", 50.0, constant(5.0)))
    summary = execute(row(kept, duration_s=5500.0)).summary
    assert summary["machines"]["m"]["failures"] == 0
    assert share(summary, "m", "MAINTENANCE") == pytest.approx(5 / 55, rel=0.03)
    assert summary["machines"]["m"]["oee"]["availability"] == 1.0  # planned, so outside the planned busy time
    assert execute(row(worn, duration_s=5500.0)).summary["machines"]["m"]["failures"] == 42


def test_a_changeover_comes_with_another_product_and_takes_its_own_time():
    products = (Product("first"), Product("second"))
    machine = Machine("m", constant(1.0), changeover=Changeover(constant(5.0), pairs=(("second", "first", constant(2.0)),)))
    lots = Source(lots=(Lot("first", 3), Lot("second", 2)))
    line = Line("c", (machine,), serial("m", ()), products[0], lots, duration_s=24.5, products=products[1:])
    result = execute(line)
    changes = [(at, state) for at, state in states(result, "m") if state == "CHANGEOVER"]
    assert changes == [(3.0, "CHANGEOVER"), (10.0, "CHANGEOVER"), (15.0, "CHANGEOVER"), (22.0, "CHANGEOVER")]
    assert result.summary["production"]["by_sku"]["second"]["good"] == 4
    assert share(result.summary, "m", "CHANGEOVER") == pytest.approx((5 + 2 + 5 + 2) / 24.5)


def test_a_break_halts_work_repairs_and_waiting_and_what_was_left_follows():
    """A cycle of 10 s that a break of 7 s interrupts after 5 ends 7 s later; the starved machine rests as well."""
    line = row(Machine("a", constant(10.0)), Machine("b", constant(1.0)), duration_s=40.0, calendar=Calendar((PlannedStop(5.0, 12.0),)))
    result = execute(line)
    assert states(result, "a")[:4] == [(0.0, "STARVED"), (0.0, "EXECUTE"), (5.0, "BREAK"), (12.0, "EXECUTE")]
    assert states(result, "b")[:4] == [(0.0, "STARVED"), (5.0, "BREAK"), (12.0, "STARVED"), (17.0, "EXECUTE")]
    own = result.summary["machines"]["a"]
    assert own["oee"]["planned_busy_s"] == 33.0
    assert own["oee"]["availability"] == 1.0


def test_a_calendar_that_repeats_stops_the_line_every_time():
    line = row(Machine("a", constant(1.0)), duration_s=300.0, calendar=Calendar((PlannedStop(80.0, 100.0),), repeat_s=100.0))
    assert share(execute(line).summary, "a", "BREAK") == pytest.approx(0.2)
    warmed = replace(line, warm_up_s=250.0)
    assert share(execute(warmed).summary, "a", "BREAK") == pytest.approx(0.2)


def test_the_end_of_a_source_leaves_the_line_empty_and_starved():
    summary = execute(row(Machine("a", constant(1.0)), Machine("b", constant(2.0)), source=Source(quantity=7), duration_s=50.0)).summary
    assert summary["production"]["good_pallets"] == 7
    assert summary["flow"]["wip_last"] == 0.0


def test_a_phase_of_ones_own_is_registered_by_name_and_takes_options():
    """A warm-up of its tool after every so many cycles, in state DOWN."""

    def heat(station, every=3.0, seconds=1.0):
        done = 0

        def phase():
            nonlocal done
            done += 1
            if done % every:
                return None
            station.enter(DOWN)
            return station.work(seconds)

        return phase

    phases = (SIX_PHASES[0], PhaseUse("heat", (("every", 5.0), ("seconds", 2.5))), *SIX_PHASES[1:])
    PHASES["heat"] = heat
    try:
        summary = execute(row(Machine("m", constant(1.0), phases=phases), duration_s=75.0)).summary
    finally:
        del PHASES["heat"]
    assert share(summary, "m", "DOWN") == pytest.approx(2.5 / 7.5)


def test_a_phase_of_another_package_is_found_by_its_entry_point(tmp_path, monkeypatch):
    """Once installed it is listed with the others; one that cannot be loaded is refused by its place."""
    about = tmp_path / "acme_phases-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-phases\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[edgetwin.line_phases]\nrinse = acme_phases:rinse\nbroken = acme_phases:nothing\n")
    (tmp_path / "acme_phases.py").write_text(
        "def rinse(station, seconds=1.0):\n    return lambda: station.work(seconds)\n",
    )
    monkeypatch.syspath_prepend(tmp_path)
    plugged.cache_clear()
    try:
        assert "rinse" in phase_names()
        rinsed = (*SIX_PHASES, PhaseUse("rinse", (("seconds", 2.0),)))
        summary = execute(row(Machine("m", constant(1.0), phases=rinsed), duration_s=30.5)).summary
        assert summary["production"]["good_pallets"] == 10
        with pytest.raises(LineError, match="broken of acme_phases:nothing cannot be loaded"):
            execute(row(Machine("m", constant(1.0), phases=(*SIX_PHASES, PhaseUse("broken")))))
    finally:
        plugged.cache_clear()


def test_scrap_before_the_end_costs_its_share_of_material():
    """12 tubes make a case: a tube scrapped before packing costs a twelfth of a case's material."""
    filler = Machine("filler", constant(1.0), quality=Quality(0.25, 1.0))
    packer = Machine("packer", constant(1.0), batch_in=12, output="case")
    line = row(filler, packer, rooms=[None], duration_s=1000.0)
    summary = execute(line).summary
    scrapped = summary["flow"]["scrapped"]
    assert summary["economics"]["material_cost"] == pytest.approx(
        0.5 * (summary["production"]["pallets_produced"] + scrapped / 12), abs=1e-5
    )


def test_common_random_numbers_keep_the_other_machines_chance():
    """Another buffer, another speed elsewhere: the first machine's cycles, failures and repairs are the same to the last bit."""
    first = Machine("a", exponential(1.0), reliability=Reliability(exponential(50.0), exponential(5.0)))
    base = execute(row(first, Machine("b", exponential(0.1)), rooms=[None]), 3)
    other = execute(row(first, Machine("c", exponential(0.3)), rooms=[None]), 3)
    assert states(base, "a") == states(other, "a")
    assert base.summary["machines"]["a"] == other.summary["machines"]["a"]
