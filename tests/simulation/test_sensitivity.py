"""Sobol's indices of Ishigami's function (anchor P2) and of functions whose indices can be written down."""

import math

import numpy as np
import pytest

from gateway.simulation.distributions import Distribution
from gateway.simulation.ensemble import chance
from gateway.simulation.process.linear import FirstOrder
from gateway.simulation.process.model import ModelError
from gateway.simulation.sensitivity import sensitivity, sobol


def test_p2_ishigami():
    """a 7, b 0.1: first order and total of three uniform inputs."""

    def ishigami(x):
        return np.sin(x["a"]) + 7 * np.sin(x["b"]) ** 2 + 0.1 * x["c"] ** 4 * np.sin(x["a"])

    found = sobol(ishigami, {name: Distribution("uniform", -math.pi, math.pi) for name in "abc"}, np.random.default_rng(1), 16_384)
    assert found.first == pytest.approx([0.313905, 0.442411, 0.0], abs=0.01)
    assert found.total == pytest.approx([0.557589, 0.442411, 0.243684], abs=0.01)
    assert np.all(np.abs(found.total - [0.557589, 0.442411, 0.243684]) < 3 * found.total_error)


@pytest.mark.parametrize("sd", [(1.0, 2.0, 0.5), (3.0, 0.1, 1.0)])
def test_a_sum_has_the_shares_of_its_variances(sd):
    varied = {name: Distribution("normal", 1.0, each) for name, each in zip("abc", sd, strict=True)}
    found = sobol(lambda x: x["a"] + x["b"] - x["c"], varied, np.random.default_rng(2), 4096)
    shares = np.square(sd) / np.square(sd).sum()
    assert found.first == pytest.approx(shares, abs=0.02)
    assert found.total == pytest.approx(shares, abs=0.02)
    assert found.variance == pytest.approx(np.square(sd).sum(), rel=0.02)


def test_the_gain_matters_at_rest_and_the_time_constant_on_the_way():
    varied = {"K": Distribution("uniform", 1.9, 2.1), "tau": Distribution("uniform", 80, 120)}
    early = sensitivity(FirstOrder(), {"y": 0}, {"u": 1}, 10, 2, varied, "y", chance(1), points=128)
    late = sensitivity(FirstOrder(), {"y": 0}, {"u": 1}, 10, 200, varied, "y", chance(1), points=128)
    assert early.first[1] > 0.8
    assert late.first[0] > 0.99


def test_what_cannot_be_is_refused():
    with pytest.raises(ModelError, match="nothing varies"):
        sobol(lambda x: x["a"], {}, chance(1))
    with pytest.raises(ModelError, match="100 points are no power of two"):
        sobol(lambda x: x["a"], {"a": Distribution("uniform", 0, 1)}, chance(1), 100)
