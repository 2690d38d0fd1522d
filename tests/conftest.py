"""The test bench: real brokers and peers on free ports of 127.0.0.1. The parts themselves lie in tests/support."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.broker import Broker, running_broker
from support.node import Node, find_node
from support.ports import free_port as a_free_port
from support.process import Process


@pytest.fixture
def free_port() -> int:
    """One free TCP port. More of them: `support.ports.free_port()`."""
    return a_free_port()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Broker]:
    """A running Mosquitto of this test: `.url .port .stop() .start() .restart() .kill() .freeze() .thaw() .log`."""
    with running_broker(tmp_path / "mosquitto") as broker:
        yield broker


@pytest.fixture(scope="module")
def shared_mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A running Mosquitto for all tests of a module, which use topics of their own and leave it running."""
    with running_broker(tmp_path_factory.mktemp("mosquitto")) as broker:
        yield broker


@pytest.fixture
def start_mosquitto(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    """Makes running brokers: start_mosquitto(config=[...], acl=[...], persistent=True, port=1234)."""
    with ExitStack() as stack:
        made = 0

        def start(config: Sequence[str] = (), acl: Sequence[str] = (), *, persistent: bool = False, port: int = 0) -> Broker:
            nonlocal made
            made += 1
            return stack.enter_context(running_broker(tmp_path / f"mosquitto{made}", config, acl, persistent=persistent, port=port))

        yield start


@pytest.fixture(scope="session")
def node() -> Node:
    """Node with node-opcua: `await node.run(script, *args, folder=tmp_path)` gives its last line as JSON; `node.start(...)` a Process."""
    return find_node()


@pytest.fixture
def start_process(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts processes that are stopped when the test ends: start_process([command, ...], env={...}, cwd=...)."""
    with ExitStack() as stack:
        made = 0

        def start(command: Sequence[str | Path], **options: object) -> Process:
            nonlocal made
            made += 1
            return stack.enter_context(Process(command, tmp_path / f"process{made}", **options))  # type: ignore[arg-type]

        yield start
