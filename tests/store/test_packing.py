"""Columns shuffled by significance come back whole, and row by row."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.store.packing import shuffle, unshuffle

COLUMNS = st.sampled_from([np.dtype("<f8"), np.dtype("<i8"), np.dtype("<u4"), np.dtype("<i4"), np.dtype("u1")])


@given(COLUMNS, st.binary(min_size=8, max_size=400), st.data())
def test_some_rows_are_those_of_the_whole_column_bit_for_bit(dtype, noise, data):
    column = np.frombuffer(noise[: len(noise) // dtype.itemsize * dtype.itemsize], dtype)
    raw = memoryview(shuffle(column) + b"what follows")
    rows = np.array(data.draw(st.lists(st.integers(0, column.size - 1), max_size=20)), np.intp)
    assert unshuffle(raw, dtype, column.size).tobytes() == column.tobytes()
    assert unshuffle(raw, dtype, column.size, rows).tobytes() == column[rows].tobytes()
    assert unshuffle(raw, dtype, column.size, rows).flags.writeable
