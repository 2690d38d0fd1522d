"""The permissions of each role on each kind of node, as tables."""

import pytest
from asyncua import ua
from asyncua.common.utils import ServiceError

from gateway.access import roles
from gateway.model.command import Caller
from gateway.wire.opcua import permissions as p
from gateway.wire.opcua.face import Node, NodeClass, Reading, Target
from gateway.wire.opcua.methods import Method


def node(kind=NodeClass.VARIABLE, **more):
    return Node(Target("n", kind, "n", 63), [], **more)


def variable(**more):
    return node(read=lambda: Reading(1.0), **more)


def masks(mask):
    return [mask(role) for role in p.ROLES]


def test_the_roles_are_those_of_the_gateway_in_their_order():
    assert tuple(p.ROLES) == roles.ROLES
    assert [[p.at_least(one, other) for other in p.ROLES] for one in p.ROLES] == [
        [roles.at_least(one, other) for other in p.ROLES] for one in p.ROLES
    ]


@pytest.mark.parametrize("role", ["none", "", "root", "VIEWER"])
def test_an_unknown_role_may_nothing_and_is_not_admitted(role):
    assert p.of_own(variable(write_role="viewer"), roles.allowed)(role) == 0
    assert p.roles_of(Caller("ann", role, ""), "anonymous") == frozenset()
    with pytest.raises(ServiceError) as caught:
        p.admit(Caller("ann", role, ""))
    assert caught.value.code == ua.StatusCodes.BadUserAccessDenied


@pytest.mark.parametrize("write_role", list(p.ROLES))
def test_writing_is_for_the_role_of_the_write_rule_and_those_above_it(write_role):
    may = [bool(mask & p.WRITE) for mask in masks(p.of_own(variable(write_role=write_role), roles.allowed))]
    assert may == [roles.at_least(role, write_role) for role in roles.ROLES]


def test_every_role_browses_and_reads_and_history_where_it_is_kept():
    plain, kept = p.of_own(variable(), roles.allowed), p.of_own(variable(historizing=True), roles.allowed)
    assert all(mask & p.BROWSE and mask & p.READ and not mask & (p.WRITE | p.READ_HISTORY | p.CALL) for mask in masks(plain))
    assert all(mask & p.READ_HISTORY for mask in masks(kept))


def test_a_method_is_called_by_those_who_have_its_permission():
    async def run(_):
        return ()

    method = node(NodeClass.METHOD, method=Method("Shelve", (), (), "alarm:suppress", run))
    assert [bool(mask & p.CALL) for mask in masks(p.of_own(method, roles.allowed))] == [False, False, True, True, True]
    assert not any(mask & p.READ for mask in masks(p.of_own(method, roles.allowed)))


def test_only_an_administrator_reads_role_permissions_and_who_signed_in_how():
    security = ua.ObjectIds.Server_ServerDiagnostics_SessionsDiagnosticsSummary_SessionSecurityDiagnosticsArray
    may = masks(p.of_standard(security, NodeClass.VARIABLE, lambda _: False))
    assert [bool(mask & p.READ) for mask in may] == [False] * 4 + [True]
    assert [bool(mask & p.READ_ROLE_PERMISSIONS) for mask in may] == [False] * 4 + [True]
    why = [p.why_unreadable(ua.NodeId(security), role, encrypted=True) for role in ("manager", "admin")]
    assert why == [ua.StatusCodes.BadUserAccessDenied, 0]
    assert p.why_unreadable(ua.NodeId(security), "admin", encrypted=False) == ua.StatusCodes.BadSecurityModeInsufficient
    assert p.restrictions(ua.NodeId(security)) == 3
    assert p.restrictions(ua.NodeId(security, 2)) == p.restrictions(ua.NodeId("a", 2)) == 0


def test_a_session_holds_the_roles_up_to_its_own_and_an_anonymous_one_only_that():
    assert p.roles_of(Caller("ann", "operator", ""), "anonymous") == {15644, 15656, 15668, 15680}
    assert p.roles_of(Caller("root", "admin", ""), "anonymous") == {15644, 15656, 15668, 15680, 16036, 15692, 15716, 15704}
    assert p.roles_of(Caller("anonymous", "operator", ""), "anonymous") == {15644}


def test_user_access_level_is_what_of_the_access_level_the_user_has():
    assert p.user_access_level(0b111, p.READ) == 0b001
    assert p.user_access_level(0b111, p.READ | p.WRITE) == 0b011
    assert p.user_access_level(0b101, p.READ | p.WRITE | p.READ_HISTORY) == 0b101
    assert p.user_access_level(0b111, 0) == 0
