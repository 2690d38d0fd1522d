"""Arrays of one tag against the plainest loops."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gateway.contracts import Series
from gateway.store.series import between, downsample, merge

VALUES = st.sampled_from([0.0, -0.0, 1.0, np.nan])
ROWS = st.lists(st.tuples(st.integers(0, 6), VALUES, st.sampled_from([0, 0x80000000]), st.sampled_from(["", "a", "b"])))


def series(rows):
    times, values, statuses, words = zip(*rows, strict=True) if rows else ((), (), (), ())
    text = {k: word for k, word in enumerate(words) if word}
    return Series(np.array(times, np.int64), np.array(values, np.float64), np.array(statuses, np.uint32), text)


def rows_of(whole):
    columns = (whole.source_ns.tolist(), whole.value.view(np.int64).tolist(), whole.status.tolist())
    return [(*row, whole.text.get(k, "")) for k, row in enumerate(zip(*columns, strict=True))]


@given(st.lists(ROWS, max_size=4))
def test_merging_sorts_by_time_keeps_the_order_of_equals_and_drops_the_identical(parts):
    expected = []
    for row in [row for part in parts for row in rows_of(series(part))]:
        if row not in expected:
            expected.append(row)
    expected.sort(key=lambda row: row[0])
    assert rows_of(merge([series(part) for part in parts])) == expected


@given(ROWS, st.integers(-1, 8), st.integers(-1, 8))
def test_a_range_begins_with_its_start_and_ends_before_its_end(rows, start, end):
    whole = merge([series(rows)])
    assert rows_of(between(whole, start, end)) == [row for row in rows_of(whole) if start <= row[0] < end]


@given(ROWS, st.integers(1, 4))
def test_buckets_do_not_depend_on_how_the_samples_are_cut_into_pieces(rows, bucket):
    whole = merge([series(rows)])
    middle = whole.source_ns.size // 2
    cut = int(whole.source_ns[middle]) if whole.source_ns.size else 0
    one = downsample([whole], 0, bucket)
    two = downsample([between(whole, 0, cut), between(whole, cut, 9)], 0, bucket)
    for name in ("start_ns", "minimum", "maximum", "mean", "count", "worst"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
