"""What the plainest loop does not tell: names, acknowledgement, floods, and the band in which nothing can happen."""

import numpy as np
import pytest

from engine.rig import T0, S, build, feed, mark, rule, table, told
from gateway.model import quality

TAGS = table("a", "b")


def test_a_tag_has_one_condition_of_each_limit():
    with pytest.raises(ValueError, match="same condition"):
        build(TAGS, [rule(TAGS, "a", "HI", 5), rule(TAGS, "a", "HI", 6)])


def test_acknowledged_and_returned_is_over_in_either_order():
    engine = build(TAGS, [rule(TAGS, "a", "HI", 5)])
    (before,) = engine.view.conditions()
    assert not before.retained
    feed(engine, [0], [6.0], 0)
    (update,) = engine.acknowledge("a/Alarms/HI", T0 + S, "anna", "seen").transitions
    assert (update.active, update.acknowledged, update.user, update.comment, update.value) == (True, True, "anna", "seen", 6.0)
    (held,) = engine.view.conditions()
    assert held.retained
    feed(engine, [0], [1.0], 2)
    (over,) = engine.view.conditions()
    assert (over.retained, over.user, over.since_ns) == (False, "anna", T0 + 2 * S)
    feed(engine, [0], [6.0], 3)
    feed(engine, [0], [1.0], 4)
    (unseen,) = engine.view.conditions()
    assert (unseen.retained, unseen.active, unseen.user) == (True, False, "")
    assert len(engine.acknowledge("a/Alarms/HI", T0 + 5 * S, "ben", "").transitions) == 1
    assert engine.acknowledge("a/Alarms/HI", T0 + 6 * S, "ben", "").transitions == ()


def test_an_unknown_condition_is_a_key_error():
    with pytest.raises(KeyError):
        build(TAGS, []).acknowledge("a/Alarms/HI", T0, "anna", "")


def test_a_delay_does_not_run_out_while_nobody_knows_the_value():
    engine = build(TAGS, [rule(TAGS, "a", "HI", 5, on_s=3)])
    feed(engine, [0], [6.0], 0)
    mark(engine, [0], quality.BAD_NO_COMMUNICATION, 1)
    assert told(engine.tick(T0 + 10 * S)) == []
    feed(engine, [0], [6.0], 11)
    assert told(engine.tick(T0 + 14 * S)) == [("a", "HI", "active")]


def test_four_limits_of_one_tag_turn_in_order_of_the_rules():
    rules = [rule(TAGS, "a", limit, at) for limit, at in (("LOLO", 1), ("LO", 2), ("HI", 8), ("HIHI", 9))]
    engine = build(TAGS, rules)
    feed(engine, [0], [5.0], 0)
    assert told(feed(engine, [0], [10.0], 1)) == [("a", "HI", "active"), ("a", "HIHI", "active")]
    assert told(feed(engine, [0], [0.0], 2)) == [
        ("a", "LOLO", "active"),
        ("a", "LO", "active"),
        ("a", "HI", "inactive"),
        ("a", "HIHI", "inactive"),
    ]


def test_a_flood_is_told_once_per_tag():
    tags = table(*(f"t{k}" for k in range(5000)))
    engine = build(tags, [rule(tags, f"t{k}", "HI", 5) for k in range(5000)])
    feed(engine, range(5000), np.full(5000, 1.0), 0)
    assert len(feed(engine, range(5000), np.full(5000, 6.0), 1).transitions) == 5000
    assert len(feed(engine, range(5000), np.full(5000, 7.0), 2).transitions) == 0


def test_the_calm_band_reaches_to_the_nearest_edge_that_matters():
    """Four limits with hysteresis are one comparison for as long as the value stays between these two numbers."""
    engine = build(TAGS, [rule(TAGS, "a", limit, at, 1) for limit, at in (("HIHI", 90), ("HI", 80), ("LO", 20), ("LOLO", 10))])

    def band():
        return engine.alarms.calm_low[0].item(), engine.alarms.calm_high[0].item()

    feed(engine, [0], [50.0], 0)
    assert band() == (20.0, 80.0)
    feed(engine, [0], [85.0], 1)
    assert band() == (np.nextafter(79.0, 100.0), 90.0)
    feed(engine, [0], [15.0], 2)
    assert band() == (10.0, np.nextafter(21.0, 0.0))
    mark(engine, [0], quality.BAD_NO_COMMUNICATION, 3)
    assert band() == (np.inf, -np.inf)
    assert (engine.alarms.calm_low[1], engine.alarms.calm_high[1]) == (-np.inf, np.inf)
