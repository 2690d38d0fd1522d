"""The section `web` of the configuration."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.model.address import is_loopback


class WebConfig(BaseModel):
    """Where the API and the page are served over TCP. Beyond loopback only with `insecure: true`: there is no TLS."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(default="127.0.0.1", description="address to listen on: loopback, or any other with insecure: true")
    port: int = Field(default=8080, ge=0, le=65535, description="TCP port; 0 takes a free one")
    insecure: bool = Field(default=False, description="plain HTTP beyond loopback, or an anonymous role: only in a closed network")
    anonymous: Literal["viewer", "operator", "engineer", "manager", "admin"] | None = Field(
        default=None, description="role of a caller who has not signed in; only on loopback and with insecure: true"
    )
    names: tuple[str, ...] = Field(default=(), description="further host names under which the page is reached (Host header)")

    @property
    def loopback(self) -> bool:
        """Whether nobody but this machine reaches it."""
        return is_loopback(self.host)

    @model_validator(mode="after")
    def _closed_by_default(self) -> Self:
        if not self.loopback and not self.insecure:
            raise ValueError(f"host {self.host} is beyond loopback, and there is no TLS: use 127.0.0.1, or say insecure: true")
        if self.anonymous is not None and not (self.loopback and self.insecure):
            raise ValueError("anonymous needs a loopback host and insecure: true")
        return self
