"""A configuration tree becomes one frozen line: references, defaults, constants and overrides; its snapshot reads back."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.line import (
    Calendar,
    Changeover,
    Crew,
    Distribution,
    Edge,
    Line,
    Lot,
    Maintenance,
    PhaseUse,
    PlannedStop,
    Product,
    Rates,
    Routing,
    between,
    constant,
    exponential,
    serial,
)
from gateway.settings import SettingsError
from gateway.settings.line import Variant, config_dir, dump, listing, load_line, load_lines, load_snapshot, shipped
from support.line_tree import edited, planted

RUN, BASE, PAIR, MILL = "runs/short.yaml", "scenarios/base.yaml", "topologies/pair.yaml", "equipment/mill.yaml"


def loaded(folder, changes=None, *sets, **asked) -> Line:
    return load_line("short", planted(folder, changes), sets=sets, **asked)


def overridden(text) -> dict:
    return {BASE: f"name: base\ntopology: pair\noverrides:\n{text}"}


def test_a_linear_line(tmp_path):
    line = loaded(tmp_path)
    mill, press = line.machines
    assert (line.name, line.scenario, line.duration_s, line.seed) == ("short", "base", 3600.0, 7)
    assert line.edges == serial(["Mill", "Press"], [5])
    assert (mill.cycle_time_sec, mill.output, mill.batch_in) == (constant(6.0), "tube", 1)
    assert mill.reliability is not None
    assert (mill.reliability.mtbf, mill.reliability.mttr) == (between(600, 900), between(60, 90))
    assert (mill.performance.jam_prob, mill.performance.jam_time_sec, mill.quality.defect_rate) == (0.02, constant(15), 0.03)
    assert (mill.quality.detection_prob, press.quality.detection_prob) == (0.0, 0.9)
    assert (press.cycle_time_sec, press.output, press.batch_in, press.reliability) == (constant(9.0), "case", 2, None)
    assert mill.rates == Rates(25.0)
    assert line.product == Product("jar", material_cost=0.5, selling_price=1.2)


@pytest.mark.parametrize(
    "text",
    [
        "  Mill: {uph: 720, reliability: {mtbf_min: 700}}\n",
        "  Mill.uph: 720\n  Mill.reliability.mtbf_min: 700\n",
        "  Mill.uph: 720\n  Mill.reliability: {mtbf_min: 700}\n",
        "  equipment.Mill.uph: 720\n  equipment.Mill.reliability.mtbf_min: 700\n",
    ],
)
def test_overrides_are_nested_maps_or_paths(tmp_path, text):
    mill = loaded(tmp_path, overridden(text)).machines[0]
    assert mill.cycle_time_sec == constant(5.0)
    assert mill.reliability is not None
    assert mill.reliability.mtbf == between(700, 900)
    assert mill.reliability.mttr == between(60, 90)


def test_an_override_takes_away_with_null_reaches_all_machines_with_a_star_and_lists_by_name(tmp_path):
    text = '  Mill.reliability: null\n  "*": {buffer_capacity: 9}\n  topology.stations.Press.batch_in: 3\n  product.selling_price: 2\n'
    line = loaded(tmp_path, overridden(text))
    assert line.machines[0].reliability is None
    assert line.edges == serial(["Mill", "Press"], [9])
    assert line.product.selling_price == 2.0
    assert loaded(tmp_path, None, "Press.batch_in=3").machines[1].batch_in == 3


def test_a_command_lines_overrides_come_last_and_may_name_constants(tmp_path):
    changes = overridden("  Mill.uph: 720\n") | {"constants.yaml": "FAST: 900\n"}
    line = loaded(tmp_path, changes, "Mill.uph=${FAST}", "run.duration=30min", "Mill.reliability=null", "run.seed=3")
    assert line.machines[0].cycle_time_sec == constant(4.0)
    assert (line.duration_s, line.seed, line.machines[0].reliability) == (1800.0, 3, None)


def test_another_scenario_than_the_runs_and_one_based_on_another(tmp_path):
    changes = {
        "scenarios/faster.yaml": "name: faster\nbase: base\noverrides: {Mill.uph: 720}\n",
        "scenarios/both.yaml": "name: both\nbase: faster\noverrides: {Press.uph: 720}\n",
    }
    both = loaded(tmp_path, changes, scenario="both")
    assert both.scenario == "both"
    assert [machine.cycle_time_sec for machine in both.machines] == [constant(5.0), constant(5.0)]
    with pytest.raises(SettingsError, match=r"--scenario:1:1: run.scenario: there is no scenario 'bth' .*did you mean both\?"):
        loaded(tmp_path, changes, scenario="bth")


def test_constants_keep_their_type_name_each_other_and_stand_in_texts(tmp_path):
    changes = {
        "constants.yaml": "UPH: 1200\nFASTER: ${UPH}\nWHO: press\n",
        "equipment/press.yaml": 'name: Press\ndescription: a ${WHO}\nuph: "${FASTER}"\n',
    }
    assert loaded(tmp_path, changes | edited(MILL, "uph: 600", "uph: ${UPH}")).machines[0].cycle_time_sec == constant(3.0)
    assert loaded(tmp_path, changes).machines[1].cycle_time_sec == constant(3.0)


def test_defaults_lie_below_every_file(tmp_path):
    changes = edited(RUN, "duration: 1h\nseed: 7\n", "") | edited(MILL, "buffer_capacity: 5\n", "")
    changes["defaults.yaml"] = (
        "run: {duration_hours: 2, random_seed: 9}\nequipment: {buffer_capacity: 33, cost_rates: {energy_per_hour: 4}}\n"
    )
    line = loaded(tmp_path, changes)
    assert (line.duration_s, line.seed, line.edges[1].capacity) == (7200.0, 9, 33)
    assert [machine.rates for machine in line.machines] == [Rates(25.0, 4.0), Rates(0.0, 4.0)]
    assert load_line("short", planted(tmp_path, edited(RUN, "1h", "3h"))).duration_s == 10800.0


def test_keys_by_their_longer_names(tmp_path):
    text = "name: short\nscenario: base\nproduct: jar\nduration_hours: 0.5\nrandom_seed: 3\ntelemetry_interval_sec: 60.0\n"
    line = loaded(tmp_path, {RUN: text + 'start_time: "2025-01-06T06:00:00"\n'})
    assert (line.duration_s, line.seed, line.telemetry_interval_s, line.start) == (1800.0, 3, 60.0, "2025-01-06T06:00:00Z")
    with pytest.raises(SettingsError, match=r"run\.duration: says the same as duration"):
        loaded(tmp_path, {RUN: text + "duration: 1h\n"})


@pytest.mark.parametrize("given", ["[Press, Mill2]", "[Mill2, Press]", "{Mill: Mill2}"])
def test_a_scenario_says_which_equipment_stands_where(tmp_path, given):
    changes = {BASE: f"name: base\ntopology: pair\nequipment: {given}\n", "equipment/mill2.yaml": "name: Mill2\nuph: 1800\n"}
    line = loaded(tmp_path, changes)
    assert [machine.name for machine in line.machines] == ["Mill", "Press"]
    assert [machine.cycle_time_sec for machine in line.machines] == [constant(2.0), constant(9.0)]


def test_a_machine_that_stands_in_the_topology_alone(tmp_path):
    """A first line needs no file per machine."""
    text = "name: pair\nmachines:\n  - {name: Saw, uph: 60, buffer_capacity: 0}\n  - {name: Drill, cycle_time_sec: 45s, batch_in: 2}\n"
    line = loaded(tmp_path, {PAIR: text})
    assert [(machine.name, machine.cycle_time_sec, machine.batch_in) for machine in line.machines] == [
        ("Saw", constant(60.0), 1),
        ("Drill", constant(45.0), 2),
    ]
    assert line.edges == serial(["Saw", "Drill"], [0])


def test_a_graph(tmp_path):
    text = """name: pair
