"""What a good configuration becomes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.alarm import Level, Limit
from gateway.model.sync import SyncMode
from gateway.model.tag import DERIVED, MANUAL, TagType
from gateway.settings import Plugins, SettingsError, load
from gateway.settings.node import resolve

SITE = """
version: 1                       # durations: 500ms 10s 5min 24h, a bare number = seconds
gateway: {name: line1, path: acme/plant/assembly/line1, timezone: Europe/Vilnius, data_dir: /var/lib/edgetwin}
sources:
  plc1: {driver: opcua, url: "opc.tcp://10.0.0.5:4840", user: 007, password: {credential: plc1}, publishing_interval: 100ms}
  cell: {driver: mqtt, url: "mqtts://10.0.0.6:8883", topics: ["cell/#"]}
tags:
  - {name: production_line.temperature, source: plc1, address: "nsu=urn:plant;s=Line.Temp", type: float,
     unit: Cel, range: [0, 60], deadband: 1%, sampling_interval: 100ms, stale_after: 5s}
  - {name: production_line.setpoint, source: plc1, address: "nsu=urn:plant;s=Line.SP", unit: Cel, range: [0, 60],
     writable: {min: 18, max: 30, max_rate: 1/min, role: engineer, reason: true, interlock: "not line.estop"}}
  - {name: production_line.status, source: cell, address: "cell/1/state#/status", type: enum, labels: {0: off, 1: on}}
  - {name: line.estop, type: bool, labels: {false: free, true: pressed}, was: line.stop}
  - {name: line.power, unit: kW, enabled: false, deadband: 0.5}
  - {name: good.count, type: int, unit: "1", description: on}
alarms:
  - {tag: production_line.temperature, lo: 18, hi: 27, hihi: {limit: 30, severity: 900, message: hot}, hysteresis: 0.5, on_delay: 5s,
     off_delay: 1, cause: "a", consequence: "b", action: "c"}
  - {tag: production_line.status, state: off, severity: 450}
  - {tag: line.estop, state: 1, bad_quality: true}
derived:
  - {name: energy.per_good, expr: "integral(line.power) / max(good.count, 1)", unit: kW.h}
upstream:
  - {name: hq, kind: mqtt, url: "mqtts://broker:8883", values: {class: EVERY, mode: batch}}
kpi: {shifts: [{name: day, from: "06:00", to: 14:00}]}
sync: {mode: scheduled, update_frequency: 10, history_length: 50}
events: {max_events: 5, publish_state_changes: false}
opcua: {port: 4841}
store: {commit_interval: 200ms, retention: {age: 365d}}
log: {level: debug}
"""


def test_every_part_of_a_site_arrives(folder):
    """Tags in their order with units, bands and rules in SI and ns; plugins' models filled; defaults where the file is silent."""
    folder.env["CREDENTIALS_DIRECTORY"] = str(folder.path)
    folder.write("plc1", "secret\n")
    site = folder.load(SITE)
    temperature, setpoint, status, estop, power, count, energy = site.tags
    assert (temperature.type, temperature.unit, temperature.eu_range, temperature.deadband) == (TagType.FLOAT, "Cel", (0.0, 60.0), 0.6)
    assert (temperature.sampling_interval_ns, temperature.stale_after_ns) == (100_000_000, 5_000_000_000)
    rule = setpoint.write_rule
    assert (rule.low, rule.high, rule.max_rate, rule.role, rule.reason) == (18.0, 30.0, 1 / 60, "engineer", True)
    assert rule.interlock == "not line.estop"
    assert (status.labels, estop.labels, estop.was, estop.source) == ({0: "off", 1: "on"}, {0: "free", 1: "pressed"}, "line.stop", MANUAL)
    assert (power.enabled, power.deadband, count.type, count.description) == (False, 0.5, TagType.INT, "on")
    assert (energy.source, site.derived[0].tag_id) == (DERIVED, energy.tag_id)
    plc = site.sources["plc1"].config
    assert (plc.user, plc.password.get_secret_value(), plc.publishing_interval) == ("007", "secret", 0.1)
    assert (site.upstream[0].name, site.upstream[0].config.values.delivery) == ("hq", "EVERY")
    assert (site.sync.mode, site.sync.update_frequency, site.sync.history_length) == (SyncMode.SCHEDULED, 10.0, 50)
    assert (site.events.max_events, site.events.persistence_enabled, site.events.publish_state_changes) == (5, True, False)
    assert (site.kpi.shifts[0].start, site.kpi.shifts[0].end) == ("06:00", "14:00")
    assert (site.sections["opcua"].port, site.sections["web"].host, site.sections["store"].commit_interval) == (4841, "127.0.0.1", 0.2)
    assert (site.gateway.path, site.faults, [file.name for file in site.files]) == ("acme/plant/assembly/line1", (), ["site.yaml"])


