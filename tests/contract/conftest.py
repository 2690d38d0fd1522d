"""Parametrises the suite over all cases."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from cases import found


def pytest_generate_tests(metafunc):
    for fixture, attribute in (("driver_case", "DRIVER"), ("sink_case", "SINK")):
        if fixture in metafunc.fixturenames:
            cases = found(attribute)
            metafunc.parametrize(fixture, cases, ids=[case.name for case in cases])
