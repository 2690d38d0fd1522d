"""People, tokens and records of the audit as JSON values, without what nobody needs to see."""

import json
from typing import Any

from gateway.access.people import People
from gateway.model import quality
from gateway.model.audit import AuditCheck, AuditRecord
from gateway.model.people import Token, User
from gateway.model.process import Scenario
from gateway.web.times import iso


def user_row(user: User, people: People) -> dict[str, Any]:
    """A user as JSON values, without the hash of the password."""
    return {
        "user": user.name,
        "role": user.role,
        "disabled": user.disabled,
        "password": bool(user.password),
        "certificate": user.certificate,
        "locked_s": round(people.locked_s(user.name), 1),
        "created": iso(user.created_ns),
        "changed": iso(user.changed_ns),
    }


def token_row(token: Token) -> dict[str, Any]:
    """A token as JSON values, without the hash of its secret."""
    return {
        "token_id": token.token_id,
        "name": token.name,
        "role": token.role,
        "owner": token.owner,
        "created": iso(token.created_ns),
        "expires": iso(token.expires_ns),
    }


def record_row(record: AuditRecord) -> dict[str, Any]:
    """A record as JSON values."""
    return {
        "seq": record.seq,
        "time": iso(record.at_ns),
        "user": record.user,
        "role": record.role,
        "origin": record.origin,
        "command": record.command,
        "args": json.loads(record.args),
        "status": quality.name(record.status),
        "message": record.message,
    }


def check_row(check: AuditCheck) -> dict[str, Any]:
    """What a check of the chain found, as JSON values."""
    return {"intact": check.broken_at is None, "records": check.records, "broken_at": check.broken_at, "head": check.head}


def scenario_row(one: Scenario, *, configured: bool) -> dict[str, Any]:
    """A scenario as JSON; configured: it belongs to the configuration."""
    return {
        "name": one.name,
        "description": one.description,
        "parameters": dict(one.parameters),
        "horizon_s": one.horizon_s,
        "step_s": one.step_s,
        "runs": one.runs,
        "created": iso(one.created_ns) if one.created_ns else None,
        "updated": iso(one.updated_ns) if one.updated_ns else None,
        "configured": configured,
    }
