"""Ways to start a gateway: the daemon (`run`), and inside another program (`running`)."""

import asyncio
import dataclasses
import functools
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import structlog

from gateway import logs
from gateway.app import Gateway
from gateway.contracts import ConfigError
from gateway.model import quality
from gateway.model.command import Caller, Command
from gateway.plugins import plugins
from gateway.road import Clock
from gateway.settings import SettingsError, Site, load
from gateway.store.config import StoreConfig
from gateway.store.errors import SchemaTooNew, StoreLocked, StoreUnavailable
from gateway.store.store import Store

log = structlog.get_logger()

DONE, FAILED, WRONG_USAGE = 0, 1, 2


def load_site(path: Path, data_dir: Path | None = None, previous: Site | None = None) -> Site:
    """The site of a file, with another data directory where one is given. Raises SettingsError."""
    site = load(path, plugins(), None if previous is None else previous.tags)
    if data_dir is None:
        data_dir = path.parent / site.gateway.data_dir  # a relative one belongs to its file, not to where somebody stood
    return dataclasses.replace(site, gateway=site.gateway.model_copy(update={"data_dir": data_dir}))


@asynccontextmanager
async def running(path: Path, *, data_dir: Path | None = None, site: Site | None = None) -> AsyncIterator[Gateway]:
    """A gateway that has started, stopped in order at the end. site: of that file, where it was read already.

    Raises SettingsError, ConfigError, StoreLocked, StoreUnavailable, SchemaTooNew.
    """
    stop, started = asyncio.Event(), asyncio.Event()
    if site is None:
        site = await asyncio.to_thread(load_site, path, data_dir)
    clock = Clock()
    store = await Store.open(Path(site.gateway.data_dir), _store_config(site), site.tags, clock.now_ns())
    try:
        gateway = Gateway(site, functools.partial(_again, path, data_dir), store, clock)
        serving = asyncio.create_task(gateway.serve(stop, started))
        ready = asyncio.create_task(started.wait())
        await asyncio.wait({serving, ready}, return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        try:
            if not serving.done():
                yield gateway
        finally:
            stop.set()
            await serving
    finally:
        await store.close()


def _store_config(site: Site) -> StoreConfig:
    config = site.sections["store"]
    assert isinstance(config, StoreConfig)
    return config


def _again(path: Path, data_dir: Path | None, previous: Site) -> Site:
    return load_site(path, data_dir, previous)


def run(path: Path) -> int:
    """The daemon, as systemd starts it: until SIGTERM or SIGINT; SIGHUP reloads. The exit code."""
    try:
        site = load_site(path)
    except SettingsError as wrong:
        print(wrong, file=sys.stderr)  # noqa: T201  before logging is set up
        return WRONG_USAGE
    log_config = site.sections["log"]
    assert isinstance(log_config, logs.LogConfig)
    logs.configure(log_config)
    code = DONE
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to reload
    try:
        _runner()(_serve(path, site))
    except* (ConfigError, StoreLocked, SchemaTooNew) as wrong:
        log.error("cannot start", why="; ".join(str(error) for error in wrong.exceptions))  # noqa: TRY400  the reason says it all
        code = WRONG_USAGE
    except* (OSError, StoreUnavailable) as wrong:
        log.error("cannot start", why="; ".join(str(error) for error in wrong.exceptions))  # noqa: TRY400  likewise
        code = FAILED
    except* Exception:
        log.exception("the gateway ended by an unexpected error")
        code = FAILED
    return code


def _runner() -> Any:
    try:
        import uvloop
    except ImportError:
        return asyncio.run
    return uvloop.run


async def _serve(path: Path, site: Site) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with running(path, site=site) as gateway:
        hangup = asyncio.Event()
        loop.add_signal_handler(signal.SIGHUP, hangup.set)
        waits = [asyncio.create_task(wait) for wait in (ended.wait(), gateway.ended.wait(), _reload_on(hangup, gateway))]
        done, others = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in others:
            wait.cancel()
        for wait in done:
            wait.result()
    log.info("stopped")


async def _reload_on(hangup: asyncio.Event, gateway: Gateway) -> None:
    while True:
        await hangup.wait()
        hangup.clear()
        try:
            outcome = await gateway.door.execute(Command("config.reload", {}, Caller("signal", "admin", "local:signal")))
        except Exception:  # a defect in a reload must not stop a gateway that runs
            log.exception("configuration not reloaded")
            continue
        if outcome.status != quality.GOOD:
            log.error("configuration not reloaded", why=outcome.message)
