"""The ten that were counted most often, kept up, are those that a look at all of them finds."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gateway.ranking import TOP, Top

NAMES = st.sampled_from([f"tag{number}" for number in range(25)])
ROUNDS = st.lists(st.lists(NAMES, max_size=60), max_size=8)


@given(ROUNDS, st.integers(1, 3))
def test_the_leaders_are_those_that_a_look_at_all_finds(rounds, kept):
    top, past = Top(), []
    for names in rounds:
        past.append(Counter[str]())
        for name in names:
            top.count(name)
            past[-1][name] += 1
            agree(top, past)
        if len(past) > kept:
            top.forget(past.pop(0))
            agree(top, past)


def agree(top, past):
    counts = sum(past, Counter())
    wanted = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:TOP]
    report = top.report()
    assert [(one["condition"], one["count"]) for one in report["top"]] == wanted
    total = counts.total()
    assert report["top_share"] == (round(sum(count for _, count in wanted) / total, 4) if total else 0.0)
