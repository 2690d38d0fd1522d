"""A real line's accounts: the same figures as the simulator's own summary when they are fed with what the simulator did."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model.line import (
    REJECT,
    Edge,
    Line,
    Machine,
    MachineState,
    Maintenance,
    Performance,
    Quality,
    Rates,
    Reliability,
    constant,
    exponential,
    serial,
)
from gateway.simulation.line import plant, plantlog
from gateway.simulation.line.chance import Chance
from gateway.simulation.line.layout import Layout
from gateway.simulation.line.measured import PRODUCED, STATE_CHANGE, STATES, UNKNOWN, Book, Input, increase
from gateway.simulation.line.summary import summary
from gateway.simulation.line.tables import snapshot
from gateway.simulation.line.topology import checked
from support.lines import UNIT

S = 1_000_000_000
T0 = 1_767_225_600 * S
COUNTERS = (Input.PRODUCED, Input.REJECTED)
STATE = {state: float(row) for row, state in enumerate(STATES)}


def line_of(machines, rooms, duration_s=1800.0):
    names = [machine.name for machine in machines]
    edges = [*serial(names, rooms), *(Edge(name, REJECT, condition="is_defective") for name in names)]
    good = tuple(
        Edge(one.origin, one.target, one.capacity, "not is_defective") if one.origin in names and one.target != REJECT else one
        for one in edges
    )
    return checked(Line("t", tuple(machines), good, UNIT, duration_s=duration_s, rates=Rates(10.0)))


@st.composite
def lines(draw):
    count = draw(st.integers(1, 4))
    machines = [
        Machine(
            f"m{place}",
            exponential(draw(st.floats(1.0, 6.0))),
            output="pallet",
            reliability=draw(st.none() | st.just(Reliability(exponential(80.0), exponential(15.0)))),
            performance=Performance(draw(st.sampled_from([0.0, 0.2])), constant(2.0)),
            quality=Quality(draw(st.sampled_from([0.0, 0.15])), draw(st.sampled_from([0.0, 1.0]))),
            maintenance=draw(st.none() | st.just(Maintenance("interval", 300.0, constant(20.0)))),
        )
        for place in range(count)
    ]
    return line_of(machines, [draw(st.integers(1, 6)) for _ in range(count - 1)])


def simulated(line, seed):
    """What a plant would have told of one run, sample by sample, and the run's summary."""
    layout = Layout(line, Chance(seed, 0), 0.0, None)
    layout.advance(0.0)
    log = []
    layout.begin(log)
    first, snapshots, samples = [station.state for station in layout.stations], [snapshot(layout)], []
    for number, station in enumerate(layout.stations):
        samples += [(T0, station.name, Input.STATE, float(first[number])), *((T0, station.name, one, 0.0) for one in COUNTERS)]
    for at_s in range(5, round(line.duration_s) + 1, 5):
        layout.advance(float(at_s))
        for station in layout.stations:
            samples += [
                (T0 + at_s * S, station.name, one, float(n)) for one, n in zip(COUNTERS, (station.made, station.detected), strict=True)
            ]
    snapshots.append(snapshot(layout))
    layout.settle()
    for at_s, number, state in zip(log[0::3], log[1::3], log[2::3], strict=True):
        samples.append((T0 + round(at_s * 1e9), layout.stations[int(number)].name, Input.STATE, float(state)))
    return sorted(samples, key=lambda one: one[0]), summary(line, layout, snapshots)


def books_of(line):
    end_ns = T0 + round(line.duration_s) * S
    books = {machine.name: Book(COUNTERS) for machine in line.machines}
    for book in books.values():
        book.begin({"shift": (T0, end_ns)}, [])
    return books, end_ns


def fed(line, samples, step_s=60):
    """The books of a line to which samples came in steps of time."""
    books, end_ns = books_of(line)
    rest = list(samples)
    for to_ns in [*range(T0 + step_s * S, end_ns, step_s * S), end_ns]:
        while rest and rest[0][0] <= to_ns:
            at_ns, name, which, value = rest.pop(0)
            books[name].take(at_ns, which, value)
        for book in books.values():
            book.advance(to_ns)
    return books, end_ns


def same(found, wanted, path=""):
    for key, value in wanted.items():
        if isinstance(value, dict):
            same(found[key], value, f"{path}.{key}")
        elif value is None:
            assert math.isnan(found[key]), f"{path}.{key}"
        else:
            assert found[key] == pytest.approx(value, rel=1e-7, abs=1e-6), f"{path}.{key}"


@settings(max_examples=25, deadline=None)
@given(lines(), st.integers(0, 1000))
def test_the_accounts_of_a_line_are_its_summary_when_fed_with_what_the_simulator_did(line, seed):
    samples, wanted = simulated(line, seed)
    books, _ = fed(line, samples)
    accounts = {name: book.accounts["shift"] for name, book in books.items()}
    shape = plant.Shape.of(line)
    figures = plant.figures(shape, accounts)
    same(figures["line"]["oee"], wanted["oee"])
    same(figures["line"]["economics"], wanted["economics"])
    for name, machine in wanted["machines"].items():
        same(figures["machines"][name]["oee"], machine["oee"], name)
        same(figures["machines"][name]["time_in_state_s"], machine["time_in_state_s"], name)
        assert figures["machines"][name]["coverage"] == 1.0
    found = plant.bottleneck(shape, accounts)
    assert found.active_period == wanted["bottleneck"]["active_period"]
    assert found.turning_point == wanted["bottleneck"]["turning_point"]
    same(dict(found.average_s), wanted["bottleneck"]["average_s"], "average")


