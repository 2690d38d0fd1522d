"""What a tree says is what is simulated: closed forms by its own keys, both ways to write a line, and no text that breaks it."""

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.line import Line, execute
from gateway.settings import SettingsError
from gateway.settings.line import dump, load_line, load_snapshot
from support.line_tree import FILES, planted

ALONE = {
    "runs/short.yaml": "name: short\nscenario: base\nproduct: jar\nduration: {hours}h\nseed: 7\n",
    "topologies/pair.yaml": "name: pair\nstations: [Mill]\n",
    "equipment/mill.yaml": "name: Mill\nuph: {uph}\nreliability: {{mtbf_min: {mtbf}, mttr_min: {mttr}, mttr_max: {mttr}}}\n"
    "performance: {{jam_prob: {jam}, jam_time_sec: {jam_s}}}\nquality: {{defect_rate: {defect}, detection_prob: {found}}}\n"
    "cost_rates: {{labor_per_hour: 60, energy_per_hour: 30, overhead_per_hour: 10}}\n",
}


@pytest.mark.parametrize(
    ("uph", "mtbf", "mttr", "jam", "jam_s", "defect", "found"),
    [(360, 3600, 300, 0.02, 15, 0.03, 0.9), (720, 1800, 60, 0.01, 40, 0.1, 0.5)],
)
def test_the_six_phases_of_one_machine(tmp_path, uph, mtbf, mttr, jam, jam_s, defect, found):
    """A machine never starved or blocked: with c the cycle and p = 1 - e^(-c/MTBF), a cycle takes c + p MTTR + j tj on average."""
    hours, cycle = 36000 // uph, 3600 / uph
    values = locals()
    line = load_line("short", planted(tmp_path, {name: text.format(**values) for name, text in ALONE.items()}))
    summary = execute(line, events=False).summary
    mean = cycle + (1 - math.exp(-cycle / mtbf)) * mttr + jam * jam_s
    figures = summary["machines"]["Mill"]["oee"]
    assert figures["availability"] == pytest.approx((cycle + jam * jam_s) / mean, rel=0.02)
    assert figures["performance"] == pytest.approx(cycle / (cycle + jam * jam_s), rel=0.02)
    assert figures["quality"] == pytest.approx(1 - defect * found, rel=0.02)
    assert figures["oee"] == pytest.approx(cycle * (1 - defect * found) / mean, rel=0.02)
    money, made = summary["economics"], summary["production"]
    assert money["conversion_cost"] == 100.0 * hours
    assert money["revenue"] == pytest.approx(1.2 * made["good_pallets"], abs=1e-6)
    assert money["material_cost"] == pytest.approx(0.5 * made["tubes_produced"], abs=1e-6)


GRAPH = """name: pair
nodes:
  - {name: Mill, output_type: Tube}
  - {name: Press, batch_in: 2, output_type: Case}
edges:
  - {source: _source, target: Mill}
  - {source: Mill, target: Press}
  - {source: Press, target: _sink, condition: not is_defective}
  - {source: Press, target: _reject, condition: is_defective}
"""


def test_a_line_is_the_same_written_as_stations_or_as_a_graph(tmp_path):
    linear = execute(load_line("short", planted(tmp_path / "a")))
    graph = execute(load_line("short", planted(tmp_path / "b", {"topologies/pair.yaml": GRAPH})))
    assert graph.telemetry == linear.telemetry
    assert graph.events == linear.events


VALUES = (
    "-1", "0", "1e400", ".inf", ".nan", "null", "[]", "{}", "[1, 2]", "{a: 1}", "true", "~", "''", "x", "1e-320", "99999999999999999999",
    "-5min", "${X}", "&a [*a]", "!!python/object:os.system x", "_source", "*", "unlimited", "{weibull: {shape: 2}}", "{empirical: [-1]}",
    "is_defective and", "9" * 400, "\x00", "a: b: c", "'",
)  # fmt: skip


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    st.sampled_from(sorted(FILES)),
    st.integers(0, 30),
    st.sampled_from(["value", "key", "gone", "twice", "deeper"]),
    st.sampled_from(VALUES),
)
def test_whatever_a_file_says_it_is_a_line_or_faults_with_places(tmp_path, name, at, how, value):
    lines = FILES[name].splitlines()
    at %= len(lines)
    key, _, rest = lines[at].partition(":")
    changed = {"value": [f"{key}: {value}"], "key": [f"{value}:{rest}"], "gone": [], "twice": [lines[at]] * 2, "deeper": [f"  {lines[at]}"]}
    text = "\n".join([*lines[:at], *changed[how], *lines[at + 1 :]]) + "\n"
    found = line_or_faults(planted(tmp_path, {name: text}))
    if isinstance(found, Line):
        assert load_snapshot(dump(found), tmp_path) == found
    else:
        assert found
        assert all(fault.place.line >= 1 and str(tmp_path) in fault.place.file for fault in found)


def line_or_faults(folder):
    try:
        return load_line("short", folder)
    except SettingsError as error:
        return error.faults
