"""The sections that belong to the gateway as a whole, as frozen models. Those of plugins come from the plugins."""

import re
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from gateway.model.event import Severity
from gateway.settings.faults import nearest, quote

NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CLOCK: Final = re.compile(r"(?:[01][0-9]|2[0-3]):[0-5][0-9]")


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError(f"{quote(text)} is not a name: write 1 to 64 letters, digits, _ or -")
    return text


def _topic(text: str) -> str:
    # MQTT 5, 4.7: no wildcard, no NUL, no leading $; a level without a name helps nobody.
    if len(text) > 255 or not all(text.split("/")) or re.search(r"[+#$\s\x00-\x1f]", text):
        raise ValueError(f"{quote(text)} is not a path: write names divided by /, as acme/plant/line1, without spaces, +, # and $")
    return text


def _timezone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"{text!r} is not a time zone; {nearest(text, available_timezones()) or 'write an IANA name such as Europe/Vilnius'}"
        ) from None
    return text


def _clock(text: str) -> str:
    if not _CLOCK.fullmatch(text):
        raise ValueError(f"{text!r} is not a time of day: write 06:00")
    return text


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Gateway(Model):
    """Which gateway this is. path is the MQTT prefix and the place in the plant (ISA-95), by default the name."""

    name: Annotated[str, AfterValidator(_name)] = "edgetwin"
    path: Annotated[str, AfterValidator(_topic)] = ""
    timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"
    data_dir: Path = Path("/var/lib/edgetwin")

    def model_post_init(self, _context: object, /) -> None:
        if not self.path:
            object.__setattr__(self, "path", self.name)


class Events(Model):
    """What is told and kept as events."""

    persistence_enabled: bool = True
    max_events: Annotated[int, Field(ge=1, le=100_000_000)] = 1000
    default_alert_severity: Severity = Severity.WARNING
    publish_state_changes: bool = True
    publish_threshold_breaches: bool = True
    publish_simulation_results: bool = True
    system_alarms: bool = True


class Shift(Model):
    """A shift of each day in the gateway's time zone; one whose end is not after its start ends on the next day."""

    name: Annotated[str, AfterValidator(_name)]
    start: Annotated[str, AfterValidator(_clock), Field(alias="from")]
    end: Annotated[str, AfterValidator(_clock), Field(alias="to")]


class Kpi(Model):
    shifts: tuple[Shift, ...] = ()
