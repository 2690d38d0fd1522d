"""Roles, permissions and sessions."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.roles import PERMISSIONS, ROLES, allowed, at_least, permissions
from gateway.access.sessions import ABSOLUTE_S, IDLE_S, LINK_S, Sessions


@given(st.text(), st.text())
def test_an_unknown_role_or_permission_gives_nothing(role, permission):
    if role not in ROLES:
        assert not any(allowed(role, known) for known in PERMISSIONS)
        assert not at_least(role, role)
    if permission not in PERMISSIONS:
        assert not any(allowed(known, permission) for known in ROLES)


def test_each_role_may_do_what_the_one_below_it_may():
    for lower, upper in pairwise(ROLES):
        assert set(permissions(lower)) < set(permissions(upper))


def test_acknowledging_needs_an_operator_and_clearing_a_manager():
    assert [role for role in ROLES if allowed(role, "alarm:ack")] == list(ROLES[1:])
    assert [role for role in ROLES if allowed(role, "event:clear")] == ["manager", "admin"]


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


def test_a_link_is_good_once_and_for_ten_minutes():
    clock = Clock()
    sessions = Sessions(clock)
    link, late = sessions.link("ann", "viewer"), sessions.link("bob", "viewer")
    assert sessions.redeem(link) is not None
    assert sessions.redeem(link) is None
    clock.now_s = LINK_S
    assert sessions.redeem(late) is None
    assert sessions.redeem("") is None


def test_a_session_ends_after_idle_time_and_after_twelve_hours_in_any_case():
    clock = Clock()
    sessions = Sessions(clock)
    sid = sessions.redeem(sessions.link("ann", "viewer"))
    while clock.now_s < ABSOLUTE_S - IDLE_S:
        clock.now_s += IDLE_S - 1
        assert sessions.find(sid).user == "ann"
    clock.now_s = ABSOLUTE_S
    assert sessions.find(sid) is None
    other = sessions.redeem(sessions.link("bob", "viewer"))
    clock.now_s += IDLE_S - 1
    assert sessions.find(other, touch=False) is not None
    clock.now_s += 1
    assert sessions.find(other) is None


def test_links_beyond_the_bound_push_out_the_oldest():
    sessions = Sessions(Clock())
    first = sessions.link("ann", "viewer")
    for _ in range(1000):
        last = sessions.link("ann", "viewer")
    assert sessions.redeem(first) is None
    assert sessions.redeem(last) is not None


def test_a_link_for_an_unknown_role_is_an_error():
    with pytest.raises(ValueError, match="no role"):
        Sessions(Clock()).link("ann", "root")
