"""Whatever stands in the files: a site, or faults with their places. Never a traceback, never a wait."""

import json
import random
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.settings import SettingsError, Site, load

SEED = """version: 1
include: [more.yaml]
tags_from: [tags.csv]
gateway: {name: line1, path: acme/line1, timezone: Europe/Vilnius}
sources: {plc: {driver: opcua, url: "u", password: {credential: plc}, publishing_interval: 100ms}}
tags:
  - &a {name: a.b, source: plc, address: x, unit: Cel, range: [0, 60], deadband: 1%, writable: {min: 1, max_rate: 1/min, interlock: not c}}
  - {name: c, type: enum, labels: {0: off, 1: on}, was: d}
  - {<<: *a, name: f}
alarms: [{tag: f, hi: 5, hihi: {limit: 6, severity: 900}, on_delay: 5s, bad_quality: true}, {tag: c, state: off}]
thresholds: {a.b: [1, 2]}
derived: [{name: e, expr: "integral(a.b) / max(c, 1)", unit: kW.h}]
upstream: [{name: hq, kind: mqtt, url: "${URL:-u}", values: {class: LATEST}}]
kpi: {shifts: [{name: day, from: "06:00", to: "14:00"}]}
sync: {mode: real_time, update_frequency: 10, history_length: 5}
events: {max_events: 5}
opcua: {port: 4841}
"""
PIECES = [
    *("{", "}", "[", "]", ":", "- ", "\n", "  ", "\t", "*a", "&a ", "<<: ", "!!int ", "? ", "|", ">", '"', "'", "#", "%", "~", "null"),
    *("1e999", "-1", ".nan", ".inf", "9" * 90, "0x" + "f" * 90, "365000d", "true", "_", "Twin", "x" * 5000, "[[]]", "{{}}", ",", "=", "@"),
    *("${", "${X}", "$", "\\", "\x00", "\ud800", "\u2028", "\ufeff", "é", "include: [site.yaml]", "tags_from: [site.yaml]", "---\n", "..."),
]


def outcome(text: str | bytes, plugins) -> Site | SettingsError:
    """Loads a text; anything but a site or faults with places fails the test."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "site.yaml")
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
        try:
            return load(path, plugins, env={})
        except SettingsError as error:
            found = error
    assert found.faults
    assert all(fault.place.line >= 1 and fault.place.column >= 1 for fault in found.faults)
    assert str(found)
    return found


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_mutated_configurations_are_sites_or_faults(plugins, data):
    """A valid file with pieces cut out, doubled or put in anywhere."""
    text = SEED.replace("include: [more.yaml]\n", "").replace("tags_from: [tags.csv]\n", "")
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 30))
        text = text[:at] + data.draw(st.sampled_from(PIECES) | st.text(max_size=5)) + text[at + cut :]
    outcome(text, plugins)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"\xed\xa0\x80")
@example("version: 1\n\u2028tags: []".encode())
def test_any_bytes_are_a_site_or_faults(plugins, raw):
    outcome(raw, plugins)


SECTIONS = [
    *("gateway", "sources", "tags", "alarms", "thresholds", "derived", "upstream", "sync", "events", "kpi", "opcua", "log"),
    *("digital_twin", "include", "tags_from"),
]
KEYS = [
    *(
        "name",
        "tag",
        "hi",
        "lo",
        "state",
        "expr",
        "unit",
        "range",
        "labels",
        "writable",
        "driver",
        "kind",
        "url",
        "type",
        "deadband",
        "host",
    ),
    *(
        "limit",
        "shifts",
        "from",
        "password",
        "address",
        "source",
        "severity",
        "on_delay",
        "max_rate",
        "interlock",
        "history_length",
        "mode",
    ),
    *("update_frequency", "plc"),
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_value_under_any_known_key_is_a_site_or_faults(plugins, data):
    """JSON is YAML: each key of the file gets a value of any shape."""
    section = data.draw(st.sampled_from(SECTIONS))
    keys = st.sampled_from(KEYS)
    words = st.sampled_from(["a.b", "plc", "opcua", "mqtt", "enum", "float", "1%", "5s", {"file": "x"}, {"credential": "y"}, {"limit": 5}])
    entry = st.dictionaries(keys, VALUES | words, max_size=6)
    body = data.draw(VALUES | entry | st.lists(entry, max_size=3) | st.dictionaries(keys, entry, max_size=3))
    outcome("version: 1\n" + json.dumps(section) + ": " + json.dumps(body), plugins)


def test_a_broken_seed_would_test_nothing(plugins):
    """The text that the mutations start from is nearly right: only its password is missing."""
    found = outcome(SEED.replace("include: [more.yaml]\n", "").replace("tags_from: [tags.csv]\n", ""), plugins)
    assert isinstance(found, SettingsError)
    assert [fault.key for fault in found.faults if not fault.warning] == ["sources.plc.password"]


@pytest.mark.parametrize(
    "text", ["[" * 1_000_000, "{a: " * 300_000, "- " * 500_000, "a: [" + "x, " * 300_000, '"' + "\\n" * 500_000, "? " * 200_000]
)
def test_large_nonsense_is_refused_in_seconds(plugins, text):
    """No quadratic parser, no stack of levels."""
    began = time.perf_counter()
    assert isinstance(outcome(text, plugins), SettingsError)
    assert time.perf_counter() - began < 10


def test_five_thousand_tags_load_in_two_seconds(plugins, tmp_path):
    """And fifty thousand of a table in five; measured on one core of a small plant PC."""
    head = "version: 1\nsources: {plc: {driver: opcua, url: u}}\n"
    tags = "".join(
        f'  - {{name: area{n % 50}.t{n}, source: plc, address: "nsu=urn:plant;s=T{n}", unit: Cel, range: [0, 60], deadband: 1%}}\n'
        for n in range(5000)
    )
    (tmp_path / "site.yaml").write_text(f"{head}tags:\n{tags}")
    shuffled = random.Random(1).sample(range(50_000), 50_000)
    rows = "".join(f'area{n % 50}.t{n},plc,nsu=urn:plant;s=T{n},float,Cel,"[0, {n + 1}]",1%\n' for n in shuffled)
    (tmp_path / "tags.csv").write_text("name,source,address,type,unit,range,deadband\n" + rows)
    (tmp_path / "large.yaml").write_text(f"{head}tags_from: [tags.csv]\n")
    began = time.process_time()
    assert len(load(tmp_path / "site.yaml", plugins).tags) == 5000
    middle = time.process_time()
    assert len(load(tmp_path / "large.yaml", plugins).tags) == 50_000
    assert middle - began < 2
    assert time.process_time() - middle < 5
