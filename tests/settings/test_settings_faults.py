"""Every fault of a configuration: its place to the character, its key, what is wrong and the hint, exactly as people read it."""

from pathlib import Path

import pytest

from drivers.mqtt.config import Config
from gateway.settings.faults import Faults, Place
from gateway.settings.node import Node
from gateway.settings.plugin import Filler

GOLDEN = Path(__file__).with_name("faults.golden")


def cases():
    """The blocks of the golden file: a text and its faults."""
    common: dict[str, str] = {}
    for block in GOLDEN.read_text("utf-8").split("\n\n"):
        lines = [line for line in block.splitlines() if not line.startswith("# ")]
        if not lines:
            continue
        first = lines[0]
        if first.startswith("@") and first.endswith(" ="):
            common[first.removesuffix(" =")] = "".join(f"{line}\n" for line in lines[1:])
            continue
        text = "".join(common.get(line) or f"{line}\n" for line in lines if not line.startswith("> "))
        yield pytest.param(text, [line[2:] for line in lines if line.startswith("> ")], id=" ".join(lines)[:60])


@pytest.mark.parametrize(("text", "faults"), list(cases()))
def test_golden_faults(folder, text, faults):
    """Place, key, words and hint of every kind of fault."""
    assert folder.faults(text) == faults


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "site.yaml:1:1: is empty (a configuration begins with version: 1)"),
        ("# nothing\n", "site.yaml:1:1: is empty (a configuration begins with version: 1)"),
        ("version: 1\n\ttags: []\n", "site.yaml:2:1: a tab cannot stand here (indent with spaces)"),
        (b"version: 1\n# caf\xe9\n", "site.yaml:2:6: is not UTF-8 text (byte 0xe9 in line 2)"),
        (b"\xff\xfev\0", "site.yaml:1:1: is not UTF-8 text (byte 0xff in line 1)"),
        ("version: 1\nlog: {level: 'a\x01'}\n", "site.yaml:2:16: holds the control character U+0001 (write it as an escape, or remove it)"),
        ('version: 1\ngateway: {name: "a\\0"}\n', "site.yaml:2:17: gateway.name: holds the control character U+0000 (remove it)"),
        ("a: " + "[" * 40 + "]" * 40, "site.yaml:1:35: is nested deeper than 32 levels"),
        ("{" * 100_000, "site.yaml:1:33: is nested deeper than 32 levels"),
    ],
    ids=["empty", "comment", "tab", "latin-1", "utf-16", "control character", "escaped", "deep", "very deep"],
)
def test_a_text_that_cannot_be_a_configuration(folder, text, fault):
    """Reading stops at the character that makes it impossible, and says which."""
    assert fault in folder.faults(text)


def test_ten_faults_are_listed_at_once_in_the_order_of_the_file(folder):
    """Nobody mends a configuration one start at a time."""
    faults = folder.faults(
        "version: 1\n"
        "gatewy: {name: x}\n"
        "sources:\n"
        "  plc: {driver: opcau}\n"
        "tags:\n"
        "  - {name: Kpi.a}\n"
        "  - {name: b, unit: celsius}\n"
        "  - {name: c, range: [5, 1]}\n"
        "  - {name: d, deadband: 5%}\n"
        "alarms:\n"
        "  - {tag: bb, hi: 5}\n"
        "  - {tag: c, rate: fast}\n"
        "web: {port: 70000}\n"
        "sync: {mode: fast}\n"
    )
    assert [fault.split(":")[1] for fault in faults] == ["2", "4", "6", "7", "8", "9", "11", "12", "13", "14"]
    assert all(fault.startswith("site.yaml:") for fault in faults)


