"""Schedule, ledger and faults of the plant."""

from dataclasses import replace

import numpy as np
import pytest

from gateway.demo.emission import CYCLE, Ledger, load, schedule
from gateway.demo.faults import Fault, Faults
from gateway.demo.physics import Inputs, Parameters
from gateway.demo.signals import signals, texts, values
from gateway.demo.virtual import VirtualPlant
from gateway.model.tag import TagType

PARAMETERS = Parameters()


def test_each_signal_is_due_as_often_as_its_interval_says():
    chosen = signals(PARAMETERS, extra=30)
    due = schedule(chosen)
    assert len(due) == CYCLE
    for row, signal in enumerate(chosen):
        assert sum(row in rows for rows in due) == 1000 // signal.interval_ms


def test_members_of_one_topic_are_due_together():
    chosen = signals(PARAMETERS)
    glass = [row for row, signal in enumerate(chosen) if signal.topic == "cell/materials/solar_glass"]
    assert len({tuple(row in rows for rows in schedule(chosen)) for row in glass}) == 1


def test_an_interval_that_does_not_fit_the_cycle_is_refused():
    with pytest.raises(ValueError, match="300 ms"):
        schedule([replace(signals(PARAMETERS)[0], interval_ms=300)])


def test_there_are_at_least_sixty_signals_of_all_five_types_and_six_machines():
    chosen = signals(PARAMETERS)
    assert len(chosen) >= 60
    assert {signal.type for signal in chosen} == set(TagType)
    assert len({signal.name.split(".")[1] for signal in chosen if signal.name.startswith("machines.")}) >= 6
    assert len({signal.name for signal in chosen}) == len(chosen)


def test_every_number_lies_within_its_range_at_the_start_and_every_text_has_words():
    chosen, now = signals(PARAMETERS, extra=5), VirtualPlant(1).state
    words = texts(now, PARAMETERS)
    for signal, value in zip(chosen, values(chosen, now, Inputs()), strict=True):
        if signal.type is TagType.TEXT:
            assert words[signal.name]
        elif signal.range:
            assert signal.range[0] <= value <= signal.range[1], signal.name


def test_a_saved_ledger_gives_the_times_of_each_signal_back(tmp_path):
    chosen, ledger = signals(PARAMETERS)[:3], Ledger()
    for row, source_ns in [(0, 5), (2, 6), (0, 7), (2, 8), (0, 9)]:
        ledger.add(row, source_ns)
    assert ledger.save(tmp_path / "all.npz", chosen) == 5
    assert ledger.save(tmp_path / "some.npz", chosen, since_ns=7) == 3
    loaded = load(tmp_path / "all.npz")
    np.testing.assert_array_equal(loaded[chosen[0].name], [5, 7, 9])
    assert loaded[chosen[1].name].size == 0
    np.testing.assert_array_equal(load(tmp_path / "some.npz")[chosen[2].name], [8])


def test_a_fault_holds_for_its_time_and_its_signals():
    faults = Faults()
    faults.inject(Fault.NAN, now_s=10.0, seconds=5.0, signals=frozenset({"a"}))
    assert faults.holds(Fault.NAN, 12.0, "a")
    assert not faults.holds(Fault.NAN, 12.0, "b")
    assert not faults.holds(Fault.NAN, 15.0, "a")
    faults.inject(Fault.FREEZE, now_s=10.0)
    assert faults.active(1e9) == ["freeze"]
    faults.clear()
    assert faults.active(12.0) == []
    with pytest.raises(ValueError, match="longer than nothing"):
        faults.inject(Fault.FREEZE, 0.0, seconds=-1.0)
