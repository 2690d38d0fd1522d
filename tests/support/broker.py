"""A real Mosquitto per test, on a free port of 127.0.0.1, which can be stopped, killed, frozen and started again."""

import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.missing import missing
from support.ports import free_port, wait_closed, wait_open
from support.process import Process


def mosquitto_binary() -> str:
    """Path of mosquitto; skips or fails the test where it is not installed."""
    found = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")
    return found or missing("mosquitto", "apt-get install mosquitto")


class Broker:
    """One Mosquitto, running from start() on.

    config      further lines of its configuration file
    acl         lines of an ACL file; none: everybody may do everything
    persistent  it keeps sessions and retained messages over a stop()
    """

    def __init__(
        self, folder: Path, config: Sequence[str] = (), acl: Sequence[str] = (), *, persistent: bool = False, port: int = 0
    ) -> None:
        self.folder, self.port = folder, port or free_port()
        self._binary = mosquitto_binary()
        self._config, self._acl, self._persistent = list(config), list(acl), persistent
        self._process: Process | None = None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the broker was not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    @property
    def log(self) -> str:
        """What Mosquitto wrote so far (log_type all)."""
        return self._process.errors() if self._process else ""

    def configure(self, config: Sequence[str] | None = None, acl: Sequence[str] | None = None) -> None:
        """Other lines, in force from the next start."""
        self._config = self._config if config is None else list(config)
        self._acl = self._acl if acl is None else list(acl)

    def start(self) -> None:
        """Returns when the port answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._process = Process([self._binary, "-c", self._write()], self.folder)
        try:
            wait_open(self.port)
        except TimeoutError as error:
            raise AssertionError(f"mosquitto does not answer:\n{self.log}") from error

    def stop(self) -> None:
        """SIGTERM: clients see the end of the connection, and a persistent broker saves its sessions."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: nothing is saved."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        self.stop()
        self.start()

    def freeze(self) -> None:
        """SIGSTOP: the sockets stay open and nobody answers."""
        self._alive().signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._alive().signal(signal.SIGCONT)

    def reload(self) -> None:
        """SIGHUP: reads the ACL file again, connections stay."""
        self._write()
        self._alive().signal(signal.SIGHUP)

    def _alive(self) -> Process:
        assert self._process is not None, "the broker was not started"
        return self._process

    def _end(self, number: int) -> None:
        if self._process is None:
            return
        self._process.signal(signal.SIGCONT)
        self._process.signal(number)
        self._process.wait(10.0)
        self._process = None
        wait_closed(self.port)

    def _write(self) -> Path:
        lines = [
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            "log_dest stderr",
            "log_type all",
            "user root",
            "max_queued_messages 100000",
        ]
        if self._persistent:
            lines += ["persistence true", f"persistence_location {self.folder}/", "autosave_interval 1"]
        if self._acl:
            rules = self.folder / "acl"
            rules.write_text("\n".join([*self._acl, ""]))
            rules.chmod(0o600)
            lines.append(f"acl_file {rules}")
        path = self.folder / "mosquitto.conf"
        path.write_text("\n".join([*lines, *self._config, ""]))
        return path


@contextmanager
def running_broker(
    folder: Path, config: Sequence[str] = (), acl: Sequence[str] = (), *, persistent: bool = False, port: int = 0
) -> Iterator[Broker]:
    """A started broker that is gone when the context ends."""
    broker = Broker(folder, config, acl, persistent=persistent, port=port)
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()
