"""The gateway as a user runs it: its own process, its own data directory, killed and started again."""

import sys
import time
from pathlib import Path
from typing import Any, Self

import httpx

from support.ports import free_port
from support.process import Process


class GatewayProcess:
    """`python -m gateway run site.yaml` on free ports; `text` is the site's YAML without `gateway`, `web` and `store.data_dir`."""

    def __init__(self, folder: Path, text: str, name: str = "test") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.web = folder, free_port()
        self.name = f"{name}-{self.web}"
        self.site = folder / "site.yaml"
        self.write(text)
        self._process: Process | None = None
        self._runs = 0
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.web}", timeout=10.0)

    def write(self, text: str) -> None:
        """Another configuration, in force from the next start or reload."""
        self.site.write_text(
            "version: 1\n"
            f"gateway: {{name: {self.name}, path: test/line, data_dir: {self.folder / 'data'}}}\n"
            f"web: {{port: {self.web}, insecure: true, anonymous: admin}}\n" + text
        )

    def start(self, within: float = 30.0) -> float:
        """Start it; seconds until it was ready. AssertionError with its log where it is not in time."""
        self._runs += 1
        began = time.monotonic()
        self._process = Process([sys.executable, "-m", "gateway", "run", self.site], self.folder / f"run{self._runs}")
        while time.monotonic() - began < within:
            if not self._process.running:
                break
            if self.ready():
                return time.monotonic() - began
            time.sleep(0.02)
        raise AssertionError(f"not ready within {within:g} s (exit code {self._process.exit_code}):\n{self.log}")

    def ready(self) -> bool:
        try:
            return self.http.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    @property
    def process(self) -> Process:
        assert self._process is not None, "the gateway was not started"
        return self._process

    @property
    def log(self) -> str:
        return self.process.errors()

    def get(self, path: str, **query: Any) -> Any:
        """JSON of /api/v1<path>."""
        answer = self.http.get(f"/api/v1{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def command(self, kind: str, **args: Any) -> httpx.Response:
        return self.http.post("/api/v1/commands", json={"command": kind, "args": args}, headers={"Origin": str(self.http.base_url)})

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, nothing is said."""
        self.process.kill()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        code = self.process.stop(20.0)
        self._process = None
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.running:
            self._process.stop()
        self.http.close()