nodes:
  - {name: Mill, routing: weighted}
  - {name: Press, assembly: true}
edges:
  - {source: _source, target: Mill}
  - {source: Mill, target: Press, capacity: unlimited, weight: 2}
  - {source: Press, target: Mill, condition: product.is_defective and reworks < 1, rework: true, capacity: 3, priority: 1}
  - {source: Press, target: _reject, condition: is_defective, priority: 2}
  - {source: Press, target: _sink, condition: not is_defective}
"""
    line = loaded(tmp_path, {PAIR: text})
    assert line.edges == (
        Edge("_source", "Mill"),
        Edge("Mill", "Press", None, weight=2.0),
        Edge("Press", "Mill", 3, "is_defective and reworks < 1", 1, rework=True),
        Edge("Press", "_reject", None, "is_defective", 2),
        Edge("Press", "_sink", None, "not is_defective"),
    )
    assert (line.machines[0].routing, line.machines[1].assembly) == (Routing.WEIGHTED, True)


def test_times_are_means_limits_or_distributions(tmp_path):
    def reliability(text):
        found = loaded(tmp_path, {"equipment/press.yaml": f"name: Press\nuph: 9\nreliability: {text}\n"}).machines[1].reliability
        assert found is not None
        return found.mtbf, found.mttr

    assert reliability("{mtbf_min: 3600, mttr_min: 300}") == (exponential(3600), exponential(300))
    assert reliability("{mtbf_min: 1h, mtbf_max: 1h, mttr_min: 5min, mttr_max: 5min}") == (exponential(3600), constant(300))
    assert reliability("{mtbf: 1h, mttr: 5min}") == (exponential(3600), exponential(300))
    assert reliability("{mtbf: {weibull: {shape: 2, scale: 1h}}, mttr: {kind: lognormal, median: 5min, sigma: 0.5}}") == (
        Distribution("weibull", 2.0, 3600.0),
        Distribution("lognormal", 300.0, 0.5),
    )
    assert reliability("{mtbf: {empirical: [10min, 20min, 90]}, mttr: {empirical: {values: [60, 90], weights: [1, 3]}}}") == (
        Distribution("empirical", values=(600.0, 1200.0, 90.0)),
        Distribution("empirical", values=(60.0, 90.0), weights=(1.0, 3.0)),
    )


def test_everything_else_that_a_line_may_have(tmp_path):
    changes = edited(RUN, "seed: 7", 'seed: 7\nwarm_up: 10min\nstart_time: "2025-01-06T06:00:00+01:00"') | {
        PAIR: """name: pair