def test_alarm_rules_with_defaults_and_overrides(folder):
    """Shared keys hold for each limit unless its own map says otherwise; severities and messages have defaults by limit."""
    folder.env["CREDENTIALS_DIRECTORY"] = str(folder.path)
    folder.write("plc1", "x")
    rules = {rule.condition: rule for rule in folder.load(SITE).rules}
    high = rules["production_line.temperature/Alarms/HI"]
    assert (high.threshold, high.hysteresis, high.on_delay_ns, high.off_delay_ns, high.severity) == (27.0, 0.5, 5 * 10**9, 10**9, 500)
    assert high.message == "production_line.temperature is too high: above 27 °C"
    assert (high.cause, high.consequence, high.action) == ("a", "b", "c")
    highest = rules["production_line.temperature/Alarms/HIHI"]
    assert (highest.threshold, highest.hysteresis, highest.severity, highest.message) == (30.0, 0.5, 900, "hot")
    off = rules["production_line.status/Alarms/STATE"]
    assert (off.threshold, off.severity, off.hysteresis, off.message) == (0.0, 450, 0.0, "production_line.status is off")
    assert rules["line.estop/Alarms/STATE"].message == "line.estop is pressed"
    bad = rules["line.estop/Alarms/BAD"]
    assert (bad.limit, bad.severity, bad.message) == (Limit.BAD, 300, "line.estop has no good value")


def test_a_file_of_one_line_is_a_site(folder):
    """Everything but the version has a default."""
    site = folder.load("version: 1")
    assert (len(site.tags), site.gateway.name, site.gateway.path, site.gateway.timezone) == (0, "edgetwin", "edgetwin", "UTC")


def test_older_names_of_keys(folder):
    """`digital_twin` of earlier twins, and the second name of the history's length."""
    site = folder.load(
        "version: 1\ndigital_twin: {name: SoliTek_DigitalTwin, update_frequency: 1.0, history_length: 500,"
        " synchronization_mode: manual, log_level: INFO}\n"
    )
    assert (site.gateway.name, site.sync.update_frequency, site.sync.history_length) == ("SoliTek_DigitalTwin", 1.0, 500)
    assert (site.sync.mode, site.sections["log"].level) == (SyncMode.MANUAL, "info")
    assert folder.load("version: 1\nsync: {default_history_length: 7}\n").sync.history_length == 7


KINDS = """
version: 1
tags: [{name: t, unit: K}, {name: sp, unit: Cel}, {name: run, type: bool}, {name: start, type: bool}]
alarms:
  - {tag: t, exclusive: true, hihi: {limit: 9, severity: 900}, hi: 8, lo: 2, severity: 600, hysteresis: 0.5, latch: true, re_alarm: 15min}
  - {tag: t, deviation: {limit: 3, of: sp, on_delay: 5s}, rate: 6/min, hysteresis: 1, confirm: true, shelve_max: 1h}
  - {tag: run, discrepancy: {of: start, within: 10s}}
"""


def test_each_kind_of_alarm_is_one_condition(folder):
    """Exclusive limits are levels of one; an hysteresis in units is none of a rate; what is shared holds for each."""
    site = folder.load(KINDS)
    level, deviation, rate, discrepancy = site.rules
    assert [rule.condition for rule in site.rules] == ["t/Alarms/LEVEL", "t/Alarms/DEV", "t/Alarms/ROC", "run/Alarms/DISC"]
    assert level.levels == (Level(Limit.LO, 2, 600), Level(Limit.HI, 8, 600), Level(Limit.HIHI, 9, 900))
    assert (level.severity, level.hysteresis, level.latch, level.re_alarm_ns) == (900, 0.5, True, 900 * 10**9)
    assert (deviation.threshold, deviation.target_id, deviation.target, deviation.hysteresis) == (3, 1, "sp", 1)
    assert (deviation.on_delay_ns, deviation.confirm, deviation.shelve_max_ns) == (5 * 10**9, True, 3600 * 10**9)
    assert (rate.threshold, rate.hysteresis, rate.confirm, rate.on_delay_ns) == (0.1, 0, True, 0)
    assert (discrepancy.threshold, discrepancy.target, discrepancy.on_delay_ns, discrepancy.severity) == (0, "start", 10 * 10**9, 500)
    assert [str(fault).rpartition("alarms")[2] for fault in site.faults] == [
        "[1].deviation.of: sp is in Cel, t in K (they are compared as they are)"
    ]


def test_thresholds_are_lo_and_hi_alarms(folder):
    rules = folder.load("version: 1\ntags: [{name: line.temperature}]\nthresholds: {line.temperature: [18, 27]}\n").rules
    assert [(rule.limit, rule.threshold, rule.severity) for rule in rules] == [(Limit.LO, 18.0, 500), (Limit.HI, 27.0, 500)]


