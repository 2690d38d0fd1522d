"""The configuration section `store`."""

import re
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gateway.contracts import Duration

_UNITS: Final = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SIZE: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(" + "|".join(_UNITS) + r")?\s*")


def size(text: object) -> int:
    """Bytes from a size as people write it: 20GB, 512MiB or a bare number; ValueError with the accepted forms."""
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"{text!r} is not a size: write 512MB, 20GB, 4GiB or a number of bytes")
    return round(float(match[1]) * _UNITS[match[2] or "B"])


Size = Annotated[int, BeforeValidator(size)]
"""A field of a configuration model, in bytes."""


class Retention(BaseModel):
    """How much history is kept; whichever bound comes first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    age: Annotated[Duration, Field(gt=0, validate_default=True)] = "365d"  # type: ignore[assignment]  # parsed by Duration
    bytes: Annotated[Size, Field(ge=1_000_000, validate_default=True)] = "20GB"  # type: ignore[assignment]  # parsed by Size


class OutboxBounds(BaseModel):
    """How much waits for the other side; beyond it the oldest droppable rows give way to a gap record."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: Annotated[Size, Field(ge=100_000, validate_default=True)] = "2GB"  # type: ignore[assignment]  # parsed by Size
    age: Annotated[Duration, Field(gt=0, validate_default=True)] = "7d"  # type: ignore[assignment]  # parsed by Duration


class StoreConfig(BaseModel):
    """`store:` of the site's YAML."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    commit_interval: Annotated[Duration, Field(ge=0.001, le=10)] = 0.1
    retention: Retention = Retention()
    outbox: OutboxBounds = OutboxBounds()
    record: Annotated[Duration, Field(gt=0)] | None = None  # keep recordings of this long; None: none are made
    journal_events: Annotated[int, Field(ge=1)] = 100_000
