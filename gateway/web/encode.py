"""JSON out and in. NaN and infinities never leave: they become null, and the quality beside them says why."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import orjson
from starlette.responses import Response

from gateway.contracts import TwinView
from gateway.model import quality
from gateway.model.batch import Floats
from gateway.model.quality import Statuses
from gateway.model.tag import DERIVED, MANUAL, Tag, TagType
from gateway.model.unit import Unit
from gateway.web.times import iso

_OPTIONS: Final = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def dumps(content: Any) -> bytes:
    """JSON of dicts, lists, text, numbers and numpy columns. Text with lone surrogates is sent with question marks in their place."""
    try:
        return orjson.dumps(content, option=_OPTIONS)
    except orjson.JSONEncodeError:
        return orjson.dumps(_clean(content), option=_OPTIONS)


class Json(Response):
    """A JSON answer."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return dumps(content)


def numbers(value: Floats, status: Statuses) -> Floats:
    """The values to show: NaN, which JSON makes null, where the status is Bad."""
    return np.where(quality.is_bad(status), np.nan, value)


def typed(kind: int, value: float, text: str | None) -> float | int | bool | str | None:
    """One value by the type of its tag; None for NaN."""
    if kind == TagType.TEXT:
        return text
    if not np.isfinite(value):
        return None
    if kind == TagType.FLOAT:
        return float(value)
    return bool(value) if kind == TagType.BOOL else int(value)


def tag_row(tag: Tag, view: TwinView, units: Mapping[str, Unit], now_ns: int) -> dict[str, Any]:
    """All that is known of one tag: what it is, and its value with status, time and age (seconds since it was last heard of).

    units: by UCUM code; the symbol of a unit that is not among them is its code.
    """
    status, received_ns = int(view.status[tag.tag_id]), int(view.received_ns[tag.tag_id])
    bad = quality.word(status) == "bad"
    value = None if bad else typed(tag.type, float(view.value[tag.tag_id]), view.text.get(tag.tag_id))
    return {
        "name": tag.name,
        "tag_id": tag.tag_id,
        "value": value,
        "unit": tag.unit,
        "symbol": units[tag.unit].symbol if tag.unit in units else tag.unit,
        "quality": quality.word(status),
        "status": quality.name(status),
        "timestamp": iso(int(view.source_ns[tag.tag_id])),
        "received": iso(received_ns),
        "age_s": max(0.0, round((now_ns - received_ns) / 1e9, 3)) if received_ns > 0 else None,
        "type": tag.type.name.lower(),
        "label": tag.labels.get(value) if isinstance(value, int) else None,
        "range": tag.eu_range,
        "labels": dict(tag.labels) or None,
        "description": tag.description,
        "source": {MANUAL: "manual", DERIVED: "derived"}.get(tag.source, tag.source),
        "writable": tag.write_rule is not None,
        "enabled": tag.enabled,
    }


def _clean(content: Any) -> Any:
    if isinstance(content, str):
        return content.encode("utf-8", "replace").decode()
    if isinstance(content, dict):
        return {_clean(key): _clean(inner) for key, inner in content.items()}
    if isinstance(content, list | tuple):
        return [_clean(inner) for inner in content]
    return content
