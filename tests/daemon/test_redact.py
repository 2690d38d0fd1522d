"""What a command says to be kept secret is in no record of it, however it is nested; a long one is cut."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.command import Caller, Command
from gateway.operations.redact import HIDDEN, LONGEST, SECRETS, redacted

SECRET = "kettle-drum-seven"
CALLER = Caller("ann", "admin", "local:0")
PLAIN = st.none() | st.booleans() | st.integers() | st.text(max_size=5)
NAMES = st.text(max_size=5) | st.sampled_from(["user", "args", "list"])


def holding(value):
    """JSON values with that one somewhere below the name of a secret."""
    secret = st.sampled_from([*sorted(SECRETS), "Password", "TOKEN"]).map(lambda name: {name: value})
    return st.recursive(
        secret, lambda inner: st.lists(inner | PLAIN, max_size=3) | st.dictionaries(NAMES, inner | PLAIN, max_size=3), max_leaves=8
    )


@given(st.dictionaries(NAMES, holding(SECRET) | PLAIN, max_size=4))
def test_no_secret_is_left_however_deep(args):
    assert SECRET not in json.dumps(redacted(Command("user.passwd", args, CALLER)).args)


@pytest.mark.parametrize("value", [SECRET, [SECRET], {"a": {"b": SECRET}}])
def test_all_of_a_secret_is_hidden_whatever_it_is(value):
    assert redacted(Command("x", {"password": value, "user": "ann"}, CALLER)).args == {"password": HIDDEN, "user": "ann"}


def test_what_is_nested_beyond_reason_is_hidden_whole():
    value = SECRET
    for _ in range(50):
        value = [{"a": value}]
    assert SECRET not in json.dumps(redacted(Command("x", {"a": value}, CALLER)).args)


@given(st.dictionaries(st.sampled_from(["tag", "value", "condition"]), PLAIN | st.lists(PLAIN, max_size=3)))
def test_everything_else_stays_as_it_was(args):
    command = Command("tag.write", args, CALLER)
    assert redacted(command) == command


def test_a_megabyte_leaves_its_beginning_and_its_length():
    args = redacted(Command("x", {"text": "y" * (LONGEST + 1)}, CALLER)).args
    assert len(json.dumps(args)) < 2000
    assert args["characters"] > LONGEST
