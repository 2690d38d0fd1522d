"""Opening the two files at start: what cannot be used is moved aside and told, never overwritten and never in the way."""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final
from uuid import uuid4

from gateway.model.event import Category, Event
from gateway.store import state
from gateway.store.database import Database, examine, move_aside, open_reader
from gateway.store.errors import StoreUnavailable
from gateway.store.schema import EDGETWIN, PLANT, Schema

SEVERE: Final = 900
CLEAN: Final = "clean"


def alarm(now_ns: int, message: str, level: int = SEVERE, **details: str) -> Event:
    return event(now_ns, Category.ERROR, level, message, details)


def event(now_ns: int, category: Category, level: int, message: str, details: Mapping[str, str | int]) -> Event:
    """The store's own word."""
    return Event(str(uuid4()), now_ns, category, level, "store", message, details)


async def open_plant(path: Path, now_ns: int, *, thorough: bool = False, spoiled: str | None = None) -> tuple[Database, list[Event], bool]:
    """(the file, what happened to it, whether it was left open by a crash). plant.db is checked page by page only where it is suspect.

    spoiled: why it is known to be of no use.
    """
    database, events = await _open(path, PLANT, now_ns, 4, lambda file: thorough or _suspect(file), spoiled)
    try:
        clean = await database.run(_begin)
    except StoreUnavailable:
        await database.close()
        raise
    return database, events, not clean


async def open_edgetwin(path: Path, now_ns: int) -> tuple[Database, list[Event]]:
    """(the file, what happened to it). It is small: every page is checked at every start."""
    return await _open(path, EDGETWIN, now_ns, 1, lambda _: True)


async def _open(
    path: Path, schema: Schema, now_ns: int, readers: int, thorough: Callable[[Path], bool], spoiled: str | None = None
) -> tuple[Database, list[Event]]:
    events = []
    found = spoiled or await asyncio.to_thread(_examine, path, schema, thorough)
    if found is not None:
        aside = move_aside(path, now_ns)
        events.append(
            alarm(now_ns, f"{path.name} could not be used and was moved aside; a new one was made", why=found, moved_to=aside.name)
        )
    return await Database.open(path, schema, readers), events


def _examine(path: Path, schema: Schema, thorough: Callable[[Path], bool]) -> str | None:
    return examine(path, schema, thorough=False) or (examine(path, schema, thorough=True) if thorough(path) else None)


def _suspect(path: Path) -> bool:
    """Whether an earlier check found damage in a file that was in use then."""
    if not path.exists() or path.stat().st_size == 0:
        return False
    connection = open_reader(path)
    try:
        return state.number(connection, "suspect") != 0
    except sqlite3.DatabaseError:
        return True
    finally:
        connection.close()


def _begin(connection: sqlite3.Connection) -> bool:
    """Mark the file as in use; whether it was closed properly before (a new one was)."""
    clean = state.get(connection, CLEAN)
    state.put(connection, CLEAN, 0)
    state.put(connection, "suspect", 0)  # a suspect file was checked before it came so far
    if state.get(connection, "boot") is None:
        state.put(connection, "boot", uuid4().hex)
    return clean is None or clean == 1
