"""The gateway's own state: for people (/status), for orchestrators (/healthz, /readyz) and for Prometheus (/metrics)."""

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import PlainTextResponse

from gateway.web import schema
from gateway.web.context import Metric
from gateway.web.depend import Context, StatusReader
from gateway.web.encode import Json

router = APIRouter(tags=["status"], default_response_class=Json)
probes = APIRouter(tags=["probes"], default_response_class=Json)


_PROBE: dict[int | str, Any] = schema.of(schema.Probe) | schema.of(schema.Probe, 503)


@router.get("/status", response_model=None)
async def status(context: Context, caller: StatusReader) -> Json:  # noqa: ARG001 - asked for its permission
    """Health with reasons: sources, sinks, outbox, problems by name."""
    identity = context.identity
    live, ready = context.health.live(), context.health.ready()
    head = {
        "name": identity.name,
        "version": identity.version,
        "boot": identity.boot,
        "live": live[0],
        "ready": ready[0],
        "reasons": list(dict.fromkeys(live[1] + ready[1])),
    }
    return Json(head | context.health.status())


@probes.get("/healthz", response_model=None, responses=_PROBE)
async def healthz(context: Context) -> Json:
    """200 while the process makes progress, else 503: restart it."""
    return _probe(*context.health.live())


@probes.get("/readyz", response_model=None, responses=_PROBE)
async def readyz(context: Context) -> Json:
    """200 while the gateway does its work, else 503 with the reasons."""
    return _probe(*context.health.ready())


def _probe(good: bool, reasons: list[str]) -> Json:
    return Json({"status": "ok" if good else "unavailable", "reasons": reasons}, 200 if good else 503)


@probes.get("/metrics", response_model=None)
async def metrics(context: Context, caller: StatusReader) -> PlainTextResponse:  # noqa: ARG001 - asked for its permission
    """Counters and gauges in the Prometheus text format 0.0.4."""
    return PlainTextResponse(exposition(context.health.metrics()), media_type="text/plain; version=0.0.4")


def exposition(samples: Iterable[Metric]) -> str:
    """The text format: samples of one name stand together below one TYPE line, labels sorted, in the order of first appearance."""
    families: dict[str, tuple[str, list[str]]] = {}
    for name, labels, value, kind in samples:
        families.setdefault(name, (kind, []))[1].append(f"{name}{_labels(labels)} {value!r}\n")
    return "".join(f"# TYPE {name} {kind}\n{''.join(lines)}" for name, (kind, lines) in families.items())


def _labels(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{_escaped(text)}"' for name, text in sorted(labels.items()))
    return f"{{{pairs}}}" if pairs else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").encode("utf-8", "replace").decode()
