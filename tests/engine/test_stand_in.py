"""A model stands in for a sensor: what it shows, what follows from it, and how the sensor comes back."""

import math

from gateway.engine.engine import Engine
from gateway.model import quality
from gateway.model.batch import Origin, SampleBatch
from gateway.model.derived import DerivedRule
from gateway.model.sync import Sync
from gateway.model.tag import DERIVED, Tag, TagTable

S = 1_000_000_000
AT = 1_700_000_000 * S


def engine():
    tags = TagTable.of([Tag(0, "t", source="plc"), Tag(1, "twice", source=DERIVED)])
    return Engine(tags, (), [DerivedRule(1, "twice", "2 * t")], Sync())


def give(at, value, at_s, origin=Origin.SOURCE, status=0):
    return at.step(SampleBatch.of([0], [value], status, AT + at_s * S, received_ns=AT + at_s * S, origin=origin), AT + at_s * S)


def shown(at):
    return [(at.view.value.item(row), at.view.status.item(row)) for row in (0, 1)]


def test_a_model_wins_over_the_source_and_what_is_derived_inherits_its_status():
    """UncertainSubstituteValue; the newest reading of the sensor is kept aside, and shown again once it is released."""
    at = engine()
    give(at, 20.0, 0)
    give(at, 21.0, 1, Origin.MODEL)
    assert shown(at) == [(21.0, quality.UNCERTAIN_SUBSTITUTE), (42.0, quality.UNCERTAIN_SUBSTITUTE)]
    give(at, 99.0, 2)
    assert shown(at)[0] == (21.0, quality.UNCERTAIN_SUBSTITUTE)
    assert (at.held[0].value, at.held[0].source_ns) == (99.0, AT + 2 * S)
    give(at, 22.0, 3, Origin.MODEL)
    assert shown(at)[1] == (44.0, quality.UNCERTAIN_SUBSTITUTE)
    give(at, 20.5, 4)
    at.release([0], AT + 5 * S)
    assert shown(at) == [(20.5, quality.GOOD), (41.0, quality.GOOD)]


def test_manual_input_wins_over_a_model_and_a_model_never_over_it():
    at = engine()
    give(at, 20.0, 0)
    give(at, 5.0, 1, Origin.MANUAL)
    update = give(at, 21.0, 2, Origin.MODEL)
    assert (shown(at)[0], update.counts.refused) == ((5.0, quality.GOOD_LOCAL_OVERRIDE), 1)
    at.release([0], AT + 3 * S)
    give(at, 21.0, 4, Origin.MODEL)
    give(at, 6.0, 5, Origin.MANUAL)
    assert shown(at)[0] == (6.0, quality.GOOD_LOCAL_OVERRIDE)


def test_what_is_no_number_or_of_a_derived_tag_stands_in_for_nothing():
    at = engine()
    give(at, 20.0, 0)
    assert give(at, math.nan, 1, Origin.MODEL).counts.refused == 1
    batch = SampleBatch.of([1], [1.0], 0, AT + S, received_ns=AT + S, origin=Origin.MODEL)
    assert at.step(batch, AT + 2 * S).counts.refused == 1
    assert shown(at) == [(20.0, quality.GOOD), (40.0, quality.GOOD)]


def test_a_stand_in_survives_a_snapshot_and_a_replay_bit_for_bit():
    """The same calls give the same state, and a restored engine goes on where the other one is."""
    one, other = engine(), engine()
    for at in (one, other):
        give(at, 20.0, 0)
        give(at, 21.0, 1, Origin.MODEL)
        give(at, 50.0, 2)
    restored = engine()
    restored.restore(one.snapshot())
    for at in (one, other, restored):
        give(at, 22.0, 3, Origin.MODEL)
    assert one.state_hash() == other.state_hash() == restored.state_hash()
    for at in (one, restored):
        at.release([0], AT + 4 * S)
    assert shown(restored) == shown(one) == [(50.0, quality.GOOD), (100.0, quality.GOOD)]
