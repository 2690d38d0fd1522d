"""Who may do what to which node: RolePermissions, UserRolePermissions and AccessRestrictions (Part 3, 5.2.9 to 5.2.11; Part 18).

A caller's role is one of five, each of which may do what the ones before it may; to clients they are the well-known roles of Part 18. A
caller without any of them is turned away before a service begins, and no node keeps a reader out but the few in `_GUARDED`: a request
for tags' values is decided once, not value by value.
"""

from collections.abc import Callable
from typing import Any, Final

from asyncua import ua
from asyncua.common.utils import ServiceError

from gateway.model.command import Caller
from gateway.wire.opcua.face import Node, NodeClass
from gateway.wire.opcua.terms import NAMESPACES, node_id, status_code

ROLES: Final = {
    # the gateway's role -> roles of Part 18, 4.3; a session holds those of the roles before it too
    "viewer": (15656, 15668),  # AuthenticatedUser, Observer
    "operator": (15680,),  # Operator
    "engineer": (16036,),  # Engineer
    "manager": (15692,),  # Supervisor
    "admin": (15716, 15704),  # ConfigureAdmin, SecurityAdmin
}
ANONYMOUS: Final = 15644
"""Every session holds it, with the rights that the configuration gives to those who do not sign in."""

_NAMES: Final = tuple(ROLES)
_RANK: Final = {role: rank for rank, role in enumerate(_NAMES)}

# PermissionType (Part 3, 8.55)
BROWSE: Final = 1
READ_ROLE_PERMISSIONS: Final = 2
READ: Final = 32
WRITE: Final = 64
READ_HISTORY: Final = 128
RECEIVE_EVENTS: Final = 2048
CALL: Final = 4096

# AccessLevelType (Part 3, 8.57) -> what the user needs for it
_ACCESS: Final = {1: READ, 2: WRITE, 4: READ_HISTORY}
_EVENTS, _EVENT_HISTORY = 1, 4  # EventNotifierType (Part 3, 8.59)

# AccessRestrictionType (Part 3, 8.56)
_SIGNED_AND_ENCRYPTED: Final = 3

_GUARDED: Final = frozenset(
    int(identifier)
    for identifier in (
        ua.ObjectIds.Server_ServerDiagnostics_SessionsDiagnosticsSummary_SessionSecurityDiagnosticsArray,
        ua.ObjectIds.OPCUANamespaceMetadata_DefaultRolePermissions,
    )
)
"""Values that tell how others come in (Part 5, 6.3.5): for administrators."""
_CONFIDENTIAL: Final = frozenset({int(ua.ObjectIds.Server_ServerDiagnostics_SessionsDiagnosticsSummary_SessionSecurityDiagnosticsArray)})
"""And for those only over a channel that nobody else can read."""

_Ids: Final = ua.AttributeIds
_BY_NAME: Final = {
    "DefaultRolePermissions": _Ids.RolePermissions,
    "DefaultUserRolePermissions": _Ids.UserRolePermissions,
}
"""Likewise for the metadata of the gateway's own namespace."""
_DEFAULTS: Final = {
    # Part 5, 6.3.14 (NamespaceMetadataType) -> the attribute that it stands for
    int(ua.ObjectIds.OPCUANamespaceMetadata_DefaultRolePermissions): _Ids.RolePermissions,
    int(ua.ObjectIds.OPCUANamespaceMetadata_DefaultUserRolePermissions): _Ids.UserRolePermissions,
    int(ua.ObjectIds.OPCUANamespaceMetadata_DefaultAccessRestrictions): _Ids.AccessRestrictions,
}
Allowed = Callable[[str, str], bool]
"""(role, permission) of the gateway, for example `alarm:ack`."""
Mask = Callable[[str], int]
"""The permissions of a role."""


def has_role(caller: Caller) -> bool:
    """Whether the caller has a role at all."""
    return caller.role in _RANK


def admit(caller: Caller) -> None:
    """Raises ServiceError BadUserAccessDenied for a caller without a role."""
    if not has_role(caller):
        raise ServiceError(ua.StatusCodes.BadUserAccessDenied)


def at_least(role: str, needed: str) -> bool:
    """Whether a role is that one or above it; False where either is unknown."""
    return role in _RANK and needed in _RANK and _RANK[role] >= _RANK[needed]


def of_own(node: Node, allowed: Allowed) -> Mask:
    """The permissions on a node of the gateway's namespace."""
    base = BROWSE | RECEIVE_EVENTS
    if node.method is not None:
        base = BROWSE
    elif node.read is not None:
        base |= READ | (READ_HISTORY if node.historizing else 0)
    elif node.event_notifier & _EVENT_HISTORY:
        base |= READ_HISTORY
    method, write_role = node.method, node.write_role

    def mask(role: str) -> int:
        extra = WRITE if write_role and at_least(role, write_role) else 0
        if method is not None and (not method.permission or allowed(role, method.permission)):
            extra |= CALL
        return _of(role, base | extra)

    return mask


