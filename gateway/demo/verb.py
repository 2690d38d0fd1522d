"""`edgetwin demo`: the virtual plant, a broker, the gateway and its page, all on 127.0.0.1 and ready in a few seconds."""

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import as_file
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Final

import typer

from gateway.demo.handle import PlantError, PlantProcess
from gateway.demo.ports import free_from

if TYPE_CHECKING:
    from gateway.app import Gateway
    from gateway.demo.tally import Loss
    from gateway.latency import Latency
    from gateway.northbound import Face

DONE, FAILED, WRONG = 0, 1, 2
CONNECT_S: Final = 15.0
DRAIN_S: Final = 8.0
SETTLE_S: Final = 0.3  # the first notifications carry values of any age: latency is measured behind them
QUIET_S: Final = 0.5
OPCUA_PORT, WEB_PORT, PLANT_PORT, BROKER_PORT = 4840, 8080, 4841, 1883


@dataclass(frozen=True, slots=True)
class Ports:
    """The gateway's two, and where the plant begins to look for its own."""

    opcua: int
    web: int
    plant: int
    broker: int

    @classmethod
    def free(cls) -> "Ports":
        """The usual ones, or the next free ones. Raises OSError."""
        opcua = free_from(OPCUA_PORT)
        web = free_from(WEB_PORT)
        plant = free_from(max(PLANT_PORT, opcua + 1))
        return cls(opcua, web, plant, free_from(BROKER_PORT))

    def moved(self) -> list[str]:
        """What a person should know of ports that were taken."""
        usual = {"OPC UA": (OPCUA_PORT, self.opcua), "web page": (WEB_PORT, self.web), "MQTT broker": (BROKER_PORT, self.broker)}
        return [f"port {wanted} is taken: {what} listens on {taken}" for what, (wanted, taken) in usual.items() if wanted != taken]


