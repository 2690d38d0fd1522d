"""What is no line is refused, with the machine or edge and the value that is wrong."""

from dataclasses import replace

import pytest

from gateway.model.line import (
    REJECT,
    SINK,
    SOURCE,
    Calendar,
    Changeover,
    Crew,
    Edge,
    Line,
    Lot,
    Machine,
    Maintenance,
    Performance,
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
from gateway.simulation.line.ideal import pace, visits
from gateway.simulation.line.run import execute
from gateway.simulation.line.topology import checked, order, units_per_part

A, B, C = (Machine(name, constant(1.0)) for name in "ABC")
ROW = Line("row", (A, B, C), serial("ABC", (2, 2)), Product("p"), duration_s=30.0)


def edges(*pairs):
    return tuple(pair if isinstance(pair, Edge) else Edge(*pair) for pair in pairs)


FAULTS = [
    (replace(ROW, edges=serial("ABX", (2, 2))), "", ("B", "X"), "target", "there is no machine 'X'"),
    (replace(ROW, edges=(*ROW.edges, Edge("Y", "C"))), "", ("Y", "C"), "origin", "there is no machine 'Y'"),
    (replace(ROW, edges=(*ROW.edges, Edge("C", "A", 3, "is_defective"))), "", None, "rework", "in a circle"),
    (replace(ROW, edges=edges((SOURCE, "A"), ("A", SINK), ("B", "C"), ("C", SINK))), "B", None, "", "no part ever reaches it"),
    (replace(ROW, edges=edges((SOURCE, "A"), ("A", "B"), ("A", SINK), ("A", "C"), ("C", SINK))), "B", None, "", "nothing leads on"),
    (replace(ROW, edges=ROW.edges[1:]), "", None, "", "no edge comes from the source"),
    (replace(ROW, edges=ROW.edges[:-1]), "", None, "", "no edge leads to the sink"),
    (replace(ROW, edges=(*ROW.edges, ROW.edges[1])), "", ("A", "B"), "", "declared twice"),
    (replace(ROW, edges=edges((SOURCE, "A"), ("A", "B", -1), ("B", "C"), ("C", SINK))), "", ("A", "B"), "capacity", "-1 places"),
    (replace(ROW, edges=(*ROW.edges[:3], Edge("C", SINK, None, "is_bad"))), "", ("C", SINK), "condition", "is_bad"),
    (replace(ROW, edges=(*ROW.edges[:3], Edge("C", SINK, None, "is_defective"))), "C", None, "", "a good part has no way on"),
    (replace(ROW, machines=(A, B, A)), "A", None, "name", "two machines"),
    (replace(ROW, machines=(replace(A, performance=Performance(jam_prob=1.5)), B, C)), "A", None, "jam_prob", "jam_prob is 1.5"),
    (replace(ROW, machines=(replace(A, quality=Quality(-0.1)), B, C)), "A", None, "defect_rate", "defect_rate is -0.1"),
    (replace(ROW, machines=(A, replace(B, batch_in=0), C)), "B", None, "batch_in", "batch_in is 0"),
    (replace(ROW, machines=(A, replace(B, crew="nobody"), C)), "B", None, "crew", "no crew 'nobody'"),
    (replace(ROW, machines=(A, replace(B, performance=Performance(speed=0.0)), C)), "B", None, "speed", "speed is 0"),
    (replace(ROW, machines=(A, replace(B, phases=(PhaseUse("execute"),)), C)), "B", None, "phases", "collect 0 times"),
    (replace(ROW, machines=(A, replace(B, phases=(PhaseUse("collect"), PhaseUse("transform"))), C)), "B", None, "phases", "takes time"),
    (replace(ROW, duration_s=0.0), "", None, "duration_s", "duration_s is 0"),
    (replace(ROW, telemetry_interval_s=-5.0), "", None, "telemetry_interval_s", "is -5"),
    (replace(ROW, warm_up_s=-1.0), "", None, "warm_up_s", "-1"),
    (replace(ROW, start="tomorrow"), "", None, "start", "tomorrow"),
    (replace(ROW, source=Source(lots=(Lot("q", 5),))), "", None, "lots", "no product 'q'"),
    (replace(ROW, calendar=Calendar((PlannedStop(5.0, 4.0),))), "", None, "calendar", "from 5 to 4 s"),
    (replace(ROW, calendar=Calendar((PlannedStop(0.0, 4.0), PlannedStop(3.0, 9.0)))), "", None, "calendar", "overlap"),
    (replace(ROW, crews=(Crew("fitters", 0),)), "", None, "crews", "0 people"),
    (replace(ROW, machines=(replace(A, maintenance=Maintenance("age", 0.0, constant(1.0))), B, C)), "A", None, "after_s", "after_s is 0"),
    (
        replace(ROW, machines=(replace(A, changeover=Changeover(constant(1.0), pairs=(("p", "q", constant(2.0)),))), B, C)),
        "A",
        None,
        "changeover",
        "'q'",
    ),
]


@pytest.mark.parametrize(("line", "node", "edge", "field", "why"), FAULTS, ids=[fault[4] for fault in FAULTS])
def test_each_fault_is_named_with_its_place(line, node, edge, field, why):
    with pytest.raises(LineError, match=why.replace("(", r"\(")) as caught:
        checked(line)
    assert caught.value.node == node
    assert caught.value.field == field
    if edge:
        assert caught.value.edge == edge


def test_a_circle_names_its_machines_and_the_edge_that_closes_it():
    with pytest.raises(LineError, match="rework: true") as caught:
        checked(replace(ROW, edges=(*ROW.edges, Edge("C", "A", 3, "is_defective"))))
    assert caught.value.edge in {("A", "B"), ("B", "C"), ("C", "A")}


def test_the_same_circle_as_rework_is_a_line():
    assert checked(replace(ROW, edges=(*ROW.edges, Edge("C", "A", 3, "is_defective", rework=True))))


def test_a_phase_that_is_not_there_is_named_with_those_that_are():
    line = replace(ROW, machines=(replace(A, phases=(PhaseUse("collect"), PhaseUse("paint"))), B, C))
    with pytest.raises(LineError, match=r"no phase 'paint' \(one of collect, .*inspect") as caught:
        execute(line)
    assert caught.value.node == "A"


def test_an_option_that_a_phase_does_not_take_is_named():
    line = replace(ROW, machines=(replace(A, phases=(PhaseUse("collect"), PhaseUse("execute", (("colour", "red"),)))), B, C))
    with pytest.raises(LineError, match="colour"):
        execute(line)


def test_shares_of_flow_and_ideal_times_follow_packing_and_splits():
    """Two parallel machines of 1 s behind a source of tubes, then a packer of 12 s for 12 tubes: each branch sees half of the tubes."""
    machines = (A, B, replace(C, cycle_time_sec=exponential(12.0), batch_in=12, output="case"))
    line = replace(ROW, machines=machines, edges=edges((SOURCE, "A"), (SOURCE, "B"), ("A", "C", 4), ("B", "C", 4), ("C", SINK)))
    assert order(line)[-1] == "C"
    assert units_per_part(line) == {"A": 1.0, "B": 1.0, "C": 12.0}
    assert visits(line) == pytest.approx({"A": 0.5, "B": 0.5, "C": 1.0})
    assert (pace(line).seconds, pace(line).slowest) == (1.0, {"C": 1.0})


DIAMOND = Line(
    "diamond",
    tuple(Machine(name, constant(cycle_s)) for name, cycle_s in (("in", 1.0), ("two", 2.0), ("three", 3.0), ("out", 1.0))),
    edges((SOURCE, "in"), ("in", "two", 5), ("in", "three", 5), ("two", "out", 3), ("three", "out", 3), ("out", SINK)),
    Product("part"),
    duration_s=36_000.0,
)


@pytest.mark.parametrize("routing", [Routing.PRIORITY, Routing.ROUND_ROBIN, Routing.MOST_ROOM])
def test_machines_beside_each_other_make_what_they_can_together_and_the_oee_of_their_line_is_no_more_than_one(routing):
    """2 s beside 3 s are 1/2 + 1/3 = 5/6 parts in a second: 1.2 s for one, of which the faster machine makes 0.6."""
    line = replace(DIAMOND, machines=(replace(DIAMOND.machines[0], routing=routing), *DIAMOND.machines[1:]))
    assert visits(line) == pytest.approx({"in": 1.0, "two": 0.6, "three": 0.4, "out": 1.0})
    assert pace(line).seconds == pytest.approx(1.2)
    assert pace(line).slowest == pytest.approx({"two": 0.6, "three": 0.4})
    came = execute(line, events=False).summary
    assert came["oee"]["oee"] == pytest.approx(1.2 * came["flow"]["good"] / 36_000.0)
    assert 0.998 < came["oee"]["oee"] <= 1.0


def test_the_availability_of_machines_beside_each_other_is_their_mean_by_what_they_make():
    """One of the two is down half of its time; the other one goes on, and no factor of the line's OEE is above 1."""
    fails = Reliability(constant(50.0), constant(50.0), within_cycle=True)
    two = replace(DIAMOND.machines[1], reliability=fails)
    line = replace(DIAMOND, machines=(DIAMOND.machines[0], two, *DIAMOND.machines[2:]))
    found = execute(line, events=False).summary["oee"]
    assert found["availability"] == pytest.approx(0.6 * 0.5 + 0.4, abs=0.002)
    assert found["oee"] == pytest.approx((0.25 + 1 / 3) / (5 / 6), rel=0.01)
    assert max(found["availability"], found["performance"], found["quality"], found["oee"]) <= 1.0


def test_a_split_by_weight_shares_by_weight_whatever_its_machines_can():
    first = replace(DIAMOND.machines[0], routing=Routing.WEIGHTED)
    line = replace(DIAMOND, machines=(first, *DIAMOND.machines[1:]))
    ways = tuple(replace(edge, weight=3.0) if edge.target == "two" else edge for edge in line.edges)
    assert visits(replace(line, edges=ways)) == pytest.approx({"in": 1.0, "two": 0.75, "three": 0.25, "out": 1.0})
    assert pace(replace(line, edges=ways)).slowest == {"two": 1.0}


def test_an_assembly_takes_from_its_branches_in_their_proportion():
    """Two caps and one body a piece, of raw parts from one source: two thirds of them are caps."""
    machines = (Machine("caps", constant(1.0), batch_in=2), Machine("bodies", constant(1.0)), Machine("join", constant(1.5), assembly=True))
    line = replace(
        DIAMOND,
        machines=machines,
        edges=edges((SOURCE, "caps"), (SOURCE, "bodies"), ("caps", "join", 4), ("bodies", "join", 4), ("join", SINK)),
    )
    assert visits(line) == pytest.approx({"caps": 2 / 3, "bodies": 1 / 3, "join": 1.0})
    assert pace(line).slowest == {"join": 1.0}


def test_a_dead_end_into_reject_is_a_way_out():
    line = replace(ROW, edges=(*ROW.edges, Edge("A", REJECT, None, "is_defective")))
    assert checked(line) is line
