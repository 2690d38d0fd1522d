"""The kinds of models that a configuration may name: the product's own, and those of others."""

import subprocess
import sys

import numpy as np
import pytest

from gateway.simulation.ensemble import chance, simulate
from gateway.simulation.kinds import KINDS, build
from gateway.simulation.process.model import ModelError

OWN = """
from types import MappingProxyType
import numpy as np
from gateway.simulation.process.model import Process

class Doubling(Process):
    defaults = MappingProxyType({"half_life": 10.0})
    positive = seconds = frozenset({"half_life"})

    def step(self, x, u, dt_s, noise):
        return x * 2 ** (dt_s / self.parameters["half_life"])
"""

ASK = """
from gateway.simulation.kinds import KINDS, build
from gateway.simulation.ensemble import chance, simulate
from gateway.simulation.process.model import ModelError
assert "doubling" in KINDS and "first_order" in KINDS and len(KINDS) == len(list(KINDS))
assert KINDS["doubling"].seconds == {"half_life"} and dict(KINDS["doubling"].parameters) == {"half_life": 10.0}
print(simulate(build("doubling", {"half_life": 5.0}, {}), {"y": 3.0}, {}, 1.0, 10, chance(1)).y[0, -1, 0])
try:
    KINDS["broken"]
except ModelError as fault:
    print(fault)
from gateway.simulation.kinds import loadable
assert "doubling" in loadable() and "broken" not in loadable()
"""


@pytest.mark.parametrize("word", sorted(KINDS))
def test_every_kind_runs_from_its_defaults_and_keeps_its_columns(word):
    """Ten steps of five runs: finite, as many columns as names, and its start left as it was."""
    model = build(word, {}, {}).at(1.0)
    x0 = model.initial({}, 5)
    kept = x0.copy()
    runs = simulate(model, x0, dict.fromkeys(model.inputs, 1.0), 1.0, 10, chance(1), 5)
    assert np.isfinite(runs.y).all()
    assert runs.y.shape == (5, 11, len(model.outputs))
    assert x0.tolist() == kept.tolist()
    assert set(KINDS[word].parameters) <= set(model.parameters)


def test_a_model_of_somebody_else_is_a_kind(tmp_path):
    """An installed distribution with an entry point; one that cannot be loaded is said by name."""
    (tmp_path / "acme_models.py").write_text(OWN)
    about = tmp_path / "acme_models-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-models\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[edgetwin.models]\ndoubling = acme_models:Doubling\nbroken = acme_models:Nothing\n")
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{ASK}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert float(first) == pytest.approx(12.0)
    assert "the model broken of acme_models:Nothing cannot be loaded" in second


def test_an_unknown_kind_is_refused_with_the_nearest():
    with pytest.raises(ModelError, match="did you mean first_order"):
        build("first_ordr", {}, {})