def test_no_fault_hides_another(folder):
    """An unknown tag, a wrong limit, a wrong port and a broken expression leave the rest to be looked at; a shared key is told once."""
    faults = folder.faults(
        "version: 1\n"
        "web: {port: 99999}\n"
        "tags: [{name: a}, {name: b}]\n"
        "derived:\n"
        "  - {name: d, expr: e + }\n"
        "  - {name: e, expr: d + 1}\n"
        "alarms:\n"
        "  - {tag: nope, hysteresis: abc, on_delay: 5 parsecs, lo: 30, hi: 18}\n"
        "  - {tag: a, hi: {limit: x, off_delay: 5 par}, lo: {limit: 4, severity: 0}, hysteresis: abc}\n"
        "  - {tag: b, hi: 5, lo: 4, on_delay: 4 parsecs}\n"
    )
    assert [fault.split(": ")[0].rsplit(":", 1)[0] + " " + fault.split(": ")[1] for fault in faults] == [
        "site.yaml:2 web.port",
        "site.yaml:5 derived[0].expr", "site.yaml:5 derived[0].expr",
        "site.yaml:8 alarms[0].tag", "site.yaml:8 alarms[0].hysteresis", "site.yaml:8 alarms[0].on_delay", "site.yaml:8 alarms[0].hi",
        "site.yaml:9 alarms[1].hi.limit", "site.yaml:9 alarms[1].hi.off_delay", "site.yaml:9 alarms[1].lo.severity",
        "site.yaml:9 alarms[1].hysteresis",
        "site.yaml:10 alarms[2].on_delay",
    ]  # fmt: skip


def test_a_number_out_of_bounds_does_not_hide_what_is_wrong_between_keys():
    place, faults = Place("site.yaml", 1, 1), Faults()
    given = {"url": "mqtt://127.0.0.1", "topics": "a", "password": "b", "keepalive": "99999"}
    entries = {key: Node([Node(text, place, text)] if key == "topics" else text, place, text, key=place) for key, text in given.items()}
    assert Filler({}, faults).fill(Config, Node(entries, place), "sources.m", frozenset({"driver"})) is None
    assert [fault.why for fault in faults.found if not fault.warning] == [
        "should be less than or equal to 3600, not '99999'",
        "password without user",
    ]


def test_an_address_that_no_topic_of_its_source_covers_is_warned_of():
    config = Config(url="mqtt://127.0.0.1", topics=("cell/#",))
    assert config.address_warning("cell/1#/x") is None
    assert config.address_warning("other/1#/x") == "no topic filter of this source covers other/1"


def test_a_million_mistakes_are_a_list_that_ends(folder):
    """The first thousand are shown, the rest counted; hints stop when they would cost minutes."""
    folder.write("tags.csv", "name,unit,range\n" + "".join(f"t{number},furlong{number},5\n" for number in range(20_000)))
    faults = folder.faults("version: 1\ntags_from: [tags.csv]\n")
    assert len(faults) == 1001
    assert faults[-1].endswith("and 39000 more (mend these first)")


def test_a_file_of_more_than_four_mebibytes_is_not_read(folder):
    faults = folder.faults("version: 1\n" + "#" * (4 * 1024 * 1024))
    assert faults[0].endswith("is larger than 4096 KiB (split it with include, or move the tags to a table with tags_from)")


def test_aliases_that_multiply_are_stopped(folder):
    """Nine levels of nine aliases would be 387 million values."""
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 9))
    assert folder.faults(f"version: 1\nl0: &l0 [a]\n{levels}")[0].startswith(
        "site.yaml:7:40: the aliases of this file stand for more than 100000 values"
    )


@pytest.mark.parametrize("name", ["missing.yaml", "folder", "/dev/zero", "a\0b"])
def test_a_path_that_is_no_file(folder, plugins, name):
    """Missing, a folder, a device, not a path at all: a fault, never a wait or a traceback."""
    from gateway.settings import SettingsError, load

    (folder.path / "folder").mkdir()
    with pytest.raises(SettingsError):
        load(folder.path / name, plugins)


def test_many_faults_of_one_file_stay_quick(folder):
    """An alarm on an unknown tag among 5 000 gets its hint without a search over them all."""
    folder.write("tags.csv", "name\n" + "".join(f"area{number % 40}.tag{number}\n" for number in range(5000)))
    faults = folder.faults("version: 1\ntags_from: [tags.csv]\nalarms: [{tag: area1.tagg41, hi: 5}]\n")
    assert faults == ["site.yaml:3:16: alarms[0].tag: there is no tag 'area1.tagg41' (did you mean area1.tag41?)"]
