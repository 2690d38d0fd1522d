"""JSON as strangers send it: what is no JSON, holds what no computer keeps exactly, or nests without end is refused."""

from typing import Any, Final

import orjson

MAX_DEPTH: Final = 32


def loads(text: bytes) -> Any:
    """JSON values. ValueError for what is no JSON (NaN, lone surrogates, numbers beyond a double) or nests deeper than MAX_DEPTH."""
    content = orjson.loads(text)
    level = [content]
    for _ in range(MAX_DEPTH):
        level = [
            inner for outer in level if isinstance(outer, dict | list) for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return content
    raise ValueError(f"JSON nests deeper than {MAX_DEPTH} levels")
