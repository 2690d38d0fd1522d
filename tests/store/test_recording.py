"""A recording gives back exactly what the engine was given, as far as it is whole."""

from pathlib import PosixPath

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.engine import Engine
from gateway.model.alarm import SYSTEM_TAG, AlarmRule, Change, Limit
from gateway.model.batch import Origin, SampleBatch
from gateway.model.sync import Sync
from gateway.model.tag import Tag, TagTable
from gateway.store.recording import BLOCK_NS, Kind, Recorder, prune, read

HEADER = {"version": "0.1.0", "digest": "d1", "configuration": {"site.yaml": "gateway: {name: täst}\n"}}
BATCH = SampleBatch.of([0, 1], [1.5, np.nan], [0, 0x80310000], [5, 6], received_ns=9, text={1: "a\ud800b"}, origin=Origin.MANUAL)


class Full(PosixPath):
    """A path that may be opened although it is there."""

    def open(self, _mode):
        return super().open("wb")


def written(path, blocks=3):
    recorder = Recorder(path, HEADER, b"\x00snapshot\xff")
    for k in range(blocks):
        recorder.step(BATCH, k * BLOCK_NS)
        recorder.tick(k * BLOCK_NS + 1)
        recorder.command("acknowledge", k * BLOCK_NS + 2, {"condition": "line.temp/Alarms/HI", "user": "ann", "comment": ""})
    return recorder


def test_header_entries_and_hash_come_back(tmp_path):
    written(tmp_path / "a.etrec").close("hash")
    recording = read(tmp_path / "a.etrec")
    assert recording.header.items() >= HEADER.items()
    assert recording.snapshot == b"\x00snapshot\xff"
    entries = list(recording.entries)
    assert [entry.kind for entry in entries[:3]] == [Kind.STEP, Kind.TICK, Kind.ACKNOWLEDGE]
    assert len(entries) == 9
    batch = entries[0].batch
    for name in ("tag_id", "value", "status", "source_ns"):
        assert getattr(batch, name).tobytes() == getattr(BATCH, name).tobytes()
    assert (batch.text, batch.received_ns, batch.origin) == (BATCH.text, 9, Origin.MANUAL)
    assert entries[2].args["user"] == "ann"
    assert (recording.state_hash, recording.fault) == ("hash", None)


def test_a_recording_that_was_cut_off_is_read_up_to_its_last_whole_block_and_says_so(tmp_path):
    path = tmp_path / "a.etrec"
    written(path).close("hash")
    whole = path.read_bytes()
    path.write_bytes(whole[:-60])
    recording = read(path)
    entries = list(recording.entries)
    assert 0 < len(entries) <= 9
    assert recording.state_hash is None
    assert "whole block" in recording.fault


@given(st.data())
def test_no_cut_and_no_flipped_byte_gives_a_wrong_entry(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("etrec") / "a.etrec"
    written(path).close("hash")
    raw = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(raw) - 1))
    if data.draw(st.booleans()):
        raw = raw[:place]
    else:
        raw[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(raw)
    try:
        recording = read(path)
    except ValueError:
        return
    for entry, kind in zip(recording.entries, [Kind.STEP, Kind.TICK, Kind.ACKNOWLEDGE] * 3, strict=False):
        assert entry.kind == kind


def test_a_crash_loses_only_what_the_last_second_brought(tmp_path):
    recorder = written(tmp_path / "a.etrec", blocks=5)
    recorder._thread.shutdown(wait=True)  # the blocks that were due are on disk; the rest is gone with the process
    kept = [entry.now_ns for entry in read(tmp_path / "a.etrec").entries]
    assert max(kept) >= 3 * BLOCK_NS


def test_a_full_disk_ends_the_recording_and_not_the_gateway():
    """/dev/full answers every write with ENOSPC."""
    recorder = Recorder(Full("/dev/full"), HEADER)
    recorder.step(BATCH, 0)
    recorder.close("hash")
    assert "the recording ends here" in recorder.fault


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "a.etrec"
    path.write_bytes(b"PAR1 something")
    with pytest.raises(ValueError, match="no recording"):
        read(path)


def test_old_recordings_go(tmp_path):
    written(tmp_path / "a.etrec").close(None)
    assert prune(tmp_path, 0) == 0
    assert prune(tmp_path, 2**62) == 1


def test_commands_on_conditions_are_applied_again_and_older_ones_still_are(tmp_path):
    """A condition that the engine does not know, or that stands otherwise, lets time pass alone."""
    tags = TagTable.of([Tag(0, "line.temp", source="plc")])
    rules = [AlarmRule(0, "line.temp", Limit.HI, 5.0), AlarmRule(SYSTEM_TAG, "Gateway", Limit.SYSTEM, 0.0, subject="store")]
    name, recorder = rules[0].condition, Recorder(tmp_path / "a.etrec", HEADER)
    recorder.step(SampleBatch.of([0], [6.0], 0, 1, received_ns=1), 1)
    recorder.command("acknowledge", 2, {"condition": name, "user": "ann", "comment": "seen"})
    recorder.command("operate", 3, {"condition": name, "action": "shelve", "user": "ben", "comment": "", "duration_ns": 10**9})
    recorder.command("operate", 4, {"condition": name, "action": "acknowledge", "user": "ben", "comment": "", "duration_ns": 0})
    recorder.command("operate", 5, {"condition": "gone/Alarms/HI", "action": "disable", "user": "ben", "comment": "", "duration_ns": 0})
    recorder.command("system", 6, {"condition": "Gateway/Alarms/store", "active": True, "message": "disk full"})
    recorder.close(None)
    engine = Engine(tags, rules, [], Sync())
    changes = [[one.change for one in entry.apply(engine).transitions] for entry in read(tmp_path / "a.etrec").entries]
    assert changes == [[Change.ACTIVE], [Change.ACKNOWLEDGED], [Change.SHELVED], [], [], [Change.ACTIVE]]
    assert (engine.condition(name).unshelve_ns, engine.now_ns) == (3 + 10**9, 6)
    assert engine.condition("Gateway/Alarms/store").message == "disk full"
