"""Section `opcua` of the configuration."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gateway.model.address import is_loopback
from gateway.wire.opcua.security import MODES, POLICIES


class Config(BaseModel):
    """Where the server listens, how a channel to it is secured, and who may come in without signing in.

    Secure by default: every policy signs, or signs and encrypts, with the own certificate that is made at the first start; clients are let
    in by their certificates and sign in as users. `insecure: true` opens an endpoint without any of it as well, on this machine only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    port: int = Field(default=4840, ge=0, le=65535, description="0 takes any free port")
    host: str = Field(default="127.0.0.1", description="address to listen on; 0.0.0.0 or :: for all of this machine's")
    security: tuple[str, ...] = Field(
        default=POLICIES, description="policies to offer, each with Sign and SignAndEncrypt, or POLICY/MODE for one of them"
    )
    insecure: bool = Field(default=False, description="true opens an endpoint without security as well; on loopback only")
    anonymous: Literal["none", "viewer", "operator"] = Field(
        default="none", description="role of a client that does not sign in; on loopback and with insecure: true only"
    )
    min_publishing_interval: float = Field(default=0.01, ge=0.001, le=60.0, description="seconds; shorter wishes are revised to it")
    max_sessions: int = Field(default=50, ge=1, le=1000)

    @field_validator("security", mode="before")
    @classmethod
    def _known(cls, value: object) -> object:
        words = [value] if isinstance(value, str) else value
        if not isinstance(words, list | tuple):
            raise ValueError("a list of policies")  # noqa: TRY004 - pydantic collects ValueError
        return tuple(_policy(word) for word in words)

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if not self.security and not self.insecure:
            raise ValueError("security is empty: there would be no endpoint; name a policy, or leave it out for all of them")
        if self.insecure and not is_loopback(self.host):
            raise ValueError(
                f"host {self.host} is reached from outside: an endpoint without security may listen on 127.0.0.1 or ::1 only; "
                "leave `insecure` out, and clients come in by certificate and password"
            )
        if self.anonymous != "none" and not (self.insecure and is_loopback(self.host)):
            raise ValueError(
                "anonymous needs a loopback host and insecure: true; without them clients sign in as users (`edgetwin user add`)"
            )
        return self


def _policy(word: object) -> str:
    """The policy as the standard writes it, with its mode where one is said."""
    name, _, mode = str(word).partition("/")
    known = {policy.replace("_", "").lower(): policy for policy in POLICIES}
    policy = known.get(name.replace("_", "").lower())
    if policy is None or (mode and mode not in MODES):
        raise ValueError(f"{word!r}: write {', '.join(POLICIES)}, or one of them with /Sign or /SignAndEncrypt")
    return f"{policy}/{mode}" if mode else policy
