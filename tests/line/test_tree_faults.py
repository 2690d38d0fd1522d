# ruff: noqa: E501 - a fault is one line, as it is printed
"""What is wrong in a configuration tree is named by file, line, column and key, with what would be right; all of it at once."""

import pytest

from gateway.settings import SettingsError
from gateway.settings.line import load_line
from support.line_tree import edited, planted

MILL, PRESS, PAIR, RUN, BASE, JAR = (
    "equipment/mill.yaml",
    "equipment/press.yaml",
    "topologies/pair.yaml",
    "runs/short.yaml",
    "scenarios/base.yaml",
    "products/jar.yaml",
)
GRAPH = """name: pair
nodes:
  - {name: Mill, output_type: Tube}
  - {name: Press, output_type: Case}
edges:
  - {source: _source, target: Mill}
  - {source: Mill, target: Press}
  - {source: Press, target: _sink}
"""


def faults(folder, changes, **asked):
    """Each fault as a line, the folder's name left out."""
    with pytest.raises(SettingsError) as found:
        load_line("short", planted(folder, changes), **asked)
    return str(found.value).replace(f"{folder}/", "").splitlines()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        # references
        (edited(RUN, "base", "bse"), "runs/short.yaml:2:11: run.scenario: there is no scenario 'bse' in scenarios (did you mean base?)"),
        (edited(RUN, "jar", "jam"), "runs/short.yaml:3:10: run.product: there is no product 'jam' in products (did you mean jar?)"),
        (edited(RUN, "product: jar\n", ""), "runs/short.yaml:1:1: run.product: is missing (known: jar)"),
        ({JAR: None}, "runs/short.yaml:3:10: run.product: there is no product 'jar' in products (products holds no file)"),
        (
            edited(BASE, "pair", "pear"),
            "scenarios/base.yaml:2:11: scenario.topology: there is no topology 'pear' in topologies (did you mean pair?)",
        ),
        (edited(BASE, "topology: pair\n", ""), "scenarios/base.yaml:1:1: scenario.topology: is missing (known: pair)"),
        ({PRESS: None}, "topologies/pair.yaml:4:12: equipment.Press: there is no equipment 'Press' in equipment (known: Mill)"),
        (
            edited(PAIR, "name: Press", "name: Pres"),
            "topologies/pair.yaml:4:12: equipment.Pres: there is no equipment 'Pres' in equipment (did you mean Press?)",
        ),
        (
            {BASE: "name: base\ntopology: pair\nbehavior: x\n"},
            "scenarios/base.yaml:3:11: scenario.behavior: there is no behavior 'x' in behaviors (behaviors holds no file)",
        ),
        (
            {PAIR: "name: pair\nsource: x\nstations: [Mill]\n"},
            "topologies/pair.yaml:2:9: topology.source: there is no source 'x' in sources (sources holds no file)",
        ),
        (
            {BASE: "name: base\ntopology: pair\nequipment: {Mil: Press}\n"},
            "scenarios/base.yaml:3:13: scenario.equipment.Mil: the topology has no machine 'Mil' (did you mean Mill?)",
        ),
        (
            {BASE: "name: base\ntopology: pair\nequipment: [Mill, Press, Saw]\n"},
            "scenarios/base.yaml:3:26: scenario.equipment[2]: the topology has no machine 'Saw' (known: Mill, Press)",
        ),
        # cycles
        (
            {BASE: "name: base\nbase: other\n", "scenarios/other.yaml": "name: other\nbase: base\ntopology: pair\n"},
            "scenarios/other.yaml:2:7: scenario.base: the scenarios are based on each other: base -> other -> base (remove one of these lines)",
        ),
        (
            {"constants.yaml": "A: ${B}\nB: 2${A}\n"},
            "constants.yaml:1:4: A: the constants name each other: A -> B -> A (give one of them a value)",
        ),
        # numbers
        (
            edited(MILL, "mtbf_min: 600", "mtbf_min: 1000"),
            "equipment/mill.yaml:5:13: equipment.Mill.reliability.mtbf_min: 1000 is greater than mtbf_max 900 (exchange them)",
        ),
        (
            edited(MILL, "mttr_min: 60", "mttr_min: 2min"),
            "equipment/mill.yaml:7:13: equipment.Mill.reliability.mttr_min: 2min is greater than mttr_max 90 (exchange them)",
        ),
        (
            edited(MILL, "mttr_min: 60", "mttr_min: -60"),
            "equipment/mill.yaml:7:13: equipment.Mill.reliability.mttr_min: '-60' is out of bounds: a time is not negative",
        ),
        (
            edited(MILL, "mttr_min: 60", "mttr_min: -5min"),
            "equipment/mill.yaml:7:13: equipment.Mill.reliability.mttr_min: '-5min' is out of bounds: a time is not negative",
        ),
        (
            edited(MILL, "jam_time_sec: 15", "jam_time_sec: -1"),
            "equipment/mill.yaml:11:17: equipment.Mill.performance.jam_time_sec: '-1' is out of bounds: a time is not negative",
        ),
        (
            edited(MILL, "jam_time_sec: 15", "jam_time_sec: .nan"),
            "equipment/mill.yaml:11:17: equipment.Mill.performance.jam_time_sec: '.nan' is not finite",
        ),
        (
            edited(MILL, "jam_prob: 0.02", "jam_prob: 1.2"),
            "equipment/mill.yaml:10:13: equipment.Mill.performance.jam_prob: '1.2' is out of bounds: a share lies between 0 and 1",
        ),
        (
            edited(MILL, "defect_rate: 0.03", "defect_rate: -0.1"),
            "equipment/mill.yaml:13:16: equipment.Mill.quality.defect_rate: '-0.1' is out of bounds: a share lies between 0 and 1",
        ),
        (edited(PRESS, "0.9", "high"), "equipment/press.yaml:4:19: equipment.Press.quality.detection_prob: should be a number, not 'high'"),
        (edited(PRESS, "400", "0"), "equipment/press.yaml:2:6: equipment.Press.uph: '0' is out of bounds: must be greater than 0"),
        (edited(PRESS, "400", ".inf"), "equipment/press.yaml:2:6: equipment.Press.uph: should be a number, not '.inf'"),
        (edited(PRESS, "uph: 400\n", ""), "equipment/press.yaml:1:1: equipment.Press.uph: is missing (cycles per hour; or cycle_time_sec)"),
        (
            edited(MILL, "buffer_capacity: 5", "buffer_capacity: -1"),
            "equipment/mill.yaml:3:18: equipment.Mill.buffer_capacity: should be a whole number from 0 on, or unlimited, not '-1'",
        ),
        (
            edited(PAIR, "batch_in: 2", "batch_in: 0"),
            "topologies/pair.yaml:4:29: equipment.Press.batch_in: should be a whole number from 1 to 100000, not '0'",
        ),
        (edited(RUN, "1h", "-1h"), "runs/short.yaml:4:11: run.duration: '-1h' is out of bounds: a time is not negative"),
        (
            edited(RUN, "duration: 1h", "duration_hours: -1"),
            "runs/short.yaml:4:17: run.duration: '-1' is out of bounds: a time is not negative",
        ),
        (
            edited(RUN, "seed: 7", "seed: -7"),
            "runs/short.yaml:5:7: run.seed: should be a whole number from 0 to 9223372036854775807, not '-7'",
        ),
        (edited(JAR, "0.5", "-0.5"), "products/jar.yaml:2:16: product.material_cost: '-0.5' is out of bounds: is not negative"),
        (
            edited(PAIR, "batch_in: 2", "batch_out: 100001"),
            "topologies/pair.yaml:4:30: equipment.Press.batch_out: should be a whole number from 1 to 100000, not '100001'",
        ),
        (
            edited(RUN, "seed: 7", "start_time: yesterday"),
            "runs/short.yaml:5:13: run.start_time: 'yesterday' is not a time (write 2025-01-06T06:00:00Z)",
        ),
        (
            edited(RUN, "seed: 7", "start_time: 9999-01-01"),
            "runs/short.yaml:5:13: run.start_time: '9999-01-01' is out of bounds (from 1970 until 2200)",
        ),
        (
            edited(RUN, "seed: 7", "telemetry_interval: 1ms"),
            "runs/short.yaml:5:21: run.telemetry_interval: makes more than 1000000 rows of the duration (make it longer)",
        ),
        (
            edited(RUN, "seed: 7", "calendar: {stops: [{from: 2h, to: 1h}]}"),
            "runs/short.yaml:5:35: run.calendar.stops[0].to: is not after from",
        ),
        (
            edited(RUN, "seed: 7", "calendar: {stops: [{from: 1h, to: 3h}, {from: 2h, to: 4h}]}"),
            "runs/short.yaml:5:11: run.calendar: two stops of Mill overlap at 7200 s (one ends before the next starts)",
        ),
        (
            edited(MILL, "uph: 600", "uph: 600\ncrew: fitters"),
            "equipment/mill.yaml:3:7: equipment.Mill.crew: there is no crew 'fitters' (declare it in topology.crews)",
        ),
        # distributions
        (
            edited(PRESS, "uph: 400", "cycle_time_sec: {weibul: {shape: 2, scale: 9}}"),
            "equipment/press.yaml:2:17: equipment.Press.cycle_time_sec: names no distribution (known: deterministic, empirical, erlang, exponential, gamma, geometric, lognormal, normal, triangular, uniform, weibull)",
        ),
        (
            edited(PRESS, "uph: 400", "cycle_time_sec: {uniform: {min: 9, max: 5}}"),
            "equipment/press.yaml:2:17: equipment.Press.cycle_time_sec: uniform(min 9, max 5) is no distribution of a time: min is greater than max",
        ),
        # keys
        (
            edited(MILL, "buffer_capacity", "buffer_capacty"),
            "equipment/mill.yaml:3:1: equipment.Mill.buffer_capacty: is not a known key (did you mean buffer_capacity?)",
        ),
        (
            edited(MILL, "jam_prob", "jam_probe"),
            "equipment/mill.yaml:10:3: equipment.Mill.performance.jam_probe: is not a known key (did you mean jam_prob?)",
        ),
        (
            {BASE: "name: base\ntopology: pair\nbehavior: {phases: [colect]}\n"},
            "scenarios/base.yaml:3:21: behavior.phases[0].name: there is no phase 'colect' (did you mean collect?)",
        ),
        ({"defaults.yaml": "equip: {}\n"}, "defaults.yaml:1:1: equip: is not a known key (did you mean equipment?)"),
        (
            {BASE: "name: base\ntopology: pair\noverrides: {Mil.uph: 4}\n"},
            "scenarios/base.yaml:3:13: scenario.overrides.Mil.uph: there is no machine or section 'Mil' (did you mean Mill?)",
        ),
        (
            {BASE: "name: base\ntopology: pair\noverrides: {Mill: {uhp: 4}}\n"},
            "scenarios/base.yaml:3:20: equipment.Mill.uhp: is not a known key (did you mean uph?)",
        ),
        (
            {BASE: "name: base\ntopology: pair\noverrides: {topology.stations.7.batch_in: 4}\n"},
            "scenarios/base.yaml:3:13: scenario.overrides.topology.stations.7.batch_in: there is no element '7' (known: Mill, Press)",
        ),
        (
            edited(RUN, "seed: 7", "seed: ${SEDE}") | {"constants.yaml": "SEED: 7\n"},
            "runs/short.yaml:5:7: seed: there is no constant SEDE (did you mean SEED?)",
        ),
        # the graph
        (
            {PAIR: GRAPH.replace("target: Press", "target: Pres")},
            "topologies/pair.yaml:7:28: topology.edges[1].target: there is no machine 'Pres' (did you mean Press?)",
        ),
        (
            {PAIR: GRAPH.replace("source: Press", "source: _sink")},
            "topologies/pair.yaml:8:14: topology.edges[2].source: nothing leaves _sink (known: Mill, Press, _source)",
        ),
        (
            {PAIR: GRAPH.replace("target: Press}", "target: Press, condition: is_defectiv}")},
            "topologies/pair.yaml:7:46: topology.edges[1].condition: 'is_defectiv', character 1: there is no tag 'is_defectiv' (did you mean is_defective?)",
        ),
        (
            {PAIR: GRAPH + "  - {source: Mill, target: Press}\n"},
            "topologies/pair.yaml:9:5: topology.edges[3]: Mill -> Press stands twice (keep one of them)",
        ),
        (
            {PAIR: GRAPH.replace("edges:", "  - {name: Mill}\nedges:")},
            "topologies/pair.yaml:5:12: topology.nodes[2].name: Mill stands twice (first at topologies/pair.yaml:3:5)",
        ),
        (
            {PAIR: GRAPH + "  - {source: Press, target: Mill}\n"},
            "topologies/pair.yaml:9:5: topology.edges[3]: the edges go round in a circle: Mill -> Press -> Mill (mark the edge that leads back with rework: true)",
        ),
        (
            {PAIR: GRAPH.replace("  - {source: Mill, target: Press}\n", "")},
            "topologies/pair.yaml:3:5: equipment.Mill: nothing leads on from it (an edge to another machine, _sink or _reject)",
        ),
        (
            {PAIR: GRAPH.replace("target: _sink", "target: _reject")},
            "topologies/pair.yaml:1:1: topology: no edge leads to the sink (an edge from the last machine to _sink)",
        ),
        (
            {PAIR: GRAPH.replace("edges:", "  - {name: Saw, uph: 3}\nedges:") + "  - {source: Saw, target: Press}\n"},
            "topologies/pair.yaml:5:5: equipment.Saw: no part ever reaches it from the source (an edge that leads to it)",
        ),
        # files
        (
            edited(MILL, "uph: 600", "uph: [600"),
            "equipment/mill.yaml:3:16: is not YAML: did not find expected ',' or ']' while parsing a flow sequence (check indentation, quotes and brackets)",
        ),
        (
            {"equipment/mill2.yaml": "name: Mill\nuph: 3\n"},
            "topologies/pair.yaml:3:12: equipment.Mill: 'Mill' is the name of mill.yaml and mill2.yaml (give each equipment a name of its own)",
        ),
        ({RUN: ""}, "runs/short.yaml:1:1: is empty"),
    ],
)
def test_a_fault_stands_with_its_place_and_what_would_be_right(tmp_path, changes, said):
    found = faults(tmp_path, changes)
    assert said in [line.replace(f"in {tmp_path}/", "in ").replace(f"({tmp_path}/", "(") for line in found]
    assert len(found) == 1, found