@settings(max_examples=15, deadline=None)
@given(lines(), st.integers(0, 1000), st.randoms(use_true_random=False))
def test_samples_in_any_order_come_to_the_same_accounts(line, seed, chance):
    every, _ = simulated(replace(line, duration_s=200.0), seed)
    samples = [(at_ns, name, which, value) for (at_ns, name, which), value in {one[:3]: one[3] for one in every}.items()]
    line = replace(line, duration_s=200.0)
    books, end_ns = fed(line, samples)
    mixed, other = list(samples), books_of(line)[0]
    chance.shuffle(mixed)
    for number, (at_ns, name, which, value) in enumerate(mixed):
        other[name].take(at_ns, which, value)
        if number % 50 == 0:
            for book in other.values():
                book.advance(at_ns)
    for name, book in other.items():
        book.advance(end_ns)
        assert book.accounts == books[name].accounts


@settings(max_examples=15, deadline=None)
@given(lines(), st.integers(0, 1000))
def test_the_accounts_of_a_log_are_those_that_it_was_written_from(line, seed):
    samples, _ = simulated(line, seed)
    books, end_ns = fed(line, samples)
    log = plantlog.rows({name: book.entries for name, book in books.items()}, T0, end_ns)
    found, until_ns = plantlog.accounts_of(dict(zip(plantlog.COLUMNS, row, strict=True)) for row in log)
    assert until_ns == end_ns
    for name, book in books.items():
        assert found[name] == book.accounts["shift"]
        assert sum(row[5] for row in log if row[2] == name) == pytest.approx(line.duration_s, abs=1e-6)


def one(*samples, periods=None, edges=(), to_s=100, inputs=(Input.PRODUCED,)):
    book = Book(inputs)
    book.begin({name: (T0 + a * S, T0 + b * S) for name, (a, b) in (periods or {"shift": (0, 1000)}).items()}, edges)
    for at_s, which, value in samples:
        book.take(T0 + round(at_s * S), which, STATE[value] if isinstance(value, MachineState) else value)
    book.advance(T0 + to_s * S)
    return book


def spent(account):
    return {(STATES[row].value if row < UNKNOWN else "UNKNOWN"): ns / S for row, ns in enumerate(account.spent_ns) if ns}


EXECUTE, DOWN, STARVED = MachineState.EXECUTE, MachineState.DOWN, MachineState.STARVED


def test_time_with_a_bad_input_is_not_covered_and_its_items_are_no_part_of_oee():
    book = one(
        (0, Input.STATE, EXECUTE), (0, Input.PRODUCED, 10), (20, Input.PRODUCED, 12),
        (30, Input.PRODUCED, math.nan), (50, Input.PRODUCED, 17), (60, Input.STATE, math.nan), (70, Input.STATE, DOWN),
    )  # fmt: skip
    account = book.accounts["shift"]
    assert spent(account) == {"EXECUTE": 40, "DOWN": 30, "UNKNOWN": 30}
    assert account.coverage == pytest.approx(0.7)
    assert (account.produced, account.made) == (7, 2)


def test_nothing_is_known_before_the_first_samples_and_of_a_word_that_means_nothing():
    book = one((10, Input.STATE, EXECUTE), (20, Input.PRODUCED, 5), (50, Input.STATE, float(UNKNOWN)))
    assert spent(book.accounts["shift"]) == {"EXECUTE": 30, "UNKNOWN": 70}


def test_a_planned_stop_takes_the_place_of_all_but_work():
    edges = [(T0 + 20 * S, STATES.index(MachineState.BREAK)), (T0 + 60 * S, -1)]
    book = one((0, Input.STATE, DOWN), (0, Input.PRODUCED, 0), (50, Input.STATE, EXECUTE), edges=edges)
    assert spent(book.accounts["shift"]) == {"DOWN": 20, "BREAK": 30, "EXECUTE": 50}


def test_each_period_has_its_own_account_and_a_new_shift_keeps_what_it_needs():
    periods = {"previous": (0, 30), "shift": (30, 1000), "today": (0, 1000)}
    samples = [(0, Input.STATE, EXECUTE), (0, Input.PRODUCED, 0), (20, Input.PRODUCED, 4), (40, Input.STATE, DOWN), (45, Input.PRODUCED, 5)]
    book = one(*samples, periods=periods)
    assert spent(book.accounts["previous"]) == {"EXECUTE": 30}
    assert spent(book.accounts["shift"]) == {"EXECUTE": 10, "DOWN": 60}
    assert [book.accounts[name].produced for name in periods] == [4, 1, 5]
    book.begin({"previous": (T0 + 30 * S, T0 + 90 * S), "shift": (T0 + 90 * S, T0 + 1000 * S)}, [])
    assert spent(book.accounts["previous"]) == {"EXECUTE": 10, "DOWN": 50}
    assert spent(book.accounts["shift"]) == {"DOWN": 10}
    assert book.accounts["previous"].produced == 1


