"""One row per tag, kept once: versions, frames that stay, the ring of commits, the hierarchical view."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.rig import T0, S, build, derived, feed, mark, table, tag, text
from gateway.model import quality
from gateway.model.sync import SyncMode
from gateway.model.tag import TagType

LINE = table(
    tag("system_status", type=TagType.TEXT),
    tag("production_line.status", type=TagType.ENUM, labels={0: "stopped", 1: "running"}),
    "production_line.temperature",
    "production_line.energy_consumption",
    "production_line.production_rate",
    "production_line.efficiency",
    "production_line.defect_rate",
    tag("materials.silicon_wafer.inventory", type=TagType.INT),
    "materials.silicon_wafer.quality",
    "environment.temperature",
    "environment.humidity",
    tag("environment.door", type=TagType.BOOL),
    tag("environment.gone", enabled=False),
)
VALUES = [np.nan, 1.0, 22.5, 120.5, 8.3, 0.92, 0.02, 850.0, 0.95, 22.0, 45.0, 1.0]


def test_the_dots_of_a_name_are_the_levels_of_the_tree():
    engine = build(LINE)
    feed(engine, range(12), VALUES, 0, text={0: "operational"})
    mark(engine, [10], quality.BAD_NO_COMMUNICATION, 0.5)
    assert engine.view.snapshot().tree(LINE) == {
        "timestamp": "2023-11-14T22:13:20.500Z",
        "system_status": "operational",
        "production_line": {
            "status": 1,
            "temperature": 22.5,
            "energy_consumption": 120.5,
            "production_rate": 8.3,
            "efficiency": 0.92,
            "defect_rate": 0.02,
        },
        "materials": {"silicon_wafer": {"inventory": 850, "quality": 0.95}},
        "environment": {"temperature": 22.0, "humidity": None, "door": True},
    }


def test_a_text_has_no_number_whatever_came_with_it():
    engine = build(table(text("t")))
    update = feed(engine, [0], [5.0], 0, text={0: "word"})
    assert np.isnan(update.rows.value[0])
    assert (engine.view.text[0], engine.view.status[0], update.counts.refused) == ("word", 0, 0)


def test_a_snapshot_stays_and_the_view_does_not_copy():
    engine = build(table("a", "b"))
    feed(engine, [0, 1], [1.0, 2.0], 0)
    before, live = engine.view.snapshot(), engine.view.value
    assert engine.view.snapshot() is before
    feed(engine, [0], [5.0], 1)
    assert before.value.tolist() == [1.0, 2.0]
    assert live is engine.view.value
    assert live.tolist() == [5.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        before.value[0] = 3.0


def test_at_finds_the_last_commit_at_or_before():
    engine = build(table("a", text("t")), update_frequency=1.0)
    for at in range(5):
        feed(engine, [0, 1], [float(at), np.nan], at, text={1: f"word {at}"})
    found = engine.view.at(T0 + 3 * S - 1)
    assert (found.version, found.at_ns, found.value[0], found.text[1]) == (3, T0 + 2 * S, 2.0, "word 2")
    assert engine.view.at(T0 + 99 * S).version == 5
    assert engine.view.at(T0 - 1) is None


def test_the_ring_is_bounded_in_commits_and_in_bytes():
    engine = build(table("a"), history_length=3)
    for at in range(10):
        feed(engine, [0], [float(at)], at)
    assert [past.version for past in engine.view.history()] == [8, 9, 10]
    assert [past.value[0] for past in engine.view.history(2)] == [8.0, 9.0]
    assert engine.view.history(0) == []
    assert engine.view.at(T0) is None
    small = build(table(*(f"t{k}" for k in range(100))), history_bytes=10_000)
    for at in range(50):
        feed(small, range(100), np.full(100, float(at)), at)
    assert 1 <= len(small.view.history()) <= 4
    assert small.view.ring.used <= 10_000


def test_clearing_the_history_keeps_the_state():
    engine = build(table("a"))
    for at in range(3):
        feed(engine, [0], [float(at)], at)
    engine.view.clear_history()
    assert (engine.view.history(), engine.view.at(T0 + 9 * S), engine.view.version) == ([], None, 3)
    feed(engine, [0], [7.0], 3)
    assert [past.value[0] for past in engine.view.history()] == [7.0]


def test_a_past_outlives_its_place_in_the_ring():
    engine = build(table("a"), history_length=2)
    for at in range(3):
        feed(engine, [0], [float(at)], at)
    kept = engine.view.history()[0]
    for at in range(3, 9):
        feed(engine, [0], [float(at)], at)
    assert (kept.version, kept.value[0]) == (2, 1.0)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 39), st.floats(-1e6, 1e6)), max_size=45), max_size=12), st.integers(1, 6))
def test_any_commit_of_the_ring_is_what_it_was(commits, length):
    """Against the plainest history: a copy of everything at each commit."""
    engine = build(table(*(f"t{k}" for k in range(40))), mode=SyncMode.MANUAL, history_length=length)
    kept = []
    for at, samples in enumerate(commits):
        for place, (tag_id, value) in enumerate(samples):
            feed(engine, [tag_id], [value], at + place / 1000)
        update = engine.commit(T0 + at * S + S // 2)
        assert update.changed == len({tag_id for tag_id, _ in samples})
        kept.append((update.version, engine.view.value.copy(), engine.view.status.copy(), engine.view.source_ns.copy()))
    for past, (version, value, status, source_ns) in zip(engine.view.history(), kept[-length:], strict=True):
        assert past.version == version
        np.testing.assert_array_equal(past.value, value)
        np.testing.assert_array_equal(past.status, status)
        np.testing.assert_array_equal(past.source_ns, source_ns)


def test_a_commit_tells_how_many_changed_and_at_most_a_hundred_of_them():
    engine = build(table(*(f"t{k}" for k in range(300))), update_frequency=1.0)
    assert feed(engine, range(300), np.zeros(300), 0).changed == 300
    feed(engine, [7, 3], [1.0, 1.0], 0.5)
    update = feed(engine, [7], [2.0], 1)
    assert (update.committed, update.version, update.changed, update.changed_tags) == (True, 2, 2, (3, 7))
    update = feed(engine, range(300), np.ones(300), 2)
    assert (update.changed, update.changed_tags) == (300, tuple(range(100)))


def test_nothing_has_been_heard_of_a_tag_at_first():
    view = build(table("a", tag("b", enabled=False), derived("c")), formulas={"c": "a"}).view
    assert view.status.tolist() == [
        quality.BAD_WAITING_FOR_INITIAL_DATA,
        quality.BAD_OUT_OF_SERVICE,
        quality.BAD_WAITING_FOR_INITIAL_DATA,
    ]
    assert np.isnan(view.value).all()
    assert (view.version, view.history(), view.at(T0)) == (0, [], None)


def test_a_thousand_small_steps_between_commits_do_not_pile_up():
    engine = build(table("a", "b"), mode=SyncMode.MANUAL)
    for at in range(70_000):
        engine.view.touch(np.array([at % 2]))
    assert engine.view._touched_rows <= 65_536 + 8
    assert engine.view.touched().tolist() == [0, 1]
