"""The web faces, run like sinks: the page and API over TCP, and the same API on the local socket."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from gateway.access.people import People
from gateway.access.sessions import Sessions
from gateway.contracts import Commands, Delivery, Identity, TwinView
from gateway.events import Events
from gateway.health import Health, State
from gateway.local import socket_path
from gateway.northbound import Face
from gateway.outlook import ForecastView, KpiView, RunView
from gateway.road import LatestQueue
from gateway.settings import Site
from gateway.status import Report
from gateway.store.errors import StoreUnavailable
from gateway.store.store import Store
from gateway.web.config import WebConfig
from gateway.web.context import WebContext
from gateway.web.late import Late
from gateway.web.server import WebServer
from gateway.web.updates import Updates


def _load(context: WebContext) -> Any:
    from gateway.web.api import build

    return build(context)


class _Listener:
    """One listening address. It takes no updates of the runner: its clients are served by the stream."""

    delivery = Delivery(0)

    def __init__(self, server: WebServer) -> None:
        self._server = server

    async def connect(self) -> None:
        await self._server.start()

    async def close(self) -> None:
        await self._server.stop()


class Page:
    """The API over the daemon's parts, and where it listens."""

    def __init__(
        self,
        site: Site,
        identity: Identity,
        view: TwinView,
        store: Store,
        door: Commands,
        report: Report,
        events: Events,
        sessions: Sessions,
        people: People,
        now_ns: Callable[[], int],
        simulations: RunView,
        forecasts: ForecastView,
        kpis: KpiView,
    ) -> None:
        config = site.sections.get("web")
        self.config = config if isinstance(config, WebConfig) else WebConfig()
        self.updates, self.sessions = Updates(), sessions
        context = WebContext(
            identity=identity,
            view=view,
            history=store.history,
            events=store.journal,
            commands=door,
            units=site.units,
            health=report,
            subscribe_events=events.subscribe,
            updates=self.updates,
            sessions=sessions,
            people=people,
            audit=store,
            config=self.config,
            now_ns=now_ns,
            unavailable=(StoreUnavailable,),
            simulations=simulations,
            forecasts=forecasts,
            kpis=kpis,
        )
        app = Late(partial(_load, context))
        self._tcp = WebServer(app, self.config.host, self.config.port)
        self.socket: Path | None = socket_path(site.gateway.name)
        self._local = None if self.socket is None else WebServer(app, None, 0, self.socket)

    def faces(self, health: Health) -> dict[str, Face]:
        """What the runner keeps listening, by name."""
        servers = {"web": self._tcp} | ({} if self._local is None else {"local": self._local})
        faces = {}
        for name, server in servers.items():
            unit = health.fresh("sink", name)
            faces[name] = Face(name, "web", _Listener(server), LatestQueue(unit), unit)
        return faces

    def urls(self, health: Health) -> dict[str, str]:
        """Those that listen now."""
        unit = health.units.get(("sink", "web"))
        found = {"web": f"http://{self.config.host}:{self._tcp.port}"} if unit is not None and unit.state is State.UP else {}
        return found | ({} if self.socket is None else {"local": str(self.socket)})

    def sign_in_link(self, user: str, role: str) -> str:
        """A one-time link for the browser."""
        return f"http://{self.config.host}:{self._tcp.port}/login?link={self.sessions.link(user, role)}"