def test_a_sample_older_than_all_that_is_kept_changes_nothing():
    book = one((0, Input.STATE, EXECUTE), (0, Input.PRODUCED, 0))
    book.begin({"shift": (T0 + 50 * S, T0 + 1000 * S)}, [])
    before = book.accounts["shift"]
    book.take(T0 + 20 * S, Input.STATE, STATE[DOWN])
    book.advance(T0 + 100 * S)
    assert spent(book.accounts["shift"]) == {"EXECUTE": 50}
    assert before.begin_ns == T0 + 50 * S


def test_samples_beyond_those_that_are_kept_are_accounted_for_good(monkeypatch):
    """The account and the log are the same, whatever comes late or begins anew afterwards."""
    samples = [(n / 10, Input.PRODUCED, n) for n in range(1, 600)] + [(n, Input.STATE, (DOWN, EXECUTE)[n % 2]) for n in range(60)]
    whole = one((0, Input.PRODUCED, 0), *samples)
    monkeypatch.setattr("gateway.simulation.line.measured.MOST", 50)
    few = Book((Input.PRODUCED,))
    periods = {"shift": (T0, T0 + 1000 * S)}
    few.begin(periods, [])
    for number, (at_s, which, value) in enumerate(sorted([(0, Input.PRODUCED, 0), *samples], key=lambda sample: sample[0])):
        few.take(T0 + round(at_s * S), which, STATE[value] if isinstance(value, MachineState) else value)
        if number % 20 == 0:
            few.advance(T0 + round(at_s * S))
    few.advance(T0 + 100 * S)
    few.begin(periods, [])
    few.advance(T0 + 100 * S)
    assert few.accounts == whole.accounts
    assert [entry for entry in few.entries if entry[3]] == [entry for entry in whole.entries if entry[3]]


def test_energy_is_counted_from_a_meter_and_added_up_from_power():
    meter = one(
        (0, Input.STATE, EXECUTE), (0, Input.ENERGY, 7.5), (50, Input.ENERGY, 8.0), (80, Input.ENERGY, 0.25), inputs=(Input.ENERGY,)
    )
    assert meter.accounts["shift"].energy_kwh == pytest.approx(0.75)
    power = one((0, Input.STATE, EXECUTE), (0, Input.POWER, 36.0), (50, Input.POWER, math.nan), inputs=(Input.POWER,))
    assert power.accounts["shift"].energy_kwh == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("last", "value", "rollover", "wanted"),
    [
        (5.0, 9.0, None, 4),
        (5.0, 5.0, None, 0),
        (65530.0, 3.0, None, 9),
        (32767.0, 0.0, None, 1),
        (4294967295.0, 1.0, None, 2),
        (900.0, 2.0, None, 2),  # set back to 0
        (60000.0, 3.0, None, 3),  # far from the top
        (9998.0, 1.0, 10000.0, 3),
        (40.0, 10.0, 100.0, 70),
    ],
)
def test_a_counter_that_falls_has_rolled_over_or_was_set_back(last, value, rollover, wanted):
    assert increase(last, value, rollover) == wanted


@given(st.lists(st.integers(0, 50), max_size=60), st.sampled_from([256, 1000, 65536]), st.integers(0, 255))
def test_what_a_counter_that_rolls_over_has_counted_is_all_that_was_made(made, top, first):
    total = first
    shown = [(total := total + more) % top for more in made]
    counting = Book((Input.PRODUCED,), float(top))
    counting.begin({"shift": (T0, T0 + 1000 * S)}, [])
    counting.take(T0, Input.STATE, STATE[EXECUTE])
    counting.take(T0, Input.PRODUCED, float(first))
    for n, value in enumerate(shown):
        counting.take(T0 + (1 + n) * S, Input.PRODUCED, float(value))
    counting.advance(T0 + 100 * S)
    assert counting.accounts["shift"].produced == sum(made)
    assert sum(entry[3] for entry in counting.entries if entry[1] == PRODUCED) == sum(made)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"datetime": "soon"}, "row 1: 'soon' is no instant"),
        ({"state": "ASLEEP"}, "row 1: 'ASLEEP' is no state"),
        ({"event_type": "made"}, "row 1: 'made' is no event_type"),
        ({"machine": ""}, "row 1: there is no machine"),
    ],
)
def test_a_log_that_cannot_be_read_names_row_and_reason(change, why):
    row = dict(zip(plantlog.COLUMNS, ("2026-01-01T00:00:00Z", 0.0, "m", "EXECUTE", STATE_CHANGE, 0.0), strict=True))
    with pytest.raises(plantlog.LogError, match=why):
        plantlog.accounts_of([row | change])
