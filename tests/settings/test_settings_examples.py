"""The example sites are checked against the drivers and sinks that there are."""

from pathlib import Path

import pytest

from gateway.plugins import plugins
from gateway.settings import load

EXAMPLES = sorted((Path(__file__).parents[2] / "config" / "examples").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_loads_without_a_word(path):
    """No fault and no warning, on a machine that sets nothing."""
    site = load(path, plugins(), env={})
    assert site.faults == ()
    assert len(site.tags) >= 5
    assert site.rules
    assert site.derived


def test_there_is_an_example_of_each_kind():
    assert {path.stem for path in EXAMPLES} >= {"opcua-to-mqtt", "mqtt-cell", "replay", "scada"}


def test_no_example_opens_opc_ua_to_who_cannot_be_told_apart():
    """An example is copied: what it leaves open stays open."""
    for path in EXAMPLES:
        server = load(path, plugins(), env={}).sections.get("opcua")
        assert server is None or not (server.insecure or server.anonymous != "none"), path.name
