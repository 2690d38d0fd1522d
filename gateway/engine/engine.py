"""The engine: samples in, the twin's change out. A pure function of (batches, times): equal calls give equal states, bit for bit.

One step: delays that are over -> align -> validity -> twin -> deadband and alarms -> derived tags, on the same road -> commit when due.
Only + - * / sqrt, comparison and integers are used. A step costs by the batch; a tick or a commit may pass over the table.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from gateway.engine import actions, align, hold, keep, reload, runs
from gateway.engine.alarms import Alarms
from gateway.engine.deadband import Deadband
from gateway.engine.derived import Derived, Results
from gateway.engine.hold import Held
from gateway.engine.outcome import Outcome
from gateway.engine.pace import Pace
from gateway.engine.stale import Staleness
from gateway.engine.stray import Strays
from gateway.engine.twin import Twin
from gateway.engine.validity import Validity
from gateway.engine.where import ALWAYS, NEVER, Where, distinct, every, some
from gateway.model import quality
from gateway.model.alarm import Action, AlarmRule, Condition, ConditionRefused
from gateway.model.batch import Mask, Origin, Rows, SampleBatch
from gateway.model.derived import DerivedRule
from gateway.model.forecast import Alert
from gateway.model.quality import Statuses
from gateway.model.sync import Sync
from gateway.model.tag import DERIVED, MANUAL, TagTable
from gateway.model.update import Columns, TwinUpdate

_BY_HAND: Final = frozenset({Origin.MANUAL, Origin.MODEL})


class Engine:
    """The live twin and everything that watches it. Build it once per boot; `retable` follows a reload."""

    def __init__(self, tags: TagTable, rules: Sequence[AlarmRule], derived: Sequence[DerivedRule], sync: Sync) -> None:
        """Raises ValueError (ExpressionError, CycleError) where rules and tags do not fit each other."""
        self.twin = Twin(tags, sync)
        self.alarms = self.twin.alarms = Alarms(rules, len(tags))
        self.derived = Derived(derived, tags)
        self.deadband = Deadband.of(tags.deadband)
        self.validity = Validity.of(tags)
        self.stale = Staleness(tags)
        self.strays = Strays(len(tags))
        self.pace = Pace(sync)
        self.held: dict[int, Held] = {}
        self.now_ns = 0  # engine time of the last call
        self.computed: Mask = np.array([tag.source == DERIVED for tag in tags], bool)
        self.owed: reload.Owed | None = None  # what a reload or a restart left to tell, with the next call
        self._names: keep.Names | None = None
        self.constants_due = True  # formulas that read no tag are computed once

    @property
    def view(self) -> Twin:
        """The TwinView for sinks and web; the same object for the engine's whole life."""
        return self.twin

    # --- the verbs ----------------------------------------------------------------------------------------------------------------------

    def step(self, batch: SampleBatch, now_ns: int) -> TwinUpdate:
        """Apply a batch at engine time now_ns. O(batch).

        Of any call: a now_ns more than a minute before the last one is a wall clock set back unannounced (a start with a wrong clock).
        """
        by_hand = batch.origin in _BY_HAND  # whose rows are recorded as such: nobody else's may stand among them
        outcome = self._begin(now_ns, by_hand=by_hand)
        if len(batch):
            received_ns = batch.received_ns or now_ns
            if batch.origin is Origin.SOURCE:
                self._sources(outcome, batch, received_ns)
            elif batch.origin is Origin.AGAIN:
                older = align.overtaken(batch, self.twin.made, self.twin.source_ns)
                self._late(outcome, batch, align.whole(batch), np.flatnonzero(older))
                self._sources(outcome, batch.pick(np.flatnonzero(~older)), received_ns)
            elif batch.origin is Origin.MANUAL:
                hold.manual(self, outcome, batch, received_ns)
            elif batch.origin is Origin.MODEL:
                hold.stand_in(self, outcome, batch, received_ns)
            else:
                self._gateway(outcome, batch)
        if not by_hand:
            self._silence(outcome)
        return self._end(outcome)

    def tick(self, now_ns: int) -> TwinUpdate:
        """What time alone brings: delays, silence, commits. May pass over the table."""
        outcome = self._begin(now_ns)
        self._silence(outcome)
        return self._end(outcome)

    def _silence(self, outcome: Outcome) -> None:
        if outcome.now_ns >= self.stale.due_min:
            exempt = self.twin.made | self.twin.overridden
            silent = self.stale.silent(outcome.now_ns, self.twin.received_ns, self.twin.status, exempt)
            if silent.size:
                self._mark(outcome, silent, np.full(silent.size, quality.UNCERTAIN_LAST_USABLE, np.uint32))

    def next_deadline(self) -> int | None:
        """Engine ns at which tick has something to do (it may turn out to be nothing); None while there is nothing to wait for."""
        due = self.now_ns if self.owed is not None else min(self.alarms.due_min, self.stale.due_min, self.pace.deadline(self.twin.dirty))
        return None if due == NEVER else max(due, self.now_ns)

    def operate(
        self, condition: str, action: Action, now_ns: int, *, user: str = "", comment: str | None = None, duration_ns: int = 0
    ) -> TwinUpdate:
        """Do what a person asks to a condition, by its name; comment None: what was said before stays; duration_ns: of SHELVE.

        Raises KeyError for an unknown name, ConditionRefused where its state forbids it; then nothing has happened. Where what falls due at
        this very moment leaves nothing to do, the update has no transition of it.
        """
        actions.check(self.alarms.condition(condition), action, duration_ns)
        outcome = self._begin(now_ns)
        if outcome.transitions:
            try:
                actions.check(self.alarms.condition(condition), action, duration_ns)
            except ConditionRefused:
                return self._end(outcome)
        outcome.transitions += actions.act(self.alarms, condition, action, now_ns, (user, comment), duration_ns, self.twin)
        return self._end(outcome)

    def acknowledge(self, condition: str, now_ns: int, user: str, comment: str) -> TwinUpdate:
        """ACKNOWLEDGE, without a transition where it is acknowledged already or disabled. Raises KeyError for an unknown name."""
        try:
            return self.operate(condition, Action.ACKNOWLEDGE, now_ns, user=user, comment=comment)
        except ConditionRefused:
            return self._end(self._begin(now_ns))

    def system(self, condition: str, active: bool, now_ns: int, message: str = "") -> TwinUpdate:
        """How it stands with the gateway itself, for a rule of kind SYSTEM; no transition where nothing changes.

        message says what, while it comes. Raises KeyError where there is no such rule.
        """
        if condition not in self.alarms.place:
            raise KeyError(condition)
        outcome = self._begin(now_ns)
        outcome.transitions += actions.system(self.alarms, condition, active, now_ns, message, self.twin)
        return self._end(outcome)

    def foretell(self, alerts: Iterable[Alert], now_ns: int) -> TwinUpdate:
        """What the newest forecasts say of limits, for rules of kind PREDICTED, each condition at most once.

        A condition that is unknown is left out; none begins while its limit is passed already, and one ends with the alarm it foretold.
        """
        outcome = self._begin(now_ns)
        outcome.transitions += actions.foretell(self.alarms, alerts, now_ns, self.twin)
        return self._end(outcome)

    def condition(self, name: str) -> Condition:
        """One condition as it stands, O(1). Raises KeyError."""
        return self.alarms.condition(name)

    def release(self, tag_ids: Iterable[int], now_ns: int) -> TwinUpdate:
        """End manual input: the newest sample that was kept aside is shown. Tags that are not overridden, or have no source, stay."""
        outcome = self._begin(now_ns)
        for tag_id in dict.fromkeys(tag_ids):
            if tag_id in self.held and self.twin.tags[tag_id].source != MANUAL:
                hold.release(self, outcome, tag_id, self.held.pop(tag_id))
        return self._end(outcome)

    def commit(self, now_ns: int) -> TwinUpdate:
        """End a twin commit now, whatever the mode."""
        return self._end(self._begin(now_ns), asked=True)

    def rebase(self, delta_ns: int) -> None:
        """The wall clock stepped by delta_ns: everything that waits for an engine time, and every age, moves along.

        The order of samples is learned anew, from the next one of each tag: times that were stamped here, or judged against this clock,
        are of the old one, and would bar what comes now.
        """
        twin = self.twin
        self.alarms.shift(delta_ns)
        twin.received_ns[twin.received_ns != 0] += delta_ns
        twin.gate_ns[twin.gate_ns != NEVER] = ALWAYS
        self.strays = Strays(len(twin.tags))
        self.held = {tag_id: held.unordered() for tag_id, held in self.held.items()}
        self.stale.due_min = 0 if self.stale.rows.size else NEVER
        self.pace.shift(delta_ns)
        self.now_ns += delta_ns

    def retable(self, tags: TagTable, rules: Sequence[AlarmRule], derived: Sequence[DerivedRule]) -> None:
        """A reload: rows of names that stay keep their place and state, names that went are disabled, new ones are appended.

        What changed by it (tags out of service, alarms whose rule is gone) comes with the next call, which next_deadline asks for at once.
        Raises ValueError, and leaves everything as it was, where the new table does not fit.
        """
        reload.retable(self, tags, Alarms(rules, len(tags)), Derived(derived, tags))

    def snapshot(self) -> bytes:
        """Everything that a restart needs, by tag and condition name; the ring of commits is not part of it."""
        return keep.snapshot(self)

    def restore(self, blob: bytes) -> None:
        """Take over a snapshot, also of another configuration: names that are gone are left out.

        Conditions that stood under them end with the next call. Raises ValueError for a damaged blob.
        """
        keep.restore(self, blob)

    def replay(self, batch: SampleBatch, now_ns: int) -> None:
        """After restore: a step from disk since the snapshot, told of before the restart. What the restart itself has to tell is kept."""
        keep.replay(self, batch, now_ns)

    def names(self) -> keep.Names:
        """The order of the state by name; made once per table."""
        if self._names is None or self._names.table is not self.twin.tags or self._names.alarms is not self.alarms:
            self._names = keep.Names.of(self.twin.tags, self.alarms)
        return self._names

    def state_hash(self) -> str:
        """SHA-256 in hexadecimal over the state by name: equal for equal states, whatever the order of tags."""
        return keep.state_hash(self)

    # --- three origins ------------------------------------------------------------------------------------------------------------------

    def _sources(self, outcome: Outcome, batch: SampleBatch, received_ns: int) -> None:
        picked = distinct(batch.tag_id, self.twin.value.size)
        if picked is None or not align.believable(batch.source_ns, received_ns):
            self._sort_out(outcome, batch, received_ns)
            return
        where, rows = picked
        if every(batch.source_ns > self.twin.gate_ns[where]):
            columns = Columns(batch.tag_id, batch.value, batch.status, batch.source_ns, batch.text)
            self._accept(outcome, where, rows, columns, received_ns)
        else:
            turn = align.whole(batch)
            self._one_round(outcome, batch, turn, received_ns)

    def _accept(self, outcome: Outcome, where: Where, rows: Rows, sample: Columns, received_ns: int) -> None:
        """New samples of sources, each tag once."""
        twin = self.twin
        value, status, refused, plain = self.validity.check(where, sample.value, sample.status, twin.value)
        outcome.n_refused += refused
        twin.gate_ns[where] = sample.source_ns
        twin.made[where] = False
        twin.received_ns[where] = received_ns
        self.stale.heard(received_ns)
        self.apply(outcome, where, rows, Columns(sample.tag_id, value, status, sample.source_ns, sample.text), plain=plain)

    def _sort_out(self, outcome: Outcome, batch: SampleBatch, received_ns: int) -> None:
        """The slow road: repeated or unknown tags, doubtful times."""
        count = align.lapped(batch, self.twin.value.size) if align.believable(batch.source_ns, received_ns) else 0
        for number in range(count):
            self._sources(outcome, batch.lap(number, len(batch) // count), received_ns)
        if count:
            return
        source_ns, outcome.n_skewed = align.corrected(batch, received_ns)
        rows = self.known(outcome, batch)
        parted = runs.split(batch, source_ns, rows, self.twin, self.validity, self.alarms, self.derived.feeds)
        if parted is not None:
            self._run(outcome, parted, received_ns)
            rows = parted.rest
        for turn in align.rounds(batch, source_ns, rows):
            self._one_round(outcome, batch, turn, received_ns)

    def _run(self, outcome: Outcome, parted: runs.Runs, received_ns: int) -> None:
        columns, last, twin = parted.columns, parted.last, self.twin
        rows = columns.tag_id[last].astype(np.intp)
        twin.put(rows, rows, columns.value[last], columns.status[last], columns.source_ns[last])
        twin.gate_ns[rows], twin.made[rows], twin.received_ns[rows] = columns.source_ns[last], False, received_ns
        self.stale.heard(received_ns)
        outcome.rows.append(columns)
        outcome.reported.append(runs.report(self.deadband, columns, last))

    def known(self, outcome: Outcome, batch: SampleBatch) -> Rows:
        """The batch's rows of tags that are in the table and enabled; the others are counted."""
        inside = (batch.tag_id >= 0) & (batch.tag_id < self.twin.value.size)
        inside[inside] = self.twin.tags.enabled[batch.tag_id[inside]]
        outcome.n_refused += len(batch) - int(np.count_nonzero(inside))
        return np.flatnonzero(inside)

    def _one_round(self, outcome: Outcome, batch: SampleBatch, turn: align.Round, received_ns: int) -> None:
        rows = turn.tag_id.astype(np.intp)
        gate_ns = self.twin.gate_ns[rows]
        fresh, barred = turn.source_ns > gate_ns, gate_ns == NEVER
        if some(barred):
            held = barred & self.twin.overridden[rows]
            outcome.n_refused += int(np.count_nonzero(barred & ~held))
            hold.set_aside(self, outcome, align.part(batch, turn, np.flatnonzero(held)))
            self.twin.received_ns[rows[held]] = received_ns
        old = np.flatnonzero(~fresh & ~barred)
        if old.size:
            self.twin.received_ns[rows[old]] = received_ns  # an old sample is a sign of life too
            self.stale.heard(received_ns)
            again = self.strays.weigh(rows[old], turn.source_ns[old], gate_ns[old], outcome.now_ns)
            if some(again):
                outcome.n_reordered += int(np.count_nonzero(again))
                self.derived.pause(rows[old[again]])
                fresh[old[again]], old = True, old[~again]
            self._late(outcome, batch, turn, old)
        new = np.flatnonzero(fresh)
        if new.size:
            self._accept(outcome, rows[new], rows[new], align.part(batch, turn, new), received_ns)

    def _late(self, outcome: Outcome, batch: SampleBatch, turn: align.Round, pick: Rows) -> None:
        """Not newer than the newest: an exact duplicate of it is dropped, the rest is for history."""
        sample, twin = align.part(batch, turn, pick), self.twin
        rows = sample.tag_id.astype(np.intp)
        value, status, refused, _ = self.validity.check(rows, sample.value, sample.status, twin.value)
        value = np.where(status < np.uint32(quality.BAD), value, np.nan)
        same = (sample.source_ns == twin.gate_ns[rows]) & (status == twin.status[rows])
        same &= (value == twin.value[rows]) | np.isnan(value)
        for row, text in sample.text.items():
            same[row] &= twin.text.get(int(rows[row])) == text
        outcome.n_duplicate += int(np.count_nonzero(same))
        outcome.n_refused += refused
        late = np.flatnonzero(~same)
        if late.size:
            texts = {place: sample.text[row] for place, row in enumerate(late.tolist()) if row in sample.text}
            outcome.add_late(Columns(sample.tag_id[late], value[late], status[late], sample.source_ns[late], texts))

    def _gateway(self, outcome: Outcome, batch: SampleBatch) -> None:
        """The gateway's word on links: changes the status; keeps value, source time and the order of source times."""
        for turn in align.rounds(batch, batch.source_ns, self.known(outcome, batch)):
            rows = turn.tag_id.astype(np.intp)
            take = ~self.computed[rows]
            outcome.n_refused += rows.size - int(np.count_nonzero(take))
            for place in np.flatnonzero(take & self.twin.overridden[rows]).tolist():
                row = int(rows[place])
                self.held[row] = self.held[row].marked(int(turn.status[place]))
                outcome.n_overridden += 1
                take[place] = False
            told = take & self.twin.made[rows] & (self.twin.status[rows] == turn.status)
            outcome.n_duplicate += int(np.count_nonzero(told))
            pick = np.flatnonzero(take & ~told)
            if pick.size:
                self._mark(outcome, rows[pick], turn.status[pick])

    def _mark(self, outcome: Outcome, rows: Rows, status: Statuses) -> None:
        twin = self.twin
        twin.gate_ns[rows] = np.where(twin.tags.enabled[rows], np.int64(ALWAYS), np.int64(NEVER))
        twin.made[rows] = True
        self.strays.forget(rows)
        self.apply(outcome, rows, rows, Columns(rows.astype(np.int32), twin.value[rows], status, twin.source_ns[rows]))

    # --- the one road -------------------------------------------------------------------------------------------------------------------

    def apply(self, outcome: Outcome, where: Where, rows: Rows, sample: Columns, *, plain: bool = False, follow: bool = True) -> None:
        """Show k samples, each tag once: twin, deadband, alarms, and then what is derived from them. plain: all are plain Good."""
        twin = self.twin
        also = self._texts(rows, sample) if sample.text else None
        twin.put(where, rows, sample.value, sample.status, sample.source_ns)
        reported = self.deadband.report(where, sample.value, sample.status, also)
        outcome.transitions += self.alarms.evaluate(where, rows, sample.value, sample.status, outcome.now_ns, plain, twin)
        outcome.rows.append(sample)
        outcome.reported.append(reported)
        if follow and some(self.derived.feeds[where]):
            self.derive(outcome, rows[self.derived.feeds[where]])

    def _texts(self, rows: Rows, sample: Columns) -> Mask:
        changed = np.zeros(rows.size, bool)
        for row, text in sample.text.items():
            tag_id = int(rows[row])
            if self.validity.text[tag_id]:
                changed[row] = self.twin.text.get(tag_id) != text
                self.twin.put_text(tag_id, text)
        return changed

    def derive(self, outcome: Outcome, changed: Rows) -> None:
        """What follows from these rows, each of which feeds an expression."""
        twin = self.twin
        self._derived(outcome, self.derived.evaluate(changed, twin.value, twin.status, twin.source_ns, self.held))

    def _derived(self, outcome: Outcome, results: Results) -> None:
        twin = self.twin
        free = ~twin.overridden[results.rows]
        for place in np.flatnonzero(~free).tolist():
            tag_id = int(results.rows[place])
            computed = results.value.item(place), results.status.item(place), results.source_ns.item(place)
            self.held[tag_id] = self.held[tag_id].computed(*computed)
        rows = results.rows[free]
        if rows.size:
            value, status, refused, _ = self.validity.check(rows, results.value[free], results.status[free], twin.value)
            outcome.n_refused += refused
            self.apply(outcome, rows, rows, Columns(rows.astype(np.int32), value, status, results.source_ns[free]), follow=False)

    def _begin(self, now_ns: int, *, by_hand: bool = False) -> Outcome:
        outcome = Outcome(now_ns)
        twin = self.twin
        if now_ns < self.now_ns - keep.MINUTE_NS:
            self.rebase(now_ns - self.now_ns)
        self.now_ns = twin.at_ns = now_ns
        outcome.transitions += self.alarms.expire(now_ns, twin)
        if self.owed is not None and not by_hand:
            reload.pay(self, self.owed, outcome)
        if self.constants_due:
            self.constants_due = False
            self._derived(outcome, self.derived.constants(now_ns, twin.value, twin.status, twin.source_ns))
        return outcome

    def _end(self, outcome: Outcome, *, asked: bool = False) -> TwinUpdate:
        twin = self.twin
        if not asked and not self.pace.due(outcome.now_ns, twin.dirty):
            return outcome.update(twin.version, None, 0)
        self.pace.committed(outcome.now_ns)
        rows = twin.commit(outcome.now_ns)
        return outcome.update(twin.version, rows, rows.size)
