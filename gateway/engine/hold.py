"""Manual input, and a model that stands in for a sensor: they win over the source until they are released.

Meanwhile the newest sample of the source is kept aside. Manual input wins over a model.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gateway.engine import align
from gateway.engine.where import ALWAYS, NEVER
from gateway.model import quality
from gateway.model.batch import Rows, SampleBatch
from gateway.model.quality import BAD
from gateway.model.update import Columns

if TYPE_CHECKING:
    from gateway.engine.engine import Engine
    from gateway.engine.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Held:
    """What the source of an overridden tag says. gate_ns and made as the twin's columns."""

    value: float
    status: int
    source_ns: int
    gate_ns: int
    made: bool
    text: str | None = None

    def newer(self, value: float, status: int, source_ns: int, text: str | None) -> "Held":
        """With one more sample: the newest counts; a Bad one keeps the value."""
        if source_ns <= self.gate_ns:
            return self
        kept = self.value if status >= BAD else value
        return Held(kept, status, source_ns, source_ns, False, self.text if text is None else text)

    def marked(self, status: int) -> "Held":
        """With the gateway's word on its link."""
        return replace(self, status=status, made=True, gate_ns=ALWAYS)

    def unordered(self) -> "Held":
        """With the order of samples to be learned anew; that of a derived tag has none."""
        return self if self.gate_ns == NEVER else replace(self, gate_ns=ALWAYS)

    def computed(self, value: float, status: int, source_ns: int) -> "Held":
        """With one more result of a derived tag."""
        return replace(self, value=self.value if np.isnan(value) else value, status=status, source_ns=source_ns)


def manual(engine: "Engine", outcome: "Outcome", batch: SampleBatch, received_ns: int) -> None:
    """Manual input: always the newest, GoodLocalOverride; what is no value of the tag's type is refused."""
    source_ns, outcome.n_skewed = align.corrected(batch, received_ns)
    for turn in align.rounds(batch, source_ns, engine.known(outcome, batch)):
        rows = turn.tag_id.astype(np.intp)
        value, status, _, _ = engine.validity.check(rows, turn.value, np.zeros(rows.size, np.uint32), engine.twin.value)
        usable = np.flatnonzero(status < np.uint32(quality.BAD))
        outcome.n_refused += rows.size - usable.size
        if usable.size:
            sample, rows = align.part(batch, turn, usable), rows[usable]
            _override(engine, rows)
            engine.twin.received_ns[rows] = received_ns
            status = np.full(rows.size, quality.GOOD_LOCAL_OVERRIDE, np.uint32)
            engine.apply(outcome, rows, rows, Columns(sample.tag_id, value[usable], status, sample.source_ns, sample.text))


def stand_in(engine: "Engine", outcome: "Outcome", batch: SampleBatch, received_ns: int) -> None:
    """A model's values in place of a sensor's: UncertainSubstituteValue (Part 8, 6.3.3), which all that is derived from them inherits.

    Tags under manual input, and such as have no source, stay as they are.
    """
    source_ns, outcome.n_skewed = align.corrected(batch, received_ns)
    for turn in align.rounds(batch, source_ns, engine.known(outcome, batch)):
        rows, twin = turn.tag_id.astype(np.intp), engine.twin
        value, status, _, _ = engine.validity.check(rows, turn.value, np.zeros(rows.size, np.uint32), twin.value)
        by_hand = twin.overridden[rows] & (twin.status[rows] != np.uint32(quality.UNCERTAIN_SUBSTITUTE))
        usable = np.flatnonzero((status < np.uint32(quality.BAD)) & ~by_hand & ~engine.computed[rows])
        outcome.n_refused += rows.size - usable.size
        if usable.size:
            sample, rows = align.part(batch, turn, usable), rows[usable]
            _override(engine, rows)
            twin.received_ns[rows] = received_ns
            status = np.full(rows.size, quality.UNCERTAIN_SUBSTITUTE, np.uint32)
            engine.apply(outcome, rows, rows, Columns(sample.tag_id, value[usable], status, sample.source_ns, sample.text))


def _override(engine: "Engine", rows: Rows) -> None:
    twin = engine.twin
    for row in rows.tolist():
        if row not in engine.held:
            state = twin.value.item(row), twin.status.item(row), twin.source_ns.item(row), twin.gate_ns.item(row), twin.made.item(row)
            engine.held[row] = Held(*state, twin.text.get(row))
    twin.gate_ns[rows], twin.made[rows], twin.overridden[rows] = NEVER, False, True
    engine.strays.forget(rows)


def set_aside(engine: "Engine", outcome: "Outcome", sample: Columns) -> None:
    """Samples of tags under manual input."""
    rows = sample.tag_id.astype(np.intp)
    value, status, refused, _ = engine.validity.check(rows, sample.value, sample.status, engine.twin.value)
    outcome.n_refused += refused
    outcome.n_overridden += rows.size
    columns = zip(rows.tolist(), value.tolist(), status.tolist(), sample.source_ns.tolist(), strict=True)
    for row, (tag_id, number, code, at_ns) in enumerate(columns):
        engine.held[tag_id] = engine.held[tag_id].newer(number, code, at_ns, sample.text.get(row))


def release(engine: "Engine", outcome: "Outcome", tag_id: int, held: Held) -> None:
    """What was kept aside is shown."""
    twin, rows = engine.twin, np.array([tag_id], np.intp)
    twin.gate_ns[rows], twin.made[rows], twin.overridden[rows] = held.gate_ns, held.made, False
    engine.stale.heard(twin.received_ns.item(tag_id))
    value = twin.value.item(tag_id) if np.isnan(held.value) else held.value
    source_ns = held.source_ns if held.source_ns > twin.source_ns.item(tag_id) else outcome.now_ns
    columns = np.array([value]), np.array([held.status], np.uint32), np.array([source_ns], np.int64)
    text = {} if held.text is None else {0: held.text}
    engine.apply(outcome, rows, rows, Columns(rows.astype(np.int32), *columns, text))
