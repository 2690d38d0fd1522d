"""Section `opcua` of the configuration."""

import ipaddress
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Config(BaseModel):
    """Where the server listens, and who may come in without signing in.

    Access by users and certificates is not part of this version: the endpoint is open, so it must say `insecure: true` and stay on the
    loopback.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    port: int = Field(default=4840, ge=0, le=65535, description="0 takes any free port")
    host: str = Field(default="127.0.0.1", description="address to listen on: loopback only, until there are users and certificates")
    insecure: bool = Field(default=False, description="true opens an endpoint without encryption")
    anonymous: Literal["none", "viewer", "operator"] = Field(default="none", description="role of a client that does not sign in")
    min_publishing_interval: float = Field(default=0.01, ge=0.01, le=60.0, description="seconds; shorter wishes are revised to it")
    max_sessions: int = Field(default=50, ge=1, le=1000)

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if not self.insecure:
            raise ValueError(
                "this version has no certificates and users for OPC UA yet, so its endpoint is open: "
                "write `insecure: true` to allow that on the loopback, or leave the section out for no server"
            )
        if not _loopback(self.host):
            raise ValueError(
                f"host {self.host} is reached from outside: an endpoint without encryption may listen on 127.0.0.1 or ::1 only"
            )
        if self.anonymous == "none":
            raise ValueError("nobody could sign in: there are no users yet; write `anonymous: viewer` or `anonymous: operator`")
        return self


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