def register(app: typer.Typer) -> None:
    """Adds the verb to the command line."""

    @app.command("demo")
    def _demo(
        config: Annotated[Path | None, typer.Option(help="A site of your own, instead of the one that comes with the demo.")] = None,
        seconds: Annotated[float | None, typer.Option("--for", min=0.1, help="Stop by itself after so many seconds.")] = None,
        data: Annotated[Path | None, typer.Option(help="Keep history and events there; otherwise they go when the demo ends.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="End with one line of counters as JSON.")] = False,
        extra: Annotated[int, typer.Option(min=0, max=20_000, help="So many tags more, for load.")] = 0,
    ) -> None:
        """Virtual plant, embedded broker, gateway and web page on 127.0.0.1."""
        raise typer.Exit(demo(config, seconds, data, as_json, extra))


def demo(config: Path | None, seconds: float | None, data: Path | None, json_output: bool, extra: int = 0) -> int:
    """Runs until the seconds are over, SIGINT, SIGTERM or SIGHUP; the exit code.

    Addresses and reasons go to stderr where stdout is for JSON.
    """
    from gateway import logs
    from gateway.contracts import ConfigError
    from gateway.demo.extra import write_site
    from gateway.settings import SettingsError
    from gateway.settings.units import data as packed
    from gateway.store.errors import SchemaTooNew, StoreLocked

    logs.configure(logs.LogConfig.model_validate({"level": "warning"}))
    talk = sys.stderr if json_output else sys.stdout
    with ExitStack() as stack:
        path = config or stack.enter_context(as_file(packed("demo.yaml")))
        if extra:
            path = write_site(path, extra, Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgetwin-site-"))))
        folder = data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgetwin-demo-", ignore_cleanup_errors=True)))
        try:
            summary = _runner(_run(path, folder, seconds, talk, extra))
        except (SettingsError, ConfigError, StoreLocked, SchemaTooNew) as wrong:
            print(f"edgetwin: {wrong}", file=sys.stderr)  # noqa: T201 - the command line's own voice
            return WRONG
        except (PlantError, OSError) as wrong:
            print(f"edgetwin: {wrong}", file=sys.stderr)  # noqa: T201 - likewise
            return FAILED
    if json_output:
        print(json.dumps(summary), flush=True)  # noqa: T201 - likewise
    return DONE


async def _run(path: Path, folder: Path, seconds: float | None, talk: IO[str], extra: int) -> dict[str, Any]:
    ports = Ports.free()
    stop = asyncio.Event()
    with _told_to_stop(stop):
        _say(talk, *ports.moved())
        start_ns = time.time_ns()
        loading = asyncio.create_task(asyncio.to_thread(import_module, "gateway.launch"))  # while the plant starts beside it
        async with _plant(ports, extra) as plant:
            running = (await loading).running
            with _environment(_variables(ports, plant, folder)):
                async with running(path, data_dir=folder) as gateway:
                    await _connected(gateway, stop)
                    await asyncio.sleep(SETTLE_S)
                    before, ready_ns = _latency(gateway), gateway.clock.now_ns()
                    login = gateway.page.sign_in_link("admin", "admin")
                    _say(talk, *_welcome(gateway, plant, login, seconds))
                    await _until(stop, seconds)
                    latency = _latency(gateway).since(before)
                    summary = _quantiles(latency) | await _count(gateway, plant, start_ns, ready_ns)
                    _say(talk, *_farewell(summary))
                    return summary | {"login_url": login}


# --- parts -------------------------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _plant(ports: Ports, extra: int) -> AsyncIterator[PlantProcess]:
    broker = os.environ.get("EDGETWIN_DEMO_BROKER")
    where = ("--mqtt-url", broker) if broker else ("--mqtt-port", str(ports.broker))
    async with PlantProcess("--opcua-port", str(ports.plant), "--extra", str(extra), *where) as plant:
        yield plant


def _variables(ports: Ports, plant: PlantProcess, folder: Path) -> dict[str, str]:
    return {
        "EDGETWIN_DEMO_NAME": "demo" if ports.opcua == OPCUA_PORT else f"demo-{ports.opcua}",  # two demos, two local sockets
        "EDGETWIN_DEMO_PLANT": plant.opcua_url,
        "EDGETWIN_DEMO_BROKER": plant.mqtt_url,
        "EDGETWIN_DEMO_OPCUA_PORT": str(ports.opcua),
        "EDGETWIN_DEMO_WEB_PORT": str(ports.web),
        "EDGETWIN_DEMO_DATA": str(folder),
    }


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _told_to_stop(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def once(number: signal.Signals) -> None:
        stop.set()
        loop.remove_signal_handler(number)  # the second one ends the process at once

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, once, number)
    closes = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN  # nohup: it stays when its terminal goes
    if closes:
        loop.add_signal_handler(signal.SIGHUP, stop.set)  # shell and kernel may each send one
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, *((signal.SIGHUP,) if closes else ())):
            loop.remove_signal_handler(number)


async def _connected(gateway: "Gateway", stop: asyncio.Event) -> None:
    """Waits until every source is up, for 15 s at most: a site of one's own may name others than the plant."""
    from gateway.health import State

    deadline = time.monotonic() + CONNECT_S
    while any(source.unit.state is not State.UP for source in gateway.south.sources.values()):
        if stop.is_set() or time.monotonic() > deadline:
            return
        await asyncio.sleep(0.02)


def _upstream(gateway: "Gateway") -> list["Face"]:
    return [face for name, face in gateway.north.faces.items() if name in {unit.name for unit in gateway.site.upstream}]


def _latency(gateway: "Gateway") -> "Latency":
    """From the plant's source time to the bytes handed to the MQTT sockets, so far."""
    from gateway.latency import Latency

    return sum((face.unit.latency for face in _upstream(gateway)), Latency())


def _quantiles(latency: "Latency") -> dict[str, Any]:
    return {"latency_ms_p50": latency.quantile_ms(0.5), "latency_ms_p99": latency.quantile_ms(0.99)}


async def _until(stop: asyncio.Event, seconds: float | None) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


async def _count(gateway: "Gateway", plant: PlantProcess, start_ns: int, ready_ns: int) -> dict[str, Any]:
    """The plant falls silent, the gateway takes in what is under way, and both are compared."""
    await plant.pause()
    loss = await _loss(gateway, plant, start_ns, ready_ns)
    status = gateway.report.status()
    counters = status["counters"]
    return {
        "samples_in": counters.get("samples_in", 0),
        "samples_out": sum(face.unit.counters["samples"] for face in _upstream(gateway)),
        "emitted": loss.emitted,
        "lost": loss.lost,
        "lost_tags": dict(loss.tags),
        "tags": len(gateway.site.tags),
        "alarms_raised": counters.get("alarms_raised", 0),
        "alarms_cleared": counters.get("alarms_cleared", 0),
        "events": counters.get("events", 0),
        "opcua_url": status["urls"].get("opcua"),
        "mqtt_url": plant.mqtt_url,
        "web_url": status["urls"].get("web"),
        "plant_url": plant.opcua_url,
        "rss_mb": status["process"]["rss_mb"],
        "ready_after_s": status["ready_after_s"],
        "uptime_s": status["uptime_s"],
    }


async def _loss(gateway: "Gateway", plant: PlantProcess, start_ns: int, ready_ns: int) -> "Loss":
    from gateway.demo.emission import load
    from gateway.demo.tally import count_loss

    with tempfile.TemporaryDirectory(prefix="edgetwin-ledger-") as folder:
        ledger = Path(folder) / "ledger.npz"
        await plant.save_emitted(ledger)
        emitted = load(ledger)
    deadline = time.monotonic() + DRAIN_S
    while True:
        await _quiet(gateway, deadline)
        loss = await count_loss(emitted, gateway.store.history, gateway.site.tags, start_ns, ready_ns)
        if not loss.lost or time.monotonic() > deadline:
            return loss


async def _quiet(gateway: "Gateway", deadline: float) -> None:
    """Until nothing has come in for half a second."""
    seen, since = -1, time.monotonic()
    while time.monotonic() < min(since + QUIET_S, deadline):
        if gateway.counts["samples_in"] != seen:
            seen, since = gateway.counts["samples_in"], time.monotonic()
        await asyncio.sleep(0.05)


# --- words -------------------------------------------------------------------------------------------------------------------------------


def _say(talk: IO[str], *lines: str) -> None:
    with suppress(OSError):  # the terminal is closed: the end is in order all the same
        for line in lines:
            print(line, file=talk, flush=True)


def _welcome(gateway: "Gateway", plant: PlantProcess, login: str, seconds: float | None) -> list[str]:
    urls = gateway.urls()
    role = getattr(gateway.site.sections.get("opcua"), "anonymous", None)
    may = {"operator": ", anonymous may operate", "viewer": ", anonymous may look"}.get(str(role), "")
    rows = {
        "web page": f"{urls.get('web', 'does not listen')}",
        "sign in": f"{login}   (once, within ten minutes)",
        "OPC UA": f"{urls.get('opcua', 'does not listen')}   (OPC UA on loopback: no security{may})",
        "MQTT": f"{plant.mqtt_url}   topics {gateway.identity.path}/#",
        "the plant": f"{plant.opcua_url}   and MQTT topics cell/#",
    }
    end = "Ctrl-C ends it." if seconds is None else f"It ends by itself after {seconds:g} s."
    return ["", f"Edgetwin demo: a line for photovoltaic modules, {len(gateway.site.tags)} tags", ""] + [
        f"  {what:<10} {where}" for what, where in rows.items()
    ] + ["", end, ""]  # fmt: skip


def _farewell(summary: Mapping[str, Any]) -> list[str]:
    lost = "nothing lost" if summary["lost"] == 0 else f"{summary['lost']} lost"
    values = f"{summary['samples_in']} samples in, {lost} of {summary['emitted']} values"
    alarms = f"{summary['alarms_raised']} alarms raised, {summary['alarms_cleared']} cleared"
    return [f"{values}; {alarms}; {summary['rss_mb']:g} MB"]


def _runner(work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    try:
        import uvloop
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)
