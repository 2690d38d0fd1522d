"""What a roll has learned is taken up as if it had gone on; for other tags and models as far as it fits; and refused where it does not."""

import numpy as np
import pytest

from gateway.simulation.forecast.keep import Unfit, restore, saved
from gateway.simulation.forecast.rolling import Rolling, forecasters

TAGS, HORIZON_S, MODELS = 3, 40.0, 5


def samples(n, seed=4):
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.standard_normal((n, TAGS)), axis=0) + rng.standard_normal((n, TAGS)), rng.random((n, TAGS)) < 0.95


def fed(rolling, y, good, begin=0):
    for at, (row, there) in enumerate(zip(y, good, strict=True)):
        rolling.step(float(begin + at), row, there)
    return rolling


def copied(rolling):
    return {key: array.copy() for key, array in saved(rolling).items()}


def test_a_roll_that_is_taken_up_goes_on_bit_for_bit():
    y, good = samples(400)
    whole = fed(Rolling.of(TAGS, HORIZON_S, 1.0, every_s=5.0), y, good)
    first = fed(Rolling.of(TAGS, HORIZON_S, 1.0, every_s=5.0), y[:201], good[:201])
    second = Rolling.of(TAGS, HORIZON_S, 1.0, every_s=5.0)
    restore(second, copied(first), range(TAGS), first.names)
    fed(second, y[201:], good[201:], 201)
    for key, array in saved(whole).items():
        assert np.array_equal(array, saved(second)[key], equal_nan=True), key
    assert whole.forecast(0).sd.tobytes() == second.forecast(0).sd.tobytes()


def test_tags_are_taken_up_by_name_and_new_ones_begin_anew():
    y, good = samples(300)
    first = fed(Rolling.of(TAGS, HORIZON_S, 1.0, every_s=5.0), y, good)
    second = Rolling.of(2, HORIZON_S, 1.0, every_s=5.0)
    restore(second, copied(first), [2, -1], first.names)
    assert second.scores().n[0].tolist() == first.scores().n[2].tolist()
    assert second.scores().n[1].max() == 0
    assert second.last[0] == first.last[2]
    assert np.isnan(second.last[1])
    ahead = fed(second, y[:50, :2], good[:50, :2], 300).forecast(0)
    assert np.isfinite(ahead.mean).all()


def test_models_are_taken_up_by_name():
    y, good = samples(300)
    first = fed(Rolling.of(TAGS, HORIZON_S, 1.0, every_s=5.0), y, good)
    fewer = forecasters(TAGS, HORIZON_S, 1.0)
    second = Rolling.of(TAGS, HORIZON_S, 1.0, every_s=5.0, members=(fewer[0], fewer[3]))
    restore(second, copied(first), range(TAGS), first.names)
    assert second.choice.weight[1].tolist() == first.choice.weight[3].tolist()
    assert np.isfinite(fed(second, y, good, 300).forecast(0).mean).all()


def test_other_horizons_are_refused_and_nothing_is_taken():
    first = fed(Rolling.of(TAGS, HORIZON_S, 1.0), *samples(50))
    second = Rolling.of(TAGS, 80.0, 1.0)
    with pytest.raises(Unfit, match="learned for horizons of 1, 2, 4, 8, 20, 40 s"):
        restore(second, copied(first), range(TAGS), first.names)
    assert second.now_s is None


def test_arrays_of_another_shape_are_refused_and_nothing_is_taken():
    first = fed(Rolling.of(TAGS, HORIZON_S, 1.0), *samples(50))
    kept = copied(first)
    kept["members.arx.theta"] = kept["members.arx.theta"][:, :-1]
    second = Rolling.of(TAGS, HORIZON_S, 1.0)
    with pytest.raises(Unfit, match=r"members\.arx\.theta"):
        restore(second, kept, range(TAGS), first.names)
    assert second.now_s is None
    assert np.isnan(second.last).all()


def test_a_gap_between_keeping_and_taking_up_widens_the_band():
    y, good = samples(300)
    first = fed(Rolling.of(TAGS, HORIZON_S, 1.0, every_s=5.0), y, good)
    near, far = (Rolling.of(TAGS, HORIZON_S, 1.0, every_s=5.0) for _ in range(2))
    for rolling, at_s in ((near, 300.0), (far, 330.0)):
        restore(rolling, copied(first), range(TAGS), first.names)
        rolling.step(at_s, np.zeros(TAGS), np.zeros(TAGS, bool))
    assert (far.forecast(0).sd > near.forecast(0).sd).all()
