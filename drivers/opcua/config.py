"""What a source with `driver: opcua` may say."""

from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from gateway.contracts import Duration
from gateway.wire.opcua.address import parse

POLICIES: Final = ("Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss")
MODES: Final = ("Sign", "SignAndEncrypt")


class Config(BaseModel):
    """One OPC UA server. Durations are seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str = Field(description="opc.tcp://host:port/path")
    security: str = Field("None", description="None, or policy/mode: Basic256Sha256/SignAndEncrypt, Aes256Sha256RsaPss/Sign, ...")
    certificate: Path | None = Field(
        None, description="own certificate, DER or PEM; made in data_dir/pki/own on first use where none is given"
    )
    private_key: Path | None = Field(None, description="own private key, PEM")
    server_certificate: Path | None = Field(None, description="the server's certificate, pinned; else data_dir/pki/trusted decides")
    user: str | None = None
    password: SecretStr | None = None
    publishing_interval: Annotated[Duration, Field(ge=0.001, le=3600)] = 0.1
    queue_size: int | None = Field(
        None, ge=1, le=100_000, description="samples the server keeps per tag; by default from publishing and sampling"
    )
    session_timeout: Annotated[Duration, Field(ge=5, le=3600)] = 60.0
    request_timeout: Annotated[Duration, Field(ge=0.1, le=120)] = 5.0
    max_items_per_call: int = Field(1000, ge=1, le=100_000, description="the server's own limit is kept where it is lower")
    publish_requests: int = Field(4, ge=3, le=8, description="Publish requests under way at once")
    window: int = Field(256, ge=4, le=10_000, description="notifications read but not committed, beyond which nothing more is asked for")
    kind: Literal["sensors", "manufacturing_system"] = "sensors"
    history_backfill: bool = Field(True, description="after an outage read what the server's historian kept, for nodes that it historizes")

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        if not url.startswith("opc.tcp://") or len(url) == len("opc.tcp://"):
            raise ValueError("an OPC UA address begins with opc.tcp://")
        try:
            port = urlsplit(url).port
        except ValueError as wrong:
            raise ValueError(f"{url}: a port is a number from 1 to 65535") from wrong
        if port == 0:
            raise ValueError(f"{url}: a port is a number from 1 to 65535")
        if "@" in url.removeprefix("opc.tcp://").split("/")[0]:
            raise ValueError("user and password have keys of their own: user, password")
        return url

    @field_validator("security")
    @classmethod
    def _security(cls, security: str) -> str:
        security = security.replace("_", "")  # both spellings of the policies are in use
        policy, _, mode = security.partition("/")
        if security != "None" and (policy not in POLICIES or mode not in MODES):
            raise ValueError(f"{security!r}: write None or <policy>/<mode> with policy {', '.join(POLICIES)} and mode {', '.join(MODES)}")
        return security

    @model_validator(mode="after")
    def _pairs(self) -> "Config":
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("certificate and private_key go together")
        if self.password is not None and self.user is None:
            raise ValueError("a password needs a user")
        return self

    @property
    def known(self) -> bool:
        """Whether the server knows who we are: only then may a later session take our subscriptions over (Part 4, 5.14.7)."""
        return self.user is not None or self.security != "None"

    @staticmethod
    def address_error(address: str) -> str | None:
        """Why a tag's address cannot be one, or None."""
        try:
            parse(address)
        except ValueError as fault:
            return str(fault)
        return None
