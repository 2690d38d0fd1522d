"""/api/v1/stream: values, alarms and events over one WebSocket.

Client:  {"subscribe": {"tags": ["a.b"] | "*", "alarms": true, "events": true, "forecasts": ["a.b"] | "*", "hz": 10}}
                                                     replaces what it had before
Server:  hello  {boot, t, role}                      once
         snap   {seq, t, i, v, s?, c?, d, x?, n, unknown?}   the present: i = tag_id, n = names, v = values (null where Bad),
                                                     s = StatusCodes (absent: all Good), c = their names,
                                                     d = source time - t in ms, x = text by tag_id
         d      {same without n}                     what was reported since the message before
         alarms {conditions}, al {transition}, ev {event}
         fc     {tag, t0, step, p05, p50, p95, issued, model, skill, limits}
                                                     the newest forecast of a tag: value k is valid at t0 + k * step, both in ms
         resync                                      alarms or events were lost here: the list that follows replaces
         hb     {t, seq}                             every five seconds
         gone   {why}                                then the socket closes: 4401 signed out, 1013 too slow, 1008 not understood
"""

import asyncio
import math
from collections.abc import Callable
from typing import Final

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import ValidationError

from gateway.contracts import TwinView
from gateway.model.forecast import Outlook
from gateway.model.jsontext import loads
from gateway.model.update import TwinUpdate
from gateway.outlook import ForecastView
from gateway.web.context import WebContext
from gateway.web.depend import Context, TwinReader, audible
from gateway.web.encode import dumps
from gateway.web.updates import Updates
from gateway.web.watch import Asked, Encoder, Watch

router = APIRouter()

HEARTBEAT_S: Final = 5.0
SLOW_S: Final = 30.0  # a message that is not taken within this time ends the connection
POLICY, TOO_SLOW, SIGNED_OUT = 1008, 1013, 4401


class Hub:
    """All clients of the stream: wakes them when there is something for them."""

    def __init__(self, view: TwinView, updates: Updates, forecasts: ForecastView | None = None) -> None:
        self.encoder = Encoder(view, updates, forecasts)
        self._updates, self._forecasts = updates, forecasts
        self._clients: set[Client] = set()
        self._ends: list[Callable[[], None]] = []

    def join(self, client: "Client") -> None:
        """From now on the client is woken."""
        if not self._clients:
            self._ends = [self._updates.listen(self._on_update)]
            if self._forecasts is not None:
                self._ends.append(self._forecasts.watch(self._on_outlook))
        self._clients.add(client)

    def leave(self, client: "Client") -> None:
        """Idempotent; updates cost nothing once nobody is left."""
        self._clients.discard(client)
        while self._ends and not self._clients:
            self._ends.pop()()

    def __len__(self) -> int:
        return len(self._clients)

    def _on_outlook(self, _: Outlook) -> None:
        for client in self._clients:
            if client.watch.wish.forecasts:
                client.wake.set()

    def _on_update(self, update: TwinUpdate) -> None:
        # Called inside the engine's step: nothing is encoded here, and nothing can fail.
        for client in self._clients:
            if client.watch.wish.alarms:
                for transition in update.transitions:
                    client.watch.offer(transition)
            client.wake.set()


class Client:
    """One connection: a task that reads wishes, one that writes what is due, one that collects events."""

    def __init__(self, socket: WebSocket, context: WebContext, hub: Hub, role: str) -> None:
        self._socket, self._context, self._hub, self._role = socket, context, hub, role
        self.watch = Watch()
        self.wake = asyncio.Event()
        self._asked = asyncio.Event()

    async def run(self) -> None:
        """Until one side leaves."""
        context = self._context
        hello = {"type": "hello", "boot": context.identity.boot, "t": context.now_ns() // 1_000_000, "role": self._role}
        await self._send(dumps(hello))
        self._hub.join(self)
        tasks = [asyncio.create_task(part) for part in (self._read(), self._write(), self._collect())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self._hub.leave(self)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self) -> None:
        while True:
            try:
                wish = Asked.model_validate(loads((await self._socket.receive_text()).encode())).subscribe
            except (ValueError, ValidationError, KeyError) as error:
                raise Gone(POLICY, f"not understood: {str(error)[:300]}") from None
            for word, names in (("tags", wish.tags), ("forecasts", wish.forecasts)):
                if isinstance(names, str) and names != "*":
                    raise Gone(POLICY, f'{word} is a list of names, or "*"')
            self.watch.ask(wish)
            self._asked.set()
            self.wake.set()

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        await self._asked.wait()
        beat_s = loop.time() + HEARTBEAT_S
        while True:
            try:
                async with asyncio.timeout_at(beat_s):
                    await self.wake.wait()
            except TimeoutError:
                beat_s = loop.time() + HEARTBEAT_S
                await self._beat()
                continue
            if (
                self.watch.since is not None
            ):  # a snapshot goes at once; updates on a grid that all clients share, so that they share encodings
                period_s = 1.0 / (self.watch.wish.hz or 1.0)
                await asyncio.sleep((math.floor(loop.time() / period_s) + 1) * period_s - loop.time())
            self.wake.clear()
            self._check_session()
            for message in self._hub.encoder.take(self.watch):
                await self._send(message)

    async def _beat(self) -> None:
        self._check_session()
        await self._send(dumps({"type": "hb", "t": self._context.now_ns() // 1_000_000, "seq": self._context.updates.seq}))

    def _check_session(self) -> None:
        if not self._socket.state.alive():
            raise Gone(SIGNED_OUT, "the session has ended: sign in again")

    async def _collect(self) -> None:
        await self._asked.wait()
        subscription = self._context.subscribe_events(audible(self._role))
        try:
            async for event in subscription:
                if self.watch.wish.events:
                    self.watch.offer(event)
                    self.wake.set()
        finally:
            subscription.close()

    async def _send(self, message: bytes) -> None:
        try:
            async with asyncio.timeout(SLOW_S):
                await self._socket.send_text(message.decode())
        except TimeoutError:
            raise Gone(TOO_SLOW, f"took nothing for {SLOW_S:.0f} s") from None


class Gone(Exception):
    """This connection ends. code: of RFC 6455, 7.4."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code, self.why = code, why


@router.websocket("/stream")
async def stream(socket: WebSocket, context: Context, caller: TwinReader) -> None:
    """One client from its first word to its last."""
    await socket.accept()
    hub = socket.app.state.hub
    assert isinstance(hub, Hub)
    try:
        await Client(socket, context, hub, caller.role).run()
    except WebSocketDisconnect:
        return
    except Gone as gone:
        if gone.code == TOO_SLOW and (abort := getattr(socket.state, "abort", None)) is not None:
            abort()  # it would not take a goodbye either
            return
        await socket.send_text(dumps({"type": "gone", "why": gone.why}).decode())
        await socket.close(gone.code, gone.why[:100])
