"""Golden cases: a folder each, with a configuration, what came in, and what the engine told. One loop runs them all.

input.csv     at_s, tag, value, status, source_s, origin: consecutive rows of one moment and origin are one message.
              status by name (empty = Good); source_s empty = at_s, `none` = the source gave no time.
              `tick` as the tag lets time pass; `ack`, `release` and `commit` are commands (value = the condition or tag), and so is
              every Action by its name (value = the condition, status = seconds of a shelving).
expected.csv  at_s, what, subject, value, status, source_s: what = report (passed the deadband), late, alarm (value = the change),
              commit (value = version, status = tags changed), count, condition (value = the change, status = how it stands then, as
              words, source_s = severity) with refused (value = the action, status = why). Only the kinds that the first line names count.
"""

import csv
import math
from itertools import groupby
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict

from gateway.engine.engine import Engine
from gateway.model import quality
from gateway.model.alarm import Action, ConditionRefused
from gateway.model.batch import Origin, SampleBatch
from gateway.model.reading import read
from gateway.settings import Plugins, load

S = 1_000_000_000
T0 = 1_700_000_000 * S
HERE = Path(__file__).parent
CODES = {quality.name(code): code for code in quality.__dict__.values() if isinstance(code, int) and not isinstance(code, bool)}
COMMANDS = ("tick", "ack", "release", "commit", *Action)


class Wire(BaseModel):
    """A source without an address space: the case is the source."""

    model_config = ConfigDict(frozen=True, extra="forbid")


PLUGINS = Plugins(drivers={"case": Wire}, upstream={}, sections={})


@pytest.mark.parametrize("case", sorted(path.parent.name for path in HERE.glob("*/config.yaml")))
def test_a_case_tells_what_it_is_expected_to(case):
    assert play(HERE / case) == (HERE / case / "expected.csv").read_text().splitlines()


def play(folder: Path) -> list[str]:
    """What the case told, in lines of expected.csv."""
    site = load(folder / "config.yaml", PLUGINS)
    engine = Engine(site.tags, site.rules, site.derived, site.sync)
    head = (folder / "expected.csv").read_text().splitlines()[0]
    kinds = set(head.partition("what=")[2].split("|"))
    lines = [head]
    with (folder / "input.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for (at_s, origin, command), group in groupby(rows, key=lambda row: (row["at_s"], row["origin"] or "SOURCE", is_command(row))):
        now = T0 + round(float(at_s) * S)
        while (deadline := engine.next_deadline()) is not None and deadline <= now:
            lines += told(engine, engine.tick(deadline), kinds)
        if command:
            for row in group:
                try:
                    lines += told(engine, commanded(engine, row, now), kinds)
                except ConditionRefused as refused:
                    lines.append(f"{seconds(now)},refused,{row['value']},{row['tag']},{quality.name(refused.status)},")
        else:
            lines += told(engine, engine.step(message(engine, list(group), now, Origin[origin]), now), kinds)
    return lines


def is_command(row):
    return row["tag"] if row["tag"] in COMMANDS else ""


def commanded(engine, row, now):
    if row["tag"] == "ack":
        return engine.acknowledge(row["value"], now, "anna", "seen")
    if row["tag"] in tuple(Action):
        shelved_ns = round(float(row["status"] or 0) * S)
        return engine.operate(row["value"], Action(row["tag"]), now, user="anna", comment="seen", duration_ns=shelved_ns)
    if row["tag"] == "release":
        return engine.release([engine.view.tags.index[row["value"]]], now)
    return engine.commit(now) if row["tag"] == "commit" else engine.tick(now)


def message(engine, rows, now, origin):
    tags = engine.view.tags
    ids = [tags.index.get(row["tag"], len(tags)) for row in rows]
    readings = [reading(tags, tag_id, row["value"]) for tag_id, row in zip(ids, rows, strict=True)]
    times = [0 if row["source_s"] == "none" else T0 + round(float(row["source_s"] or row["at_s"]) * S) for row in rows]
    statuses = [CODES[row["status"]] if row["status"] else 0 for row in rows]
    texts = {place: text for place, (_, text) in enumerate(readings) if text is not None}
    return SampleBatch.of(ids, [value for value, _ in readings], statuses, times, received_ns=now, text=texts, origin=origin)


def reading(tags, tag_id, raw):
    """The number as the wire would bring it, or a text; what is no number is one the engine has to judge."""
    if tag_id < len(tags) and tags[tag_id].type.name == "TEXT" and raw:
        return math.nan, read(tags[tag_id].type, raw).text
    return float(raw) if raw else math.nan, None


def told(engine, update, kinds):
    """One update in lines."""
    at = seconds(update.now_ns)
    lines = []
    for what, columns, passes in (("report", update.rows, update.reported), ("late", update.late, None)):
        for place, tag_id in enumerate(columns.tag_id.tolist() if what in kinds else ()):
            if passes is None or passes[place]:
                value, status = columns.value.item(place), quality.name(columns.status.item(place))
                shown = columns.text.get(place, number(value))
                lines.append(f"{at},{what},{engine.view.tags[tag_id].name},{shown},{status},{seconds(columns.source_ns.item(place))}")
    if "alarm" in kinds:
        lines += [f"{at},alarm,{t.rule.condition},{t.change.value},{quality.name(t.status)},{number(t.value)}" for t in update.transitions]
    if "condition" in kinds:
        lines += [
            f"{at},condition,{t.rule.condition},{t.change.value},{stands(t.condition)},{t.condition.severity}" for t in update.transitions
        ]
    if "commit" in kinds and update.committed:
        lines.append(f"{at},commit,,{update.version},{update.changed},")
    if "count" in kinds:
        counted = {name: getattr(update.counts, name) for name in update.counts.__slots__ if name != "applied"}
        lines += [f"{at},count,{name},{count},," for name, count in counted.items() if count]
    return lines


def stands(condition):
    """How a condition stands, in words; what is usual goes without saying."""
    words = [condition.level.value] if condition.level else []
    words.append("active" if condition.active else "normal")
    unusual = {
        "unacknowledged": not condition.acknowledged,
        "unconfirmed": not condition.confirmed,
        "latched": condition.latched,
        f"{condition.shelving.name.lower()} until {seconds(condition.unshelve_ns)}": condition.unshelve_ns,
        "suppressed": condition.suppressed,
        "out_of_service": condition.out_of_service,
        "disabled": not condition.enabled,
        "retained": condition.retained and not condition.active,
    }
    return " ".join(words + [word for word, holds in unusual.items() if holds])


def seconds(at_ns):
    return f"{(at_ns - T0) / S:g}" if at_ns else ""


def number(value):
    return "" if math.isnan(value) else f"{value:.6g}"