def test_all_faults_of_all_files_are_listed_at_once(tmp_path):
    changes = edited(MILL, "jam_prob: 0.02", "jam_prob: 2") | edited(PRESS, "0.9", "9") | edited(RUN, "1h", "0")
    assert [line.split(": ")[1] for line in faults(tmp_path, changes)] == [
        "equipment.Mill.performance.jam_prob",
        "equipment.Press.quality.detection_prob",
        "run.duration",
    ]


def test_a_command_lines_override_is_named_by_its_option(tmp_path):
    assert faults(tmp_path, {}, sets=["Mill.quality.defect_rate=3"]) == [
        "--set Mill.quality.defect_rate:1:1: equipment.Mill.quality.defect_rate: '3' is out of bounds: a share lies between 0 and 1"
    ]
    assert faults(tmp_path, {}, sets=["Mil.uph=3"]) == [
        "--set Mil.uph:1:1: Mil.uph: there is no machine or section 'Mil' (did you mean Mill?)"
    ]
    assert faults(tmp_path, {}, sets=["Mill.uph"]) == ["--set Mill.uph:1:1: is no override (write --set Filler.buffer_capacity=500)"]


def test_an_unknown_run_names_the_nearest(tmp_path):
    with pytest.raises(SettingsError, match=r"runs:1:1: there is no run 'shot' in .*runs \(did you mean short\?\)"):
        load_line("shot", planted(tmp_path))


def test_a_faulty_file_that_the_run_does_not_use_does_not_stop_it(tmp_path):
    load_line("short", planted(tmp_path, {"equipment/saw.yaml": "uph: [\n", "runs/other.yaml": "name: {}\n"}))


def test_a_tree_that_is_no_folder(tmp_path):
    from gateway.settings.line import config_dir

    with pytest.raises(SettingsError, match="there is no such folder"):
        config_dir(tmp_path / "nowhere")