def of_standard(identifier: int, node_class: int, callable_by: Callable[[str], bool]) -> Mask:
    """The permissions on a node of namespace 0. callable_by(role) says whether that role may call it, if it is a Method."""
    guarded = identifier in _GUARDED
    base = BROWSE | RECEIVE_EVENTS
    if node_class in (NodeClass.VARIABLE, NodeClass.VARIABLE_TYPE):
        base |= READ

    def mask(role: str) -> int:
        if node_class == NodeClass.METHOD:
            return _of(role, BROWSE | (CALL if callable_by(role) else 0))
        return _of(role, base & ~READ if guarded and not at_least(role, "admin") else base)

    return mask


def _of(role: str, mask: int) -> int:
    if role not in _RANK:
        return 0
    return mask | (READ_ROLE_PERMISSIONS if role == "admin" else 0)


def roles_of(caller: Caller, anonymous: str) -> frozenset[int]:
    """The well-known roles that a session holds: one that nobody signed in to holds Anonymous alone (Part 18, 4.2).

    anonymous: the user's name in that case.
    """
    if caller.role not in _RANK:
        return frozenset()
    if caller.user == anonymous:
        return frozenset({ANONYMOUS})
    return frozenset({ANONYMOUS, *(number for role in _NAMES[: _RANK[caller.role] + 1] for number in ROLES[role])})


def table(mask: Mask, anonymous: str, held: frozenset[int] | None = None) -> ua.Variant:
    """RolePermissions: every well-known role with its permissions; of UserRolePermissions those that are held.

    anonymous: the role of those who do not sign in; they have no entry where it is none.
    """
    rows = [(number, mask(role)) for role, numbers in ROLES.items() for number in numbers]
    if anonymous in _RANK:
        rows.insert(0, (ANONYMOUS, mask(anonymous)))
    entries = [
        ua.RolePermissionType(node_id(number), ua.PermissionType(permissions))
        for number, permissions in rows
        if held is None or number in held
    ]
    return ua.Variant(entries, ua.VariantType.ExtensionObject, is_array=True)


def user_access_level(access_level: int, permissions: int) -> int:
    """UserAccessLevel (Part 3, 5.6.2): what of the AccessLevel this user has."""
    lost = sum(bit for bit, needed in _ACCESS.items() if not permissions & needed)
    return access_level & ~lost


def restrictions(nodeid: ua.NodeId) -> int:
    """AccessRestrictions: what the channel must be for this node."""
    return _SIGNED_AND_ENCRYPTED if _number(nodeid) in _CONFIDENTIAL else 0


def why_unreadable(nodeid: ua.NodeId, role: str, *, encrypted: bool) -> int:
    """0, or why that role may not read this Value. The caller has been admitted, so this is for few nodes only."""
    number = _number(nodeid)
    if number not in _GUARDED and default_of(nodeid) != _Ids.RolePermissions:
        return 0
    if not at_least(role, "admin"):
        return int(ua.StatusCodes.BadUserAccessDenied)
    return int(ua.StatusCodes.BadSecurityModeInsufficient) if number in _CONFIDENTIAL and not encrypted else 0


def _number(nodeid: ua.NodeId) -> int | None:
    number = nodeid.Identifier
    return number if nodeid.NamespaceIndex == 0 and isinstance(number, int) else None


def shown(mask: Mask, caller: Caller, anonymous: tuple[str, str], attribute: int) -> ua.DataValue:
    """RolePermissions or UserRolePermissions of a node. anonymous: name and role of those who do not sign in."""
    name, role = anonymous
    if attribute == _Ids.UserRolePermissions:
        return ua.DataValue(table(mask, role, roles_of(caller, name)))
    if not mask(caller.role) & READ_ROLE_PERMISSIONS:
        return ua.DataValue(StatusCode=status_code(ua.StatusCodes.BadUserAccessDenied))
    return ua.DataValue(table(mask, role))


def default_of(nodeid: ua.NodeId) -> ua.AttributeIds | None:
    """The attribute whose default this property of a namespace's metadata is; None for any other node."""
    key: Any = nodeid.Identifier
    if nodeid.NamespaceIndex == 0:
        return _DEFAULTS.get(key) if isinstance(key, int) else None
    ours = isinstance(key, str) and key.startswith(NAMESPACES)
    return _BY_NAME.get(key.rpartition("/")[2]) if ours else None


def namespace_default(nodeid: ua.NodeId, caller: Caller, anonymous: tuple[str, str]) -> ua.DataValue | None:
    """What a namespace's metadata says of its nodes in general; None for any other Value."""
    attribute = default_of(nodeid)
    if attribute is None:
        return None
    if attribute == _Ids.AccessRestrictions:
        return ua.DataValue(ua.Variant(0, ua.VariantType.UInt16))
    if nodeid.NamespaceIndex:
        return shown(lambda role: _of(role, BROWSE | READ | READ_HISTORY | RECEIVE_EVENTS), caller, anonymous, attribute)
    return shown(of_standard(0, NodeClass.VARIABLE, lambda _: False), caller, anonymous, attribute)
