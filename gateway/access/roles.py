"""Roles and permissions. Code asks for a permission, never for a role: the table below is the only place that knows both."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

ROLES: Final = ("viewer", "operator", "engineer", "manager", "admin")
"""Each role may do what the ones before it may."""

PERMISSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        # permission -> the first role that has it
        "twin:read": "viewer",
        "history:read": "viewer",
        "event:read": "viewer",
        "status:read": "viewer",
        "account:own": "viewer",
        "alarm:ack": "operator",
        "event:ack": "operator",
        "tag:write": "operator",
        "alarm:shelve": "operator",
        "sim:run": "operator",
        "tag:override": "engineer",
        "alarm:suppress": "engineer",
        "model:calibrate": "engineer",
        "record:start": "engineer",
        "twin:commit": "engineer",
        "event:clear": "manager",
        "audit:read": "manager",
        "config:read": "manager",
        "config:write": "admin",
        "history:import": "admin",
        "user:manage": "admin",
        "cert:trust": "admin",
    }
)

_RANK: Final = {role: rank for rank, role in enumerate(ROLES)}


def allowed(role: str, permission: str) -> bool:
    """Whether that role has that permission. An unknown role or permission has none: there is no rank to compare."""
    rank, needed = _RANK.get(role), PERMISSIONS.get(permission)
    return rank is not None and needed is not None and rank >= _RANK[needed]


def permissions(role: str) -> tuple[str, ...]:
    """All that a role may do, sorted; empty for an unknown role."""
    return tuple(sorted(permission for permission in PERMISSIONS if allowed(role, permission)))


def at_least(role: str, needed: str) -> bool:
    """Whether a role is that one or above it; False where either is unknown. For rules that name a role, like `writable.role`."""
    rank, floor = _RANK.get(role), _RANK.get(needed)
    return rank is not None and floor is not None and rank >= floor
