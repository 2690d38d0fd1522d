"""`edgetwin bench road`: OPC UA in, twin, four limits per tag, history, OPC UA out and MQTT out, each end a process of its own.

The gateway's share is the CPU time of its process alone; others on the machine show in the latencies.
"""

from dataclasses import replace
from typing import Any, Final

from gateway.bench import mqtt
from gateway.bench.road import listening, step
from gateway.bench.road.listening import Found, Load
from gateway.bench.rows import Row

_FULL: Final = Load(10_000, 100.0, 50.0)
_MANY: Final = Load(50_000, 20.0, 50.0)
_SHORT: Final = Load(1_000, 100.0, 2.0)
_SMALL: Final = Load(10, 200.0, 2.0)
_SEALED: Final = Load(10_000, 10.0, 50.0, secured=True)
_OPEN: Final = replace(_SEALED, secured=False)
_START: Final = Load(1_000, 1.0, 100.0)
_TAGS: Final = 50_000


def run(*, quick: bool = False) -> dict[str, Any]:
    """The road's table: {"rows": [...]}."""
    rows = measured(2.0 if quick else 15.0, quick=quick)
    return {"rows": [row.record() for row in rows], "table": rows}


def measured(seconds: float, *, quick: bool) -> list[Row]:
    """Every row; quick leaves out what takes long to start: 50 000 tags, and the comparison without encryption."""
    rows = _whole(_FULL, _of(_FULL, seconds), with_memory=False)
    if not quick:
        rows += _whole(_MANY, _of(_MANY, seconds), with_memory=True)
    rows.append(Row("engine step and encoding of 50 000 values: p99", step.p99_ms(_TAGS, 60 if quick else 300), "ms", 20.0))
    rows.append(_sealed(_of(_SEALED, seconds), None if quick else _of(_OPEN, seconds)))
    short, small, start = _of(_SHORT, seconds), _of(_SMALL, seconds), _of(_START, min(seconds, 3.0))
    note = (
        f"{_SHORT.count:,} tags at {_SHORT.hz:g} Hz; {_stages(short)}; {short.mqtt_per_s:,.0f} values/s; {short.core * 100:.0f} % of a core"
    )
    rows += [
        Row("source to MQTT at 100 000 values/s: p99", short.mqtt_p99_ms, "ms", 5.0, note=note),
        Row("a round of 10 tags at 200 Hz, all legs", small.core / _SMALL.hz * 1e3, "ms", 0.2, note=f"{small.core * 100:.0f} % of a core"),
        Row("ready with 1 000 tags", start.ready_s, "s", 1.0),
        Row("memory with 1 000 tags", start.rss_mb, "MB", 120.0),
        Row("one MQTT topic per tag", mqtt.run()["per_tag_publish_us_per_message"], "us/message", 10.0, note="without the socket"),
    ]
    return rows


def _sealed(sealed: Found, plain: Found | None) -> Row:
    note = "" if plain is None else f"without it {_us_per_value(plain):.2f} us/value"
    return Row("the whole road under Sign & Encrypt, 100 000 values/s", _us_per_value(sealed), "us/value", note=note)


def _stages(found: Found) -> str:
    """Median ages: as the gateway hands a value to MQTT, and as the subscriber has decoded it."""
    handed_on = found.handed_on_ms.get("hq")
    return f"p50 {found.mqtt_p50_ms:.1f} ms" if handed_on is None else f"p50 {found.mqtt_p50_ms:.1f} ms, handed on at {handed_on:.1f} ms"


def _us_per_value(found: Found) -> float:
    return found.core * 1e6 / max(found.opcua_per_s, 1.0)


def _of(load: Load, seconds: float) -> Found:
    import uvloop

    return uvloop.run(listening.measured(load, seconds))


def _whole(load: Load, found: Found, *, with_memory: bool) -> list[Row]:
    million = _us_per_value(found) * 100
    name = f"the whole road, {load.count:,} tags at {load.hz:g} Hz"
    opcua = f"OPC UA out {found.opcua_per_s:,.0f}/s, p99 {found.opcua_p99_ms:.0f} ms"
    note = f"{opcua}; MQTT {found.mqtt_per_s:,.0f}/s, p99 {found.mqtt_p99_ms:.0f} ms"
    rows = [Row(f"{name}, at 1 000 000 values/s", million, "% of a core", 40.0, note=note)]
    if with_memory:
        rows.append(Row(f"memory with {load.count:,} tags on the whole road", found.rss_mb, "MB", 400.0))
    return rows
