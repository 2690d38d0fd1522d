"""What a source of `driver: mqtt` may say."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from gateway.contracts import Duration
from gateway.wire.mqtt.endpoint import NO_FILES, Endpoint, Protocol, Tls, filter_error, matches, parse_url, topic_error


class Config(BaseModel):
    """One broker and the topics to read from it. Topics that no tag names are counted, not created."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(description="mqtt://HOST[:1883] or mqtts://HOST[:8883]")
    topics: tuple[str, ...] = Field(min_length=1, description="topic filters, with + and #")
    protocol: Protocol = Field("auto", description="auto = 5, and 3.1.1 where the broker does not speak 5")
    qos: Literal[0, 1] = Field(1, description="1 = acknowledged once it is on disk; 0 = as it comes")
    user: str | None = None
    password: SecretStr | None = None
    tls: Tls = NO_FILES
    client_id: str | None = Field(None, min_length=1, max_length=200, description="default: edgetwin-<gateway>-<source>")
    session_expiry: Duration = Field(86_400.0, description="how long the broker keeps what we missed; 0 = not at all")
    keepalive: Duration = Field(10.0, ge=2, le=3600)
    kind: Literal["sensors", "manufacturing_system"] = "sensors"
    timestamp_fields: tuple[str, ...] = Field(("timestamp", "ts", "time"), description="members of a JSON object that hold its time")

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        parse_url(url)
        return url

    @field_validator("topics")
    @classmethod
    def _topics(cls, topics: tuple[str, ...]) -> tuple[str, ...]:
        for topic in topics:
            if why := filter_error(topic):
                raise ValueError(f"{topic!r}: {why}")
        return topics

    @model_validator(mode="after")
    def _password_needs_user(self) -> "Config":
        if self.password is not None and self.user is None:
            raise ValueError("password without user")
        return self

    @property
    def endpoint(self) -> Endpoint:
        host, port, encrypted = parse_url(self.url)
        password = self.password.get_secret_value() if self.password else None
        return Endpoint(host, port, encrypted, self.protocol, self.user, password, self.tls, round(self.keepalive))

    def address_warning(self, address: str) -> str | None:
        """Why a tag of a good address would never get a value, or None."""
        topic = address.partition("#")[0]
        return None if any(matches(pattern, topic) for pattern in self.topics) else f"no topic filter of this source covers {topic}"

    @staticmethod
    def address_error(address: str) -> str | None:
        """What is wrong with a tag's address (`topic` or `topic#/json/pointer`), or None."""
        topic, mark, pointer = address.partition("#")
        if why := topic_error(topic):
            return why
        if mark and pointer and not pointer.startswith("/"):
            return "after # comes a JSON pointer (RFC 6901), which begins with /"
        return None
