"""The columns decide what the plainest conditions decide: levels, setpoints, rates, latches, shelving, re-alarms, and every action."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.plain_conditions import PlainCondition
from engine.rig import T0, S, batch, build, rule, table, tag
from gateway.model import quality
from gateway.model.alarm import Action, AlarmRule, ConditionRefused, Level, Limit

TAGS = table("a", "sp", "b", "run", "start", tag("c"))
LEVELS = (Level(Limit.LOLO, 1, 700), Level(Limit.LO, 2, 300), Level(Limit.HI, 8, 300), Level(Limit.HIHI, 9, 800))
RULES = [
    AlarmRule(0, "a", Limit.LEVEL, 0, 0.75, levels=LEVELS, severity=800, on_delay_ns=2 * S, off_delay_ns=S, re_alarm_ns=7 * S),
    AlarmRule(0, "a", Limit.DEV, 3, 0.5, target_id=1, confirm=True, latch=True, on_delay_ns=S),
    replace(rule(TAGS, "a", "BAD"), latch=True, re_alarm_ns=5 * S),
    AlarmRule(2, "b", Limit.LEVEL, 0, 20, levels=LEVELS[1:3], severity=300, latch=True, confirm=True),
    AlarmRule(2, "b", Limit.ROC, 1, 0.25, on_delay_ns=3 * S, off_delay_ns=S, shelve_max_ns=9 * S),
    AlarmRule(2, "b", Limit.DEV, 2, target_id=1, off_delay_ns=4 * S, re_alarm_ns=3 * S),
    AlarmRule(3, "run", Limit.DISC, 0, target_id=4, on_delay_ns=4 * S, shelve_max_ns=6 * S),
    AlarmRule(3, "run", Limit.STATE, 1, confirm=True),
    AlarmRule(5, "c", Limit.ROC, 2, 0.5, latch=True),
    replace(rule(TAGS, "c", "LO", 2, 1), re_alarm_ns=4 * S, confirm=True, latch=True),
]
VALUES = st.sampled_from([0.0, 1.0, 0.5, 1.75, 2.0, 2.5, 2.75, 4.0, 5.0, 7.25, 7.5, 8.0, 8.25, 8.75, 9.0, 9.5, 20.0])
STATUS = st.sampled_from([0, 0, 0, 0, 0, quality.UNCERTAIN, quality.BAD])
SAMPLES = st.dictionaries(st.integers(0, 5), st.tuples(VALUES, STATUS), min_size=1, max_size=4)
NAMES = st.sampled_from([one.condition for one in RULES])
ACTION = st.tuples(
    NAMES, st.sampled_from(list(Action)), st.sampled_from([0, 2 * S, 5 * S, 8 * S, 10**18]), st.sampled_from([None, None, "", "seen"])
)
CALL = st.one_of(
    SAMPLES.map(lambda what: ("step", what)),
    SAMPLES.map(lambda what: ("step", what)),
    ACTION.map(lambda what: ("act", what)),
    ACTION.map(lambda what: ("act", what)),
    st.sampled_from([("tick", None), ("restart", None)]),
)


def state(c):
    """As PlainCondition.state."""
    return (
        c.active, c.acknowledged, c.confirmed, c.latched, c.enabled, c.suppressed, c.out_of_service, c.shelving, c.unshelve_ns, c.level,
        c.severity, c.last_severity, c.serial, c.raised_serial, c.since_ns, c.active_ns, repr(c.value), c.status, c.user, c.comment,
        c.comment_user, c.comment_ns,
    )  # fmt: skip


class World:
    """The engine and the plain conditions side by side."""

    def __init__(self) -> None:
        self.engine = build(TAGS, RULES)
        self.plain = {one.condition: PlainCondition(one) for one in RULES}
        self.tags = {k: (float("nan"), quality.BAD_WAITING_FOR_INITIAL_DATA, 0) for k in range(len(TAGS))}
        self.now = T0

    def play(self, what, details):
        for one in self.plain.values():
            one.told.clear()
        transitions = getattr(self, what)(details)
        told = [(t.rule.condition, t.change, t.at_ns, *state(t.condition)) for t in transitions]
        assert all(t.condition.change is t.change for t in transitions)
        for name, one in self.plain.items():
            assert [row for row in told if row[0] == name] == one.told
            assert state(self.engine.condition(name)) == one.state(), name
        deadlines = [at for one in self.plain.values() if (at := one.deadline()) is not None]
        assert self.engine.alarms.deadline() == min(deadlines, default=2**63 - 1)
        assert self.engine.alarms.due_min <= self.engine.alarms.deadline()
        retained = [one.rule for one in self.engine.view.conditions() if one.retained]
        assert [one.rule for one in self.engine.view.retained()] == retained

    def step(self, samples):
        self._expire()
        for tag_id, (value, status) in samples.items():
            shown = self.tags[tag_id][0] if status >= quality.BAD else value
            self.tags[tag_id] = (shown, status, self.now)
        for one in self.plain.values():
            known = self.tags[one.rule.tag_id][1] != quality.BAD_WAITING_FOR_INITIAL_DATA
            if one.rule.tag_id in samples or (one.rule.target_id in samples and known):
                one.weigh(self.tags, self.now)
        values, statuses = zip(*samples.values(), strict=True)
        at_s = (self.now - T0) / S
        return self.engine.step(batch(list(samples), values, at_s, statuses), self.now).transitions

    def tick(self, _):
        self._expire()
        return self.engine.tick(self.now).transitions

    def restart(self, _):
        fresh = build(TAGS, RULES)
        fresh.restore(self.engine.snapshot())
        assert fresh.state_hash() == self.engine.state_hash()
        self.engine = fresh
        return ()

    def act(self, what):
        name, action, duration, comment = what
        one = self.plain[name]
        why = one.refused(action, duration)
        if why is not None:
            before = self.engine.state_hash()
            with pytest.raises(ConditionRefused) as caught:
                self.engine.operate(name, action, self.now, duration_ns=duration)
            assert (caught.value.status, self.engine.state_hash()) == (why, before)
            return ()
        self._expire()
        if one.refused(action, duration) is None:
            one.act(action, ("anna", comment), duration, self.tags, self.now)
            if action is Action.ENABLE and self.tags[one.rule.tag_id][1] != quality.BAD_WAITING_FOR_INITIAL_DATA:
                one.weigh(self.tags, self.now)
        return self.engine.operate(name, action, self.now, user="anna", comment=comment, duration_ns=duration).transitions

    def _expire(self):
        for one in self.plain.values():
            one.expire(self.tags, self.now)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), CALL), max_size=40))
def test_the_columns_decide_what_the_plainest_conditions_decide(calls):
    world = World()
    for elapsed, (what, details) in calls:
        world.now += max(elapsed, int(what == "step")) * S  # a sample that is not newer is none
        world.play(what, details)
