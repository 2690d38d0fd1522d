"""Commands on the gateway itself: reload, recordings, commits of the twin in manual mode."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from gateway.model import quality
from gateway.model.command import Caller
from gateway.operations.door import Args, Operation, Refused, text_of


class Reload(Protocol):
    """Reads the configuration again; with dry_run it only tells the difference. Raises Refused."""

    async def __call__(self, *, dry_run: bool) -> Mapping[str, Any]: ...


class Recordings(Protocol):
    """Recordings on demand. Both raise Refused."""

    def start(self, path: str, seconds: float | None, *, local: bool) -> Mapping[str, Any]: ...
    async def stop(self) -> Mapping[str, Any]: ...


def operations(reload: Reload, recordings: Recordings, commit: Callable[[], Mapping[str, Any]]) -> dict[str, Operation]:
    """commit() ends a twin commit."""

    async def reload_configuration(args: Args, _: Caller) -> Mapping[str, Any]:
        return await reload(dry_run=bool(args.get("dry_run", False)))

    async def record(args: Args, caller: Caller) -> Mapping[str, Any]:
        seconds = args.get("seconds")
        if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < 1e8):
            raise Refused(quality.BAD_OUT_OF_RANGE, f"seconds is a positive number, got {seconds!r}")
        return recordings.start(text_of(args, "path"), seconds, local=caller.origin.startswith("local:"))

    async def stop(_: Args, __: Caller) -> Mapping[str, Any]:
        return await recordings.stop()

    async def commit_twin(_: Args, __: Caller) -> Mapping[str, Any]:
        return commit()

    return {
        "config.reload": Operation("config:write", reload_configuration, "read the configuration again: dry_run"),
        "record.start": Operation("record:start", record, "record the engine's input to a file: path, seconds"),
        "record.stop": Operation("record:start", stop, "end the recording"),
        "twin.commit": Operation("twin:commit", commit_twin, "commit the twin (synchronization mode manual)"),
    }
