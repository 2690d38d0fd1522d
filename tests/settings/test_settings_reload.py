"""A second load of a running site: rows stay, differences are told, secrets are not."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.settings import Difference, SettingsError, difference

OLD = """
version: 1
gateway: {name: g}
sources:
  plc: {driver: opcua, url: "opc.tcp://me:pw@host", password: "${PW}", publishing_interval: 1s}
  cell: {driver: mqtt, url: u}
tags:
  - {name: a, source: plc, address: x, deadband: 1}
  - {name: b}
  - {name: c}
alarms: [{tag: a, hi: 5}, {tag: b, hi: 5}]
"""


def test_rows_of_the_running_table_stay(folder):
    """A name that stays keeps its row, one that goes is disabled in place, one that comes back takes its row again, new ones append."""
    old = folder.load("version: 1\ntags: [{name: a}, {name: b}, {name: c}]\n").tags
    new = folder.load("version: 1\ntags: [{name: d}, {name: c, unit: K}, {name: a}]\nalarms: [{tag: c, hi: 5}]\n", old)
    assert [(tag.name, tag.enabled) for tag in new.tags] == [("a", True), ("b", False), ("c", True), ("d", True)]
    assert (new.tags[2].unit, new.rules[0].tag_id) == ("K", 2)
    back = folder.load("version: 1\ntags: [{name: b}]\n", new.tags).tags
    assert [(tag.tag_id, tag.name, tag.enabled) for tag in back] == [(0, "a", False), (1, "b", True), (2, "c", False), (3, "d", False)]


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.permutations("abcdef").flatmap(lambda names: st.integers(0, 6).map(lambda n: names[:n])), min_size=2, max_size=5))
def test_a_row_belongs_to_its_name_for_ever(folder, loads):
    """Over any sequence of reloads: places never change, exactly the declared names are enabled, nothing is forgotten."""
    table, places = None, {}
    for names in loads:
        table = folder.load("version: 1\ntags:\n" + "".join(f"  - {{name: {name}}}\n" for name in names), table).tags
        places |= {name: table.index[name] for name in names if name not in places}
        assert {tag.name: tag.tag_id for tag in table} == places
        assert {tag.name for tag in table if tag.enabled} == set(names)


def test_a_tag_that_is_gone_has_no_alarm_and_no_difference(folder):
    """Its row is still there, its name is not."""
    old = folder.load("version: 1\ntags: [{name: a}]\n").tags
    with pytest.raises(SettingsError, match="there is no tag 'a'"):
        folder.load("version: 1\nalarms: [{tag: a, hi: 5}]\n", old)
    assert difference(folder.load("version: 1\n", old), folder.load("version: 1\n")) == []


def test_what_changed(folder):
    """Tags, alarms, sources and sections, each by its path; a changed secret is named and masked."""
    folder.env["PW"] = "hunter1"
    old = folder.load(OLD)
    folder.env["PW"] = "hunter2"
    new = folder.load(
        OLD.replace("deadband: 1", "deadband: 2, range: [0, 5]")
        .replace("  - {name: c}\n", "  - {name: d, unit: K}\n")
        .replace("{tag: b, hi: 5}", "{tag: b, lo: 5}")
        .replace("{tag: a, hi: 5}", "{tag: a, hi: 5, on_delay: 1500ms}")
        .replace("publishing_interval: 1s", "publishing_interval: 2s")
        .replace("  cell: {driver: mqtt, url: u}\n", "")
        .replace("me:pw@", "me:qq@")
        + "web: {port: 8081}\n",
        old.tags,
    )
    found = {change.path: change for change in difference(old, new)}
    assert found["tags.a.deadband"] == Difference("changed", "tags.a.deadband", "1.0", "2.0")
    assert found["tags.a.range"] == Difference("changed", "tags.a.range", None, "[0.0, 5.0]")
    assert (found["tags.c"].what, found["tags.c"].after, found["tags.d"].what, found["tags.d"].before) == ("removed", None, "added", None)
    assert (found["alarms.b/Alarms/HI"].what, found["alarms.b/Alarms/LO"].what) == ("removed", "added")
    assert (found["sources.cell"].what, found["sources.plc.publishing_interval"].after) == ("removed", "2.0")
    assert found["sources.plc.password"] == Difference("changed", "sources.plc.password", "***", "***")
    assert found["sources.plc.url"] == Difference("changed", "sources.plc.url", "opc.tcp://me:***@host", "opc.tcp://me:***@host")
    assert found["web.port"] == Difference("changed", "web.port", "4840", "8081")
    assert found["alarms.a/Alarms/HI.on_delay"] == Difference("changed", "alarms.a/Alarms/HI.on_delay", "0s", "1.5s")
    assert len(found) == 12
    assert not any(secret in str(change) for change in found.values() for secret in ("hunter", "pw", "qq"))


def test_the_same_configuration_does_not_differ(folder):
    folder.env["PW"] = "one"
    old = folder.load(OLD)
    assert difference(old, folder.load(OLD.replace("\n  -", "\n\n  -"), old.tags)) == []


def test_what_changed_in_an_alarm_of_several_limits(folder):
    """By level, target and duration, in the words of the file."""
    text = "version: 1\ntags: [{name: a}, {name: b}, {name: c}]\n"
    text += "alarms: [{tag: a, exclusive: true, hi: 5, hihi: 8, message: m, deviation: {limit: 1, of: b}}]\n"
    found = difference(folder.load(text), folder.load(text.replace("hihi: 8", "hihi: 9, lo: 1, shelve_max: 1h").replace("of: b", "of: c")))
    assert sorted(map(str, found)) == [
        "alarms.a/Alarms/DEV.of: changed b -> c",
        "alarms.a/Alarms/DEV.shelve_max: changed 28800s -> 3600s",
        "alarms.a/Alarms/LEVEL.hihi.limit: changed 8.0 -> 9.0",
        "alarms.a/Alarms/LEVEL.lo: added",
        "alarms.a/Alarms/LEVEL.shelve_max: changed 28800s -> 3600s",
    ]
