"""A replay of a recording is the live run again: same alarms, same state, bit for bit; and a restart goes on where the store ended."""

import numpy as np

from gateway.engine.engine import Engine
from gateway.model.alarm import AlarmRule, Limit
from gateway.model.batch import Origin, SampleBatch
from gateway.model.derived import DerivedRule
from gateway.model.sync import Sync
from gateway.store.recording import Recorder, read
from gateway.store.store import Commit, Step

from .conftest import NOW, SECOND, TAGS

RULES = [AlarmRule(0, "line.temp", Limit.HI, 60.0, 1.0, on_delay_ns=2 * SECOND), AlarmRule(1, "line.speed", Limit.LO, 40.0)]
DERIVED_RULES = [DerivedRule(3, "line.double", "line.temp * 2")]


def engine():
    return Engine(TAGS, RULES, DERIVED_RULES, Sync())


def entries(seed, n=400):
    """What a plant, its links, a person and the clock do, at random: (kind, time, argument)."""
    rng = np.random.default_rng(seed)
    for k in range(n):
        now_ns = NOW + k * SECOND // 2
        chance = rng.random()
        if chance < 0.8:
            size = int(rng.integers(1, 5))
            ids = rng.integers(0, 3, size)
            source = now_ns - rng.integers(0, 2 * SECOND, size)
            value = np.where(ids == 2, np.nan, np.round(rng.normal(50, 15, size), 2))
            status = rng.choice(np.array([0, 0, 0, 0x80310000, 0x40900000], np.uint32), size)
            text = {row: f"recipe {rng.integers(3)}" for row in np.flatnonzero(ids == 2).tolist()}
            origin = Origin(int(rng.choice([0, 0, 0, 0, 1, 2])))
            yield "step", now_ns, SampleBatch.of(ids, value, status, source, received_ns=now_ns, text=text, origin=origin)
        elif chance < 0.95:
            yield "tick", now_ns, None
        else:
            yield "release", now_ns, {"tag_ids": [0, 1, 2]}


def run(live, recorder, seed):
    transitions = []
    for kind, now_ns, given in entries(seed):
        if kind == "step":
            recorder.step(given, now_ns)
            update = live.step(given, now_ns)
        elif kind == "tick":
            recorder.tick(now_ns)
            update = live.tick(now_ns)
        else:
            recorder.command(kind, now_ns, given)
            update = live.release(given["tag_ids"], now_ns)
        transitions += update.transitions
        yield update, given, transitions


def test_a_replay_is_the_live_run_again(tmp_path):
    live = engine()
    recorder = Recorder(tmp_path / "a.etrec", {"version": "1"}, live.snapshot())
    for _, _, found in run(live, recorder, seed=3):
        transitions = found
    recorder.close(live.state_hash())
    recording, again = read(tmp_path / "a.etrec"), engine()
    again.restore(recording.snapshot)
    repeated = [transition for entry in recording.entries for transition in (entry.apply(again) or live.tick(0)).transitions]
    assert len(transitions) > 10
    assert repeated == transitions
    assert again.state_hash() == live.state_hash() == recording.state_hash


async def test_a_restart_has_the_twin_of_the_last_commit(open_store, tmp_path):
    store, live = await open_store(), engine()
    recorder = Recorder(tmp_path / "a.etrec", {})
    for k, (update, given, _) in enumerate(run(live, recorder, seed=5)):
        origin = given.origin if isinstance(given, SampleBatch) else Origin.SOURCE
        snapshot = live.snapshot() if k % 50 == 0 or isinstance(given, dict) else None  # a command comes with a snapshot
        await store.commit(Commit([Step(update.now_ns, origin, update.rows, update.late)], snapshot=snapshot))
    recorder.close(None)
    await store.close()
    restored = await (await open_store()).restore()
    again = engine()
    again.restore(restored.snapshot)
    for now_ns, batch in restored.steps:
        again.step(batch, now_ns)
    np.testing.assert_array_equal(again.view.source_ns[:3], live.view.source_ns[:3])
    np.testing.assert_array_equal(again.view.value[:2], live.view.value[:2])
    assert dict(again.view.text) == dict(live.view.text)
