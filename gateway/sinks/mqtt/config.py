"""What an upstream of `kind: mqtt` may say."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from gateway.contracts import Duration
from gateway.model.address import is_loopback
from gateway.wire.mqtt.endpoint import NO_FILES, Endpoint, Protocol, Tls, parse_url, topic_error


class Values(BaseModel):
    """How values go up.

    LATEST: the newest per tag, no disk. EVERY: each reported sample, through the outbox, at least once and in order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    delivery: Literal["LATEST", "EVERY"] = Field("LATEST", alias="class")
    mode: Literal["per_tag", "batch"] = Field("per_tag", description="a retained topic for each tag, or columns on <prefix>/_batch")
    publish_interval: Duration = Field(0.0, le=3600, description="LATEST: gather changes for so long; 0 = each update at once")


class Config(BaseModel):
    """One broker to publish to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(description="mqtt://HOST[:1883] or mqtts://HOST[:8883]")
    protocol: Protocol = Field("auto", description="auto = 5, and 3.1.1 where the broker does not speak 5")
    user: str | None = None
    password: SecretStr | None = None
    tls: Tls = NO_FILES
    client_id: str | None = Field(None, min_length=1, max_length=200, description="default: edgetwin-<gateway>-<upstream>")
    keepalive: Duration = Field(10.0, ge=2, le=3600)
    prefix: str | None = Field(None, description="first levels of all topics; default: gateway.path")
    qos: Literal[0, 1] = Field(0, description="of LATEST values; what is EVERY goes with QoS 1")
    values: Values | None = Field(default_factory=lambda: Values.model_validate({}), description="null = no values")
    alarms: bool = True
    events: bool = True
    forecasts: bool = Field(True, description="the newest forecast of each tag, on <prefix>/_forecast/<tag>")
    kpis: bool = Field(True, description="the KPIs of the line, on <prefix>/_kpi/<name>")
    commands: bool = Field(False, description="take commands on <prefix>/_cmd/<command>, each with a machine token of the API")

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        parse_url(url)
        return url

    @field_validator("prefix")
    @classmethod
    def _prefix(cls, prefix: str | None) -> str | None:
        if prefix is not None and (why := topic_error(prefix)):
            raise ValueError(why)
        if prefix is not None and prefix.startswith(("$", "/")):
            raise ValueError("a prefix begins with neither $ nor /")
        return prefix.rstrip("/") if prefix else prefix

    @model_validator(mode="after")
    def _commands_in_private(self) -> "Config":
        host, _, encrypted = parse_url(self.url)
        if self.commands and not encrypted and not is_loopback(host):
            raise ValueError("commands: their tokens would go in clear to a broker beyond this machine; use mqtts://")
        return self

    @model_validator(mode="after")
    def _password_needs_user(self) -> "Config":
        if self.password is not None and self.user is None:
            raise ValueError("a password needs a user")
        return self

    @property
    def endpoint(self) -> Endpoint:
        host, port, encrypted = parse_url(self.url)
        password = self.password.get_secret_value() if self.password else None
        return Endpoint(host, port, encrypted, self.protocol, self.user, password, self.tls, round(self.keepalive))
