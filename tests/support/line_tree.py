"""A small configuration tree of the line simulator, written into a folder of the test."""

from pathlib import Path

FILES = {
    "runs/short.yaml": "name: short\nscenario: base\nproduct: jar\nduration: 1h\nseed: 7\n",
    "scenarios/base.yaml": "name: base\ntopology: pair\n",
    "topologies/pair.yaml": "name: pair\nstations:\n  - {name: Mill, output_type: Tube}\n"
    "  - {name: Press, batch_in: 2, output_type: Case}\n",
    "equipment/mill.yaml": "name: Mill\nuph: 600\nbuffer_capacity: 5\nreliability:\n  mtbf_min: 600\n  mtbf_max: 900\n"
    "  mttr_min: 60\n  mttr_max: 90\n"
    "performance:\n  jam_prob: 0.02\n  jam_time_sec: 15\nquality:\n  defect_rate: 0.03\ncost_rates:\n  labor_per_hour: 25\n",
    "equipment/press.yaml": "name: Press\nuph: 400\nquality:\n  detection_prob: 0.9\n",
    "products/jar.yaml": "name: jar\nmaterial_cost: 0.5\nselling_price: 1.2\n",
}


def planted(folder: Path, changes: dict[str, str | None] | None = None) -> Path:
    """The tree with some files changed, or left out (None)."""
    for name, text in (FILES | (changes or {})).items():
        if text is not None:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return folder


def edited(name: str, old: str, new: str) -> dict[str, str]:
    """A file with one text in it exchanged."""
    assert old in FILES[name], (name, old)
    return {name: FILES[name].replace(old, new, 1)}
