"""Commands on the gateway itself: reload, recordings, commits of the twin in manual mode."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gateway.model import quality
from gateway.model.command import Caller
from gateway.operations.door import Args, Operation, Refused, text_of


def operations(
    reload: Callable[[bool], Awaitable[Mapping[str, Any]]],
    start_recording: Callable[[str, float | None], Awaitable[Mapping[str, Any]]],
    stop_recording: Callable[[], Awaitable[Mapping[str, Any]]],
    commit: Callable[[], Mapping[str, Any]],
) -> dict[str, Operation]:
    """The functions are the daemon's own; they raise Refused."""

    async def reload_configuration(args: Args, _: Caller) -> Mapping[str, Any]:
        return await reload(bool(args.get("dry_run", False)))

    async def record(args: Args, _: Caller) -> Mapping[str, Any]:
        seconds = args.get("seconds")
        if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < 1e8):
            raise Refused(quality.BAD_OUT_OF_RANGE, f"seconds is a positive number, got {seconds!r}")
        return await start_recording(text_of(args, "path"), seconds)

    async def stop(_: Args, __: Caller) -> Mapping[str, Any]:
        return await stop_recording()

    async def commit_twin(_: Args, __: Caller) -> Mapping[str, Any]:
        return commit()

    return {
        "config.reload": Operation("config:write", reload_configuration, "read the configuration again: dry_run"),
        "record.start": Operation("record:start", record, "record the engine's input to a file: path, seconds"),
        "record.stop": Operation("record:start", stop, "end the recording"),
        "twin.commit": Operation("twin:commit", commit_twin, "commit the twin (synchronization mode manual)"),
    }
