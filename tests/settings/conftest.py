"""Sites written as text, with drivers, sinks and sections that exist for these tests alone."""

from pathlib import Path
from typing import Annotated, Literal, Self

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from gateway.contracts import Duration
from gateway.model.tag import TagTable
from gateway.settings import Plugins, SettingsError, Site, load


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Plc(Model):
    """A driver with credentials and durations."""

    url: str
    user: str | None = None
    password: SecretStr | None = None
    publishing_interval: Annotated[Duration, Field(gt=0)] = 1.0

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if self.password is not None and self.user is None and self.url == "strict":
            raise ValueError("a password needs a user")
        return self

    @staticmethod
    def address_error(address: str) -> str | None:
        return "a bare namespace index changes with the server" if address.startswith("ns=") else None


class Cell(Model):
    url: str
    topics: tuple[str, ...] = ()
    token: str | None = None
    ca: Path | None = None


class Values(Model):
    """A nested map with a key that is a Python word."""

    delivery: Annotated[Literal["LATEST", "EVERY"], Field(alias="class")] = "LATEST"
    mode: Literal["per_tag", "batch"] = "per_tag"


class Up(Model):
    url: str
    values: Values = Values()
    commands: bool = False


class Face(Model):
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 4840
    insecure: bool = False


class Retention(Model):
    age: Duration = 1.0


class Disk(Model):
    commit_interval: Duration = 0.1
    retention: Retention = Retention()


class Log(Model):
    level: Literal["debug", "info", "warning", "error"] = "info"


PLUGINS = Plugins(
    drivers={"opcua": Plc, "mqtt": Cell},
    upstream={"mqtt": Up},
    sections={"opcua": Face, "web": Face, "store": Disk, "log": Log},
)


class Folder:
    """A folder of configuration files; site.yaml is the one that is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.env: dict[str, str] = {}

    def write(self, name: str, content: str | bytes) -> Path:
        file = self.path / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def load(self, text: str | bytes, previous: TagTable | None = None) -> Site:
        return load(self.write("site.yaml", text), PLUGINS, previous, env=self.env)

    def faults(self, text: str | bytes) -> list[str]:
        """What is wrong, as the user reads it, without the name of the folder."""
        with pytest.raises(SettingsError) as caught:
            self.load(text)
        return [str(fault).replace(f"{self.path}/", "") for fault in caught.value.faults if not fault.warning]

    def warnings(self, text: str) -> list[str]:
        return [str(fault).replace(f"{self.path}/", "") for fault in self.load(text).faults]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def plugins() -> Plugins:
    return PLUGINS