source: {arrivals: {exponential: {mean: 6}}, lots: [{product: jar, quantity: 40}, {product: cup, quantity: 20}], when_full: lose}
stations:
  - name: Mill
    changeover: {duration: 5min, pairs: [{from: jar, to: cup, duration: 2min}]}
    maintenance: {policy: interval, after: 8h, duration: 20min}
    crew: fitters
    phases: [collect, execute, {name: transform, output: shell}]
  - {name: Press, servers: 2}
crews: [{name: fitters, size: 2}]
cost_rates: {overhead_per_hour: 40}
calendar:
  repeat: 24h
  stops: [{from: "10:00", to: "10:15"}, {from: "23:00", to: "00:30", reason: idle}, {from: 2h, to: 130min, machines: [Press]}]
""",
        "products/cup.yaml": "name: cup\nselling_price: 3\n",
    }
    line = loaded(tmp_path, changes)
    mill, press = line.machines
    assert (line.start, line.warm_up_s) == ("2025-01-06T05:00:00Z", 600.0)
    assert line.source.lots == (Lot("jar", 40), Lot("cup", 20))
    assert (line.source.arrivals, line.source.when_full) == (exponential(6.0), "lose")
    assert line.products == (Product("cup", selling_price=3.0),)
    assert mill.changeover == Changeover(constant(300), "product", (("jar", "cup", constant(120)),))
    assert mill.maintenance == Maintenance("interval", 28800.0, constant(1200))
    assert mill.phases == (PhaseUse("collect"), PhaseUse("execute"), PhaseUse("transform", (("output", "shell"),)))
    assert (mill.crew, line.crews, press.servers, line.rates) == ("fitters", (Crew("fitters", 2),), 2, Rates(overhead_per_hour=40))
    assert line.calendar == Calendar(
        (
            PlannedStop(5 * 3600, 5 * 3600 + 900),
            PlannedStop(18 * 3600, 19.5 * 3600, "idle"),
            PlannedStop(7200, 7800, "break", ("Press",)),
        ),
        86_400.0,
    )


@pytest.mark.parametrize("name", [one.name for one in listing(shipped(), ["runs"])])
def test_every_shipped_run_is_a_line_and_its_snapshot_reads_back_to_it(name):
    line = load_line(name, shipped())
    assert load_snapshot(dump(line), Path("config_snapshot.yaml")) == line


def test_both_shipped_lines_have_at_least_three_what_ifs():
    based = [one.uses.get("base") for one in listing(shipped(), ["scenarios"])]
    assert based.count("baseline") >= 3
    assert based.count("pv_baseline") >= 3


@cache
def baseline() -> Line:
    return load_line("baseline_8hr", shipped())


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=40), st.floats(0, 1e9))
def test_a_snapshot_keeps_any_text_and_any_number(text, number):
    """Also `${X}`, 1e5, true, ~, quotes and colons, which YAML would read as something else."""
    line = replace(baseline(), product=Product(text, f"{text}${{X}} 1e5", material_cost=number), scenario=text)
    assert load_snapshot(dump(line), Path("s")) == line


@pytest.mark.parametrize("text", ["1e5", "true", "~", "", "0x1f", ".nan", "- a", "a: b", "${X}", "$${X}", "2025-01-06", "yes", "#"])
def test_a_snapshot_keeps_texts_that_look_like_something_else(text):
    line = replace(baseline(), scenario=text)
    assert load_snapshot(dump(line), Path("s")) == line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "format: is missing"),
        ("format: 2\nline: {}\n", "s:1:9: format: 2 is not a format that this version reads"),
        ("format: 1\n", "line: is missing"),
        ("format: 1\nline: {name: 4}\n", "s:2:7: line.name: 4 is no str"),
        ("format: 1\nline: {name: a}\n", "missing"),
    ],
)
def test_a_snapshot_that_holds_no_line_says_why(text, said):
    with pytest.raises(SettingsError, match=said):
        load_snapshot(text, Path("s"))


def test_the_tree_of_the_working_folder_comes_before_the_shipped_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert config_dir() == shipped()
    (tmp_path / "config" / "line").mkdir(parents=True)
    assert config_dir() == Path("config") / "line"
    assert config_dir(tmp_path) == tmp_path


def test_many_variants_are_read_in_one_go_and_all_their_faults_are_listed(tmp_path):
    planted(tmp_path, {"scenarios/faster.yaml": "name: faster\nbase: base\noverrides: {Mill.uph: 720}\n"})
    lines = load_lines("short", tmp_path, [Variant(), Variant("faster"), Variant(None, ("Mill.uph=900",))])
    assert [line.machines[0].cycle_time_sec.a for line in lines] == [6.0, 5.0, 4.0]
    assert lines[1] == load_line("short", tmp_path, scenario="faster")
    with pytest.raises(SettingsError) as found:
        load_lines("short", tmp_path, [Variant("fast"), Variant(), Variant(None, ("Mill.uph=0",))])
    assert [fault.key for fault in found.value.faults] == ["run.scenario", "equipment.Mill.uph"]


def test_an_override_of_a_reference_is_followed(tmp_path):
    changes = {
        "products/cup.yaml": "name: cup\nselling_price: 3\n",
        "sources/slow.yaml": "name: slow\narrivals: 1min\nlots: [{product: cup, quantity: 2}]\n",
        "equipment/mill2.yaml": "name: Mill2\nuph: 1800\n",
    }
    line = loaded(tmp_path, changes, "run.product=cup", "topology.source=slow", "topology.stations.Mill.equipment=Mill2", "Mill.uph=900")
    assert (line.product, line.products) == (Product("cup", selling_price=3.0), ())
    assert (line.source.name, line.source.arrivals) == ("slow", constant(60.0))
    assert line.machines[0].cycle_time_sec == constant(4.0)
    assert loaded(tmp_path, None, "source={lots: [{product: jar, quantity: 1}, {product: cup, quantity: 1}]}").products == (line.product,)
    with pytest.raises(SettingsError, match=r"--set run.product:1:1: run.product: there is no product 'cop' .*did you mean cup\?"):
        loaded(tmp_path, None, "run.product=cop")
    with pytest.raises(SettingsError, match=r"run.scenario: cannot be overridden \(--scenario NAME takes another one\)"):
        loaded(tmp_path, None, "run.scenario=base")
    with pytest.raises(SettingsError, match=r"source.lots\[0\].product: there is no product 'cop'"):
        loaded(tmp_path, None, "source={lots: [{product: cop, quantity: 1}]}")


def test_defaults_lie_below_what_a_base_says(tmp_path):
    changes = {
        "defaults.yaml": "scenario: {behavior: short}\n",
        "behaviors/short.yaml": "name: short\nphases: [collect, execute]\n",
        "behaviors/long.yaml": "name: long\nphases: [collect, execute, transform]\n",
        BASE: "name: base\nbase: below\n",
        "scenarios/below.yaml": "name: below\ntopology: pair\nbehavior: long\n",
    }
    assert len(loaded(tmp_path, changes).machines[0].phases) == 3
    assert len(loaded(tmp_path, {"scenarios/below.yaml": "name: below\ntopology: pair\n"}).machines[0].phases) == 2


def test_a_runs_calendar_stands_instead_of_the_topologys(tmp_path):
    changes = {PAIR: "name: pair\nmachines: [Mill, Press]\ncalendar: {stops: [{from: 1, to: 2}]}\n"}
    assert loaded(tmp_path, changes).calendar == Calendar((PlannedStop(1.0, 2.0),))
    assert loaded(tmp_path, changes, "run.calendar={stops: [{from: 3, to: 4}]}").calendar == Calendar((PlannedStop(3.0, 4.0),))
