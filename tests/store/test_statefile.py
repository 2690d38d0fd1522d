"""State files: whole or not at all, and refused with a reason."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gateway.store import statefile
from gateway.store.errors import DamagedBlock

COLUMNS = arrays.arrays(np.float64, arrays.array_shapes(max_dims=3, max_side=4)) | arrays.arrays(np.int64, 3) | arrays.arrays(bool, 5)


@settings(deadline=None)  # it waits for the disk
@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5)), st.dictionaries(st.text(max_size=5), COLUMNS))
def test_what_is_read_is_what_was_written(tmp_path_factory, words, columns):
    path = tmp_path_factory.mktemp("state") / "a.state"
    statefile.write(path, words, columns)
    told, found = statefile.read(path)
    assert told == words
    assert list(found) == list(columns)
    assert all(found[key].tobytes() == columns[key].tobytes() and found[key].dtype == columns[key].dtype for key in columns)


def test_each_damaged_bit_is_found(tmp_path):
    path = tmp_path / "a.state"
    statefile.write(path, {"a": 1}, {"x": np.arange(3.0)})
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(DamagedBlock, match=r"checksum|no state file|version"):
            statefile.read(path)


@pytest.mark.parametrize("length", [0, 10, 23, 24, 40])
def test_a_file_cut_short_is_refused(tmp_path, length):
    path = tmp_path / "a.state"
    statefile.write(path, {}, {"x": np.arange(3.0)})
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DamagedBlock):
        statefile.read(path)


def test_the_version_of_a_later_release_is_named(tmp_path):
    path = tmp_path / "a.state"
    statefile.write(path, {}, {})
    raw = bytearray(path.read_bytes())
    raw[4] = 9
    path.write_bytes(raw)
    with pytest.raises(DamagedBlock, match="version 9, and this release knows 1"):
        statefile.read(path)


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.state"
    statefile.write(path, {"n": 1}, {})
    (tmp_path / "a.state.new").mkdir()
    with pytest.raises(OSError):  # noqa: PT011  which one depends on the system
        statefile.write(path, {"n": 2}, {})
    assert statefile.read(path)[0] == {"n": 1}
