"""Aggregates against the worked examples of Part 13, Annex A, and against a slow reference written from the definitions."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.sinks.opcua.aggregates import AGGREGATES, Intervals, compute
from gateway.sinks.opcua.interpolation import Known
from gateway.wire.opcua.past import AggregateConfiguration

from .plain_aggregates import Plain, Sample

S = 1_000_000_000
GOOD, BAD, UNCERTAIN = 0, 0x8000_0000, 0x4000_0000
NUMBER = {one.name: number for number, one in AGGREGATES.items()}
HISTORIAN_1 = [
    *((t, t, GOOD) for t in (10, 20, 30)),
    (40, None, BAD),
    (50, 50, GOOD),
    (60, 60, GOOD),
    (70, 70, UNCERTAIN),
    (80, 80, GOOD),
    (90, 90, GOOD),
]
HISTORIAN_2 = [
    (2, 10, GOOD),
    (25, 20, GOOD),
    (28, 25, GOOD),
    (39, 30, GOOD),
    (42, None, BAD),
    (48, 40, GOOD),
    (52, 50, GOOD),
    (72, 60, GOOD),
    (77, 70, UNCERTAIN),
    (83, 70, GOOD),
    (86, 80, GOOD),
    (90, 90, GOOD),
]
HISTORIANS = {
    1: (HISTORIAN_1, False, AggregateConfiguration(treat_uncertain_as_bad=False)),
    2: (HISTORIAN_2, False, AggregateConfiguration()),
    3: (HISTORIAN_2, True, AggregateConfiguration(percent_bad=50, percent_good=50)),
}


def known(samples, *, stepped, configuration):
    times, values, statuses = zip(*samples, strict=True)
    return Known(
        np.array([round(t * S) for t in times], np.int64),
        np.array([np.nan if v is None else v for v in values], np.float64),
        np.array(statuses, np.uint32),
        stepped,
        configuration.treat_uncertain_as_bad,
        configuration.sloped_extrapolation,
    )


def over(known_, edges, configuration):
    edges = np.array([round(t * S) for t in edges], np.int64)
    short = np.diff(edges) < np.diff(edges)[0]
    return Intervals(known_, edges, edges[:-1], short, configuration)


def words(status):
    """As Annex A writes them."""
    if status == 0x809B_0000:
        return "BadNoData"
    severity = {0: "Good", 0x40A4_0000: "Sub", 0x4000_0000: "Uncertain", BAD: "Bad"}[status & 0xFFFF_0000]
    bits = [word for bit, word in ((1, "C"), (2, "I"), (4, "P"), (16, "M")) if status & bit]
    assert bool(bits) == bool(status & 0x0400)  # InfoType says that the bits are there
    return ",".join([severity, *bits])


def answered(historian, name, interval, until=100):
    samples, stepped, configuration = HISTORIANS[historian]
    edges = [*range(0, until, interval), until]
    found = compute(NUMBER[name], over(known(samples, stepped=stepped, configuration=configuration), edges, configuration))
    rows = zip((found.source_ns / S).tolist(), found.value.tolist(), found.status.tolist(), strict=True)
    return [(t, None if value != value else round(value, 3), words(status)) for t, value, status in rows]  # noqa: PLR0124 NaN


def every(seconds, *rows):
    return [(seconds * k, *row) for k, row in enumerate(rows)]


NO = (None, "BadNoData")
INTERPOLATIVE_1 = every(
    5,
    *(NO, NO, (10, "Good"), (15, "Good,I"), (20, "Good"), (25, "Good,I"), (30, "Good"), (35, "Sub,I"), (40, "Sub,I"), (45, "Sub,I")),
    *((50, "Good"), (55, "Good,I"), (60, "Good"), (65, "Sub,I"), (70, "Uncertain"), (75, "Sub,I"), (80, "Good"), (85, "Good,I")),
    *((90, "Good"), (90, "Sub,I")),
)
INTERPOLATIVE_2 = every(
    5,
    *(NO, (11.304, "Good,I"), (13.478, "Good,I"), (15.652, "Good,I"), (17.826, "Good,I"), (20, "Good"), (25.909, "Good,I")),
    *((28.182, "Good,I"), (31.111, "Sub,I"), (36.667, "Sub,I"), (45, "Good,I"), (51.5, "Good,I"), (54, "Good,I"), (56.5, "Good,I")),
    *((59, "Good,I"), (62.727, "Sub,I"), (67.273, "Sub,I"), (76.667, "Good,I"), (90, "Good")),
)
TIME_AVERAGE2_1 = every(
    5,
    *(NO, NO, (12.5, "Good,C"), (17.5, "Good,C"), (22.5, "Good,C"), (27.5, "Good,C"), (30, "Sub,C"), (30, "Sub,C"), NO, NO),
    *((52.5, "Good,C"), (57.5, "Good,C"), (62.5, "Sub,C"), (67.5, "Sub,C"), (72.5, "Sub,C"), (77.5, "Sub,C"), (82.5, "Good,C")),
    *((87.5, "Good,C"), (90, "Sub,C,P"), NO),
)
TIME_AVERAGE2_2 = every(
    5,
    *((10.652, "Sub,C,P"), (12.391, "Good,C"), (14.565, "Good,C"), (16.739, "Good,C"), (18.913, "Good,C"), (23.682, "Good,C")),
    *((27.045, "Good,C"), (29.273, "Sub,C"), (30, "Sub,C"), (42.5, "Sub,C"), (49.45, "Good,C"), (52.75, "Good,C"), (55.25, "Good,C")),
    *((57.75, "Good,C"), (59.8, "Sub,C")),
)
TIME_AVERAGE2_3 = every(
    5,
    *((10, "Good,C,P"), (10, "Good,C"), (10, "Good,C"), (10, "Good,C"), (10, "Good,C"), (22, "Good,C"), (25, "Good,C"), (26, "Good,C")),
    *((None, "Bad,C"), (None, "Bad,C"), (46, "Good,C"), (50, "Good,C"), (50, "Good,C"), (50, "Good,C"), (56, "Good,C"), (None, "Bad,C")),
)


@pytest.mark.parametrize(
    ("historian", "name", "expected"),
    [
        (1, "Interpolative", INTERPOLATIVE_1),
        (2, "Interpolative", INTERPOLATIVE_2),
        (1, "TimeAverage2", TIME_AVERAGE2_1),
        (2, "TimeAverage2", TIME_AVERAGE2_2),
        (3, "TimeAverage2", TIME_AVERAGE2_3),
    ],
)
def test_the_examples_of_annex_a_in_intervals_of_5_seconds(historian, name, expected):
    """Part 13, A.2 and A.5, as far as the tables go."""
    assert answered(historian, name, 5)[: len(expected)] == expected


MAXIMUM_ACTUAL_TIME = {
    1: [(10, 10, "Good,P"), (30, 30, "Good"), (32, *NO), (60, 60, "Good"), (64, *NO), (90, 90, "Good,P"), (96, *NO)],
    2: [(2, 10, "Good,P"), (28, 25, "Good"), (39, 30, "Sub"), (52, 50, "Good"), (72, 60, "Sub"), (90, 90, "Good,P"), (96, *NO)],
}
MAXIMUM_ACTUAL_TIME[3] = MAXIMUM_ACTUAL_TIME[2]


@pytest.mark.parametrize("historian", [1, 2, 3])
def test_the_examples_of_maximum_actual_time(historian):
    """Part 13, A.11, in intervals of 16 s; the table leaves out the Calculated bit that 5.4.3.13 asks for where values are not Good."""
    found = [(t, value, status.replace("Sub,C", "Sub")) for t, value, status in answered(historian, "MaximumActualTime", 16)]
    assert found == MAXIMUM_ACTUAL_TIME[historian]


def test_a_bad_sample_is_passed_over_by_the_time_average():
    """Historian 2, 12:00:45: 36.667 to 40 to 45 is 200 in 5 s (Part 13, A.4)."""
    assert answered(2, "TimeAverage", 5)[9] == (45, 40.0, "Sub,C")


def test_there_is_nothing_of_a_tag_that_never_had_a_sample():
    for number in AGGREGATES:
        nothing = Known(np.empty(0, np.int64), np.empty(0), np.empty(0, np.uint32), stepped=False)
        found = compute(number, over(nothing, [0, 5, 10], AggregateConfiguration()))
        assert [words(status) for status in found.status.tolist()] == ["BadNoData"] * 2


@settings(max_examples=300, deadline=None)
@given(
    samples=st.lists(
        st.tuples(st.integers(0, 30), st.integers(-3, 3), st.sampled_from([GOOD, GOOD, GOOD, BAD, UNCERTAIN, 0x4094_0000])), max_size=14
    ),
    name=st.sampled_from(sorted(NUMBER)),
    begin=st.integers(-5, 20),
    interval=st.integers(1, 9),
    count=st.integers(1, 6),
    short=st.integers(0, 3),
    stepped=st.booleans(),
    uncertain_as_bad=st.booleans(),
    sloped=st.booleans(),
    percent=st.sampled_from([(100, 100), (50, 50), (0, 100), (80, 30), (100, 0)]),
)
def test_every_aggregate_is_what_its_definition_says(
    samples, name, begin, interval, count, short, stepped, uncertain_as_bad, sloped, percent
):
    """Against plain_aggregates, with equal times only where the later one counts."""
    by_time = {t: (t, None if status == BAD else float(value), status) for t, value, status in samples}
    rows = [by_time[t] for t in sorted(by_time)]
    configuration = AggregateConfiguration(uncertain_as_bad, *percent, sloped)
    edges = [begin + interval * k for k in range(count + 1)]
    if short and interval > short and count > 1:
        edges[-1] -= short
    columns = [np.array(column) for column in zip(*rows, strict=True)] if rows else [np.empty(0)] * 3
    known_ = Known(
        (columns[0] * S).astype(np.int64),
        np.array([np.nan if v is None else v for v in columns[1].tolist()], np.float64),
        columns[2].astype(np.uint32),
        stepped,
        uncertain_as_bad,
        sloped,
    )
    found = compute(NUMBER[name], over(known_, edges, configuration))
    plain = Plain(
        [Sample(t * S, v, s) for t, v, s in rows],
        stepped=stepped,
        uncertain_as_bad=uncertain_as_bad,
        sloped=sloped,
        percent_bad=percent[0],
        percent_good=percent[1],
    )
    for row, (low, high) in enumerate(itertools.pairwise(edges)):
        at, value, status = plain.of(name, low * S, high * S, short=high - low < edges[1] - edges[0])
        assert (int(found.source_ns[row]), hex(found.status[row])) == (at, hex(status))
        assert found.value[row] == pytest.approx(np.nan if value is None else value, abs=1e-9, nan_ok=True)
