"""What is wrong here, and what to do about it: findings from the configuration, the daemon's status and the twin's tags. Pure."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

FAULT: Final = "fault"
WARNING: Final = "warning"
FINE: Final = "fine"

_OUTAGE_H: Final = 8.0  # less room than a shift's outage is worth a warning
_DISK_HOURS: Final = 72.0
_SKEW_S: Final = 1.0
_LAG_MS: Final = 250.0
_LISTED: Final = 50
_CERTIFICATE_DAYS: Final = 30


@dataclass(frozen=True, slots=True)
class Finding:
    """level is fault, warning or fine; hint says what to do."""

    level: str
    subject: str
    what: str
    hint: str = ""

    def row(self) -> dict[str, str]:
        """JSON values."""
        return asdict(self)


def of_status(report: Mapping[str, Any]) -> Iterator[Finding]:
    """What the daemon's status tells."""
    level = {"ok": FINE, "degraded": WARNING}.get(report["state"], FAULT)
    units = tuple(f"{kind[:-1]} {name}: " for kind in ("sources", "sinks") for name in report.get(kind, {}))
    reasons = [reason for reason in report.get("reasons", []) if not reason.startswith(units)]  # each unit speaks for itself below
    yield Finding(level, "gateway", "; ".join(reasons) or f"{report['state']}, version {report['version']}")
    for kind in ("sources", "sinks"):
        for name, unit in report.get(kind, {}).items():
            yield from _of_unit(f"{kind[:-1]} {name}", unit)
    for fill in report.get("outbox", []):
        yield from _of_outbox(fill)
    yield from _of_store(report.get("store", {}))
    lag_ms = report.get("road", {}).get("loop_lag_ms", 0.0)
    if lag_ms > _LAG_MS:
        yield Finding(
            WARNING, "gateway", f"the event loop was late by {lag_ms:.0f} ms", "the machine is overloaded: look at its other processes"
        )


def _of_unit(subject: str, unit: Mapping[str, Any]) -> Iterator[Finding]:
    if unit["state"] != "up":
        yield Finding(FAULT, subject, f"{unit['state']}: {unit.get('reason', '')}", _unit_hint(unit))
    else:
        yield Finding(FINE, subject, "up")
    skew_s = unit.get("clock_skew_s")
    if skew_s is not None and abs(skew_s) > _SKEW_S:
        yield Finding(WARNING, subject, f"its clock is {skew_s:+.1f} s off ours", "set both clocks by NTP")
    problems = unit.get("problems", {})
    for name, why in list(problems.items())[:_LISTED]:
        yield Finding(WARNING, f"{subject}: {name}", why)
    if len(problems) > _LISTED:
        yield Finding(WARNING, subject, f"{len(problems) - _LISTED} more problems: edgetwin status --json lists them")


def _unit_hint(unit: Mapping[str, Any]) -> str:
    """What to do about a unit that is not up."""
    if unit["state"] != "down":
        return ""
    taken = re.search(r"cannot listen on \S*:(\d+): .*address (?:already )?in use", unit.get("reason", ""), re.IGNORECASE)
    if taken:
        return f"another program holds the port: `ss -ltnp 'sport = :{taken[1]}'` shows which; it is tried again by itself"
    return "look at the address, the network and the other side; it is tried again by itself"


def _of_outbox(fill: Mapping[str, Any]) -> Iterator[Finding]:
    subject, hours = f"outbox {fill['stream']}", fill["outage_hours"]
    if fill["dropped"]:
        yield Finding(
            FAULT, subject, f"{fill['dropped']} rows were given up", "give store.outbox more bytes or age, or bring the broker back"
        )
    if fill["quarantined"]:
        yield Finding(WARNING, subject, f"{fill['quarantined']} rows were refused by the other side", "its log or access rules say why")
    if hours is not None:
        level = WARNING if hours < _OUTAGE_H else FINE
        yield Finding(
            level, subject, f"room for {hours:.1f} hours of outage at the present rate", "" if level == FINE else "raise store.outbox.bytes"
        )


def _of_store(store: Mapping[str, Any]) -> Iterator[Finding]:
    for why in (store.get("fault"), store.get("damage")):
        if why:
            yield Finding(FAULT, "store", str(why), "look at the disk: room, permissions, health")
    free, per_day, written = store.get("disk_free_bytes"), store.get("bytes_per_day"), store.get("written_bytes_per_day")
    if free is not None and per_day:
        hours = free / per_day * 24
        yield Finding(WARNING if hours < _DISK_HOURS else FINE, "disk", f"room for {hours:.0f} hours at the present rate")
    elif free is not None:
        yield Finding(FINE, "disk", f"{free / 1e9:.1f} GB free; how fast it fills is known after ten minutes")
    if written:
        yield Finding(FINE, "disk", f"{written / 1e9:.2f} GB are written per day (wear of flash)")


def of_certificates(rows: Iterable[Mapping[str, Any]], now_s: float) -> Iterator[Finding]:
    """Certificates of OPC UA: how long the own one lasts, trusted ones that have ended, and how many wait for a decision."""
    refused = 0
    for row in rows:
        left_days = (datetime.fromisoformat(row["valid_to"]).timestamp() - now_s) / 86_400
        subject = f"certificate {row['thumbprint'][:8]}"
        refused += row["place"] == "rejected"
        if row["place"] == "own":
            level = FAULT if left_days < 0 else WARNING if left_days < _CERTIFICATE_DAYS else FINE
            hint = "" if level == FINE else "edgetwin cert renew; who pinned the old one has to trust the new one"
            yield Finding(level, subject, f"the gateway's own, {_ends(left_days)}", hint)
        elif row["place"] != "rejected" and left_days < _CERTIFICATE_DAYS:
            yield Finding(WARNING, subject, f"{row['subject']}, {row['place']}, {_ends(left_days)}", "ask its owner for the next one")
    if refused:
        yield Finding(WARNING, "certificates", f"{refused} were refused", "edgetwin cert list; edgetwin cert trust THUMBPRINT lets one in")


def _ends(left_days: float) -> str:
    return f"ends in {left_days:.0f} days" if left_days >= 0 else f"ended {-left_days:.0f} days ago"


def of_tags(rows: Iterable[Mapping[str, Any]]) -> Iterator[Finding]:
    """Dead tags: enabled, but Bad, the first of them by name."""
    dead = [row for row in rows if row["enabled"] and row["quality"] == "bad"]
    for row in dead[:_LISTED]:
        silent = "never heard of" if row["age_s"] is None else f"last heard of {row['age_s']:.0f} s ago"
        yield Finding(WARNING, f"tag {row['name']}", f"{row['status']}, {silent}", f"look at source {row['source']}")
    if len(dead) > _LISTED:
        yield Finding(WARNING, "tags", f"{len(dead) - _LISTED} more tags are dead")
    if not dead:
        yield Finding(FINE, "tags", "none is dead")
