"""Replay: the engine on recorded input. A recording gives the same transitions and the same state, bit for bit, however often it is run."""

from collections import Counter
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import numpy as np

from gateway import own_alarms
from gateway.engine.engine import Engine
from gateway.events import of_transitions
from gateway.launch import load_site
from gateway.model.batch import TagIds
from gateway.model.event import Event
from gateway.model.instant import iso
from gateway.model.tag import TagTable
from gateway.model.update import TwinUpdate
from gateway.store.recording import Entry, read


def replay(recording: Path, config: Path) -> dict[str, Any]:
    """Run a recording: counts, alarms, state hash and whether it equals the recorded one. Raises SettingsError, ValueError, OSError.

    `*.etrec` is exact; CSV and Parquet (columns tag, timestamp, value) are one batch per distinct timestamp, the engine's time too.
    """
    site = load_site(config)
    engine = Engine(site.tags, own_alarms.rules(site), site.derived, site.sync)
    report = _recorded(engine, site.tags, recording) if recording.suffix == ".etrec" else _imported(engine, site.tags, recording)
    return {"recording": str(recording), **report}


def _recorded(engine: Engine, tags: TagTable, path: Path) -> dict[str, Any]:
    recording = read(path)
    if recording.snapshot is not None:
        engine.restore(recording.snapshot)
    own_id = np.array([tags.index.get(name, -1) for name in recording.header["tags"]], np.int32)
    tally = _Tally()
    for entry in recording.entries:
        tally.take(_own(entry, own_id).apply(engine))
    state_hash = engine.state_hash()
    recorded = recording.state_hash
    return tally.report() | {
        "state_hash": state_hash,
        "recorded_hash": recorded,
        "equal": None if recorded is None else recorded == state_hash,
        "fault": recording.fault,
    }


def _imported(engine: Engine, tags: TagTable, path: Path) -> dict[str, Any]:
    from gateway.store.exchange import batches

    tally = _Tally()
    for now_ns, batch in batches(path, tags):
        while (deadline := engine.next_deadline()) is not None and deadline <= now_ns:
            tally.take(engine.tick(deadline))
        tally.take(engine.step(batch, now_ns))
    return tally.report() | {"state_hash": engine.state_hash(), "recorded_hash": None, "equal": None, "fault": None}


def _own(entry: Entry, own_id: TagIds) -> Entry:
    """The entry with this site's rows in place of the recorded ones; -1 for a tag that is not here, which the engine refuses and counts."""
    if entry.batch is not None:
        return changed(entry, batch=changed(entry.batch, tag_id=own_id[entry.batch.tag_id]))
    if "tag_ids" in entry.args:
        return changed(entry, args={**entry.args, "tag_ids": own_id[entry.args["tag_ids"]].tolist()})
    return entry


class _Tally:
    """Counts and transitions of a replay."""

    def __init__(self) -> None:
        self.steps = self.samples = self.late = 0
        self.events: list[Event] = []

    def take(self, update: TwinUpdate | None) -> None:
        self.steps += 1
        if update is not None:
            self.samples += len(update.rows)
            self.late += len(update.late)
            self.events += of_transitions(update.transitions)

    def report(self) -> dict[str, Any]:
        alarms = [
            {"time": iso(event.timestamp_ns), "source": event.source, "message": event.message, **_essence(event)} for event in self.events
        ]
        changes = Counter(alarm["change"] for alarm in alarms)
        return {"steps": self.steps, "samples": self.samples, "late": self.late, "changes": dict(sorted(changes.items())), "alarms": alarms}


def _essence(event: Event) -> dict[str, Any]:
    return {key: event.details[key] for key in ("condition", "change", "level", "actual_value", "threshold", "user", "comment")}
