"""The application: the routes of /api/v1, the probes and the start page, inside the guard."""

import asyncio
from typing import Final

from fastapi import FastAPI

from gateway.web import problems, schema
from gateway.web.context import WebContext
from gateway.web.guard import Guard
from gateway.web.routes import (
    alarms,
    audit,
    calibrations,
    certificates,
    commands,
    diagnostics,
    events,
    forecasts,
    history,
    kpi,
    pages,
    people,
    signin,
    simulations,
    status,
    twin,
)
from gateway.web.stream import Hub
from gateway.web.stream import router as stream

PREFIX: Final = "/api/v1"


def build(context: WebContext) -> FastAPI:
    """The API over that context. It starts nothing: `WebServer` serves it."""
    app = FastAPI(
        title="Edgetwin",
        version=context.identity.version,
        description="The gateway's live twin, its history, alarms and events.",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=schema.PROBLEMS,
    )
    app.state.context = context
    problems.install(app, context.unavailable)
    app.state.exports = asyncio.Semaphore(history.EXPORTS)
    app.state.hub = Hub(context.view, context.updates, context.forecasts)
    for router in (
        status.router,
        diagnostics.router,
        twin.router,
        alarms.router,
        events.router,
        history.router,
        commands.router,
        signin.router,
        people.router,
        audit.router,
        certificates.router,
        simulations.router,
        forecasts.router,
        kpi.router,
        calibrations.router,
        stream,
    ):
        app.include_router(router, prefix=PREFIX)
    app.include_router(twin.state, prefix="/api")
    for router in (status.probes, signin.page, pages.router):
        app.include_router(router)
    app.add_middleware(Guard, config=context.config, sessions=context.sessions, people=context.people)
    return app
