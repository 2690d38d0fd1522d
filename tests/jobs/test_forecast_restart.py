"""The job `forecast` in a new process: predicted limits go on from the file that was saved last."""

import numpy as np
import pytest

from gateway.jobs import forecast as job
from gateway.work import silent

S = 10**9
BEGIN_NS = 1_800_000_000 * S


def asked(folder, rows, *, save=False):
    """What is said of a ramp that reaches its limit of 10 after 1000 s, at these seconds."""
    at_s = np.array(rows, np.int64)
    args = {"roll": "a", "tags": ["t"], "was": [""], "inputs": [], "models": [], "horizon_s": 300.0, "step_s": 5.0, "every_s": 25.0}
    args |= {"lead": 12, "at_ns": BEGIN_NS + int(at_s[-1]) * S, "file": str(folder / "roll"), "save": save}
    noise = np.random.default_rng(1).normal(0.0, 0.02, 2000)[at_s]
    y = (0.01 * at_s + noise)[:, None]
    arrays = {"steady_ns": at_s * S, "y": y, "good": np.ones(y.shape, bool)}
    arrays |= {"limits": np.array([[10.0]]), "upper": np.array([[True]]), "delay_s": np.zeros((1, 1))}
    return job.forecast(args, arrays, np.random.default_rng(0), silent)[1]


@pytest.fixture(autouse=True)
def _no_other_roll():
    job._kept.clear()
    yield
    job._kept.clear()


def test_the_drift_and_the_correction_go_on_after_a_restart(tmp_path):
    for begin in range(0, 800, 25):
        asked(tmp_path, range(begin, begin + 25, 5), save=begin == 775)
    whole = asked(tmp_path, range(800, 825, 5))
    job._kept.clear()
    again = asked(tmp_path, range(800, 825, 5))
    assert whole["probability"].item() > 0.7
    for name in ("probability", "early_s", "median_s", "late_s"):
        assert again[name].item() == pytest.approx(whole[name].item(), nan_ok=True), name
    job._kept.clear()
    (tmp_path / "roll").unlink()
    assert asked(tmp_path, range(800, 825, 5))["probability"].item() < 0.1