def test_a_horizon_that_leaves_no_time_for_an_alert_is_a_warning(folder):
    text = "version: 1\ntags: [{name: t}]\nforecast: {tags: [t], horizon: 15s, every: 10s, alert: {issues: 2ALERT}}\n"
    (warning,) = folder.warnings(text.replace("ALERT", ""))
    assert "forecast.alert: a limit is told no later than 20s before it, and the horizon is 15s: none ever is" in warning
    assert folder.warnings(text.replace("ALERT", ", enabled: false")) == folder.warnings(text.replace("ALERT", ", lead: 1s")) == []


def test_what_is_odd_but_works_is_a_warning(folder):
    """A limit that the range cannot reach, a setpoint beyond the range, a secret in clear."""
    assert folder.warnings(
        "version: 1\n"
        "tags: [{name: t, range: [0, 10], writable: {max: 11}}]\n"
        "alarms: [{tag: t, hi: 12}]\n"
        "sources:\n"
        "  a: {driver: opcua, url: u, password: abc}\n"
        "  b: {driver: mqtt, url: 'mqtt://me:pw@host'}\n"
        '  c: {driver: mqtt, url: u, token: "${NONE:-abc}"}\n'
    ) == [
        "site.yaml:2:50: tags[0].writable.max: lies outside the range 0 to 10",
        "site.yaml:3:23: alarms[0].hi: 12 lies outside the range 0 to 10 of t",
        "site.yaml:5:40: sources.a.password: a secret stands here in clear (use ${NAME}, {file: PATH} or {credential: NAME})",
        "site.yaml:6:26: sources.b.url: a secret stands here in clear (use ${NAME}, {file: PATH} or {credential: NAME})",
        "site.yaml:7:36: sources.c.token: a secret stands here in clear (use ${NAME}, {file: PATH} or {credential: NAME})",
    ]


def test_words_that_other_yaml_readers_turn_into_numbers(folder):
    """YAML 1.2: yes, no, on, off, 010 and 12:30 are texts; 1e3 is a number."""
    site = folder.load(
        "version: 1\ntags:\n  - {name: no, type: enum, labels: {0: off, 1: on, 2: yes, 3: 010, 4: 12:30}}\n"
        "  - {name: t, range: [-1e3, .5e1]}\n"
    )
    assert site.tags[0].name == "no"
    assert list(site.tags[0].labels.values()) == ["off", "on", "yes", "010", "12:30"]
    assert site.tags[1].eu_range == (-1000.0, 5.0)


def test_anchors_and_merge_keys(folder):
    """`<<: *defaults` fills what the entry does not say itself."""
    site = folder.load(
        "version: 1\ntags:\n  - &first {name: a, unit: Cel, range: [0, 60]}\n"
        "  - {<<: *first, name: b}\n"
        "  - {<<: [*first, {description: d}], name: c, unit: K}\n"
    )
    assert [(tag.name, tag.unit, tag.eu_range, tag.description) for tag in site.tags] == [
        ("a", "Cel", (0.0, 60.0), ""),
        ("b", "Cel", (0.0, 60.0), ""),
        ("c", "K", (0.0, 60.0), "d"),
    ]


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**50), 10**50))
def test_numbers_are_read_as_they_are_written(number):
    assert resolve(repr(number)) == number


@given(st.text(st.characters(categories=["Lu", "Ll", "Nd", "Pd", "Po"]), min_size=1))
def test_a_plain_value_is_a_number_or_itself(text):
    """Nothing else hides behind a text: no dates, no times of day, no octal numbers."""
    found = resolve(text)
    assert found == text or isinstance(found, int | float) or text.lower() in {"null", "true", "false"}
    if isinstance(found, int) and not isinstance(found, bool) and not text.startswith("0x"):
        assert text.lstrip("+-") == str(abs(found))


def test_a_stated_default_severity_holds_for_alarms_that_state_none(tmp_path):
    """Without `events.default_alert_severity` each limit has its own."""
    text = "version: 1\ntags: [{name: a}]\nalarms: [{tag: a, lo: 1, hihi: {limit: 9, severity: 850}}]\n"
    path = tmp_path / "site.yaml"
    path.write_text(text)
    plain = {rule.limit.value: rule.severity for rule in load(path, Plugins()).rules}
    path.write_text(text + "events: {default_alert_severity: error}\n")
    stated = {rule.limit.value: rule.severity for rule in load(path, Plugins()).rules}
    assert (plain, stated) == ({"LO": 500, "HIHI": 850}, {"LO": 700, "HIHI": 850})


def test_two_servers_on_one_port_are_a_fault(tmp_path):
    from gateway.plugins import plugins

    path = tmp_path / "site.yaml"
    path.write_text("version: 1\nopcua: {port: 4840, insecure: true, anonymous: viewer}\nweb: {port: 4840}\n")
    with pytest.raises(SettingsError, match=r"web\.port: 4840 is the port of"):
        load(path, plugins())
