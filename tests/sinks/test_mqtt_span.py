"""What was made while a connection stood is told from what lay there before, whatever was done to the clock."""

from gateway.sinks.mqtt.span import Span

SECOND = 10**9
YEAR = 365 * 86_400 * SECOND


def test_a_clock_that_runs_on_makes_one_stretch():
    span = Span()
    for second in range(5):
        span.note(100 * SECOND + second * SECOND)
    assert 99 * SECOND not in span
    assert 100 * SECOND in span
    assert 103 * SECOND + 1 in span
    assert 105 * SECOND not in span


def test_what_lies_between_two_settings_of_the_clock_is_of_the_past():
    """A boot with a clock years behind, corrected while connected: what the outage before it left stays historical."""
    span = Span()
    span.note(30 * YEAR)
    span.note(56 * YEAR)
    assert 30 * YEAR in span
    assert 56 * YEAR in span
    assert 56 * YEAR - 60 * SECOND not in span


def test_a_clock_set_back_adds_a_stretch():
    span = Span()
    span.note(1000 * SECOND)
    span.note(400 * SECOND)
    span.note(401 * SECOND)
    assert 1000 * SECOND in span
    assert 400 * SECOND + 1 in span
    assert 700 * SECOND not in span


def test_it_is_bounded():
    span = Span()
    for place in range(10_000):
        span.note(place * 60 * SECOND)
    assert 0 not in span
    assert 9_950 * 60 * SECOND in span
