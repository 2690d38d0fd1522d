"""Where a broker is and how to reach it: what the configuration of driver and sink says, without the protocol library."""

from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, model_validator

Protocol = Literal["auto", "5", "3.1.1"]
_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


class Tls(BaseModel):
    """Certificates of a `mqtts://` connection. The broker's certificate is always checked: against ca, else the system's authorities."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    @model_validator(mode="after")
    def _pair(self) -> "Tls":
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key belong together")
        return self


NO_FILES: Final = Tls()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One broker and this client's credentials for it."""

    host: str
    port: int
    encrypted: bool
    protocol: Protocol = "auto"
    user: str | None = None
    password: str | None = None
    tls: Tls = NO_FILES
    keepalive_s: int = 10

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_url(url: str) -> tuple[str, int, bool]:
    """Host, port and whether encrypted, of mqtt://HOST[:1883] or mqtts://HOST[:8883]; ValueError says what is accepted."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname or parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError(f"{url!r} is no broker: write mqtt://HOST[:1883] or mqtts://HOST[:8883]")
    if parts.username is not None or parts.password is not None:
        raise ValueError("credentials do not belong in the url: use user and password")
    return parts.hostname, parts.port or _PORTS[parts.scheme], parts.scheme == "mqtts"


def filter_error(text: str) -> str | None:
    """What is wrong with a topic filter (MQTT 5, 4.7.1), or None."""
    levels = text.split("/")
    if not text or len(text.encode(errors="replace")) > 65_535 or "\0" in text or "\n" in text:
        return "a topic filter has 1 to 65535 bytes, no NUL and no line break"
    if any("#" in level and level != "#" for level in levels) or "#" in levels[:-1]:
        return "# stands alone in the last level"
    if any("+" in level and level != "+" for level in levels):
        return "+ stands alone in its level"
    return None


def topic_error(text: str) -> str | None:
    """What is wrong with a topic name (MQTT 5, 4.7.3), or None."""
    if not text or len(text.encode(errors="replace")) > 65_535 or "\0" in text:
        return "a topic has 1 to 65535 bytes and no NUL"
    return "a topic holds no wildcard (+ or #)" if "+" in text or "#" in text else None


def matches(pattern: str, topic: str) -> bool:
    """Whether a topic filter takes a topic (MQTT 5, 4.7)."""
    wanted, levels = pattern.split("/"), topic.split("/")
    if topic.startswith("$") and wanted[0] in {"+", "#"}:
        return False
    for place, level in enumerate(wanted):
        if level == "#":
            return True
        if place >= len(levels) or level not in {"+", levels[place]}:
            return False
    return len(wanted) == len(levels)
