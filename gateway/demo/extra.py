"""A site for a demo with further tags: the usual one, and `extra.*` with an alarm on each tag that a flood can push over its limit."""

import csv
from pathlib import Path

from gateway.demo.faults import FLOOD
from gateway.demo.physics import Parameters
from gateway.demo.signals import signals

LIMIT = 90.0


def write_site(base: Path, count: int, folder: Path) -> Path:
    """Writes a configuration that includes `base` and adds `count` tags; its path. The plant must run with `--extra count`."""
    added = [signal for signal in signals(Parameters(), count) if signal.name.startswith("extra.")]
    with (folder / "extra.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["name", "source", "address", "unit", "range", "deadband", "sampling_interval"])
        for signal in added:
            table.writerow([signal.name, "plc1", signal.address, signal.unit, "[0, 100]", "0.5", f"{signal.interval_ms}ms"])
    alarms = [f"  - {{tag: {signal.name}, hi: {LIMIT:g}, hysteresis: 5}}" for signal in added[:FLOOD]]
    path = folder / "site.yaml"
    path.write_text("\n".join([f'include: ["{base.resolve()}"]', "tags_from: [extra.csv]", "alarms:", *alarms, ""]))
    return path
