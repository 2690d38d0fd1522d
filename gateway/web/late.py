"""The application, loaded when somebody asks for it: a gateway that nobody looks at carries no web framework, and starts without it."""

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send


class Late:
    """An ASGI application that `load` makes at the first request, off the loop; the requests until then wait for it."""

    def __init__(self, load: Callable[[], ASGIApp]) -> None:
        self._load = load
        self._loading: asyncio.Future[ASGIApp] | None = None
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None:
            if self._loading is None:
                self._loading = asyncio.get_running_loop().run_in_executor(None, self._load)
            self._app = await asyncio.shield(self._loading)
        await self._app(scope, receive, send)
