"""The few words a file knows about itself, and what the units remember in it."""

import sqlite3
from collections.abc import Iterable, Mapping

import numpy as np

from gateway.model.batch import TagIds
from gateway.model.tag import TagTable
from gateway.store.packing import to_bytes


def get(connection: sqlite3.Connection, key: str) -> int | bytes | str | None:
    """One value, or None."""
    found = connection.execute("SELECT value FROM state WHERE key=?", (key,)).fetchone()
    return None if found is None else found[0]


def number(connection: sqlite3.Connection, key: str) -> int:
    """One whole number, 0 where there is none."""
    return int(get(connection, key) or 0)


def put(connection: sqlite3.Connection, key: str, value: int | bytes | str) -> None:
    connection.execute("INSERT INTO state(key, value) VALUES(?, ?) ON CONFLICT DO UPDATE SET value=excluded.value", (key, value))


class UnitMemory:
    """contracts.Memory: what a unit put is read back at once, and durable with the next commit."""

    def __init__(self, unit: str, words: dict[tuple[str, str], str], changed: dict[tuple[str, str], str]) -> None:
        self._unit, self._words, self._changed = unit, words, changed

    def get(self, key: str) -> str | None:
        return self._words.get((self._unit, key))

    def put(self, key: str, value: str) -> None:
        self._words[self._unit, key] = self._changed[self._unit, key] = value


def load_memory(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    return {(unit, key): value for unit, key, value in connection.execute("SELECT unit, key, value FROM memory")}


def save_memory(connection: sqlite3.Connection, changed: Mapping[tuple[str, str], str]) -> None:
    connection.executemany(
        "INSERT INTO memory(unit, key, value) VALUES(CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS TEXT)) "
        "ON CONFLICT DO UPDATE SET value=excluded.value",
        [(to_bytes(unit), to_bytes(key), to_bytes(value)) for (unit, key), value in changed.items()],
    )


class Names:
    """name -> store_id, for ever; a tag_id holds for one boot only. `was` carries the id of an old name over to the new one."""

    def __init__(self, known: Iterable[tuple[int, str]] = ()) -> None:
        self._ids = {name: store_id for store_id, name in known}
        self._next = max(self._ids.values(), default=0) + 1
        self.unsaved: dict[int, str] = {}
        self.of_tag: TagIds = np.empty(0, np.int32)

    @classmethod
    def load(cls, connection: sqlite3.Connection) -> "Names":
        return cls(connection.execute("SELECT store_id, name FROM names"))

    def use(self, tags: TagTable) -> None:
        """Give every tag its id; new and renamed ones are saved with the next transaction.

        A live reload keeps the row of a name that went, disabled: what is on its way under that row belongs to the new name's history.
        """
        after = {tag.was: tag.name for tag in tags if tag.was is not None}
        for tag in tags:
            if tag.name in self._ids or (not tag.enabled and self._followed(tag.name, after) in self._ids):
                continue
            old = None if tag.was is None else tags.named(tag.was)
            store_id = self._ids.pop(tag.was, None) if tag.was is not None and (old is None or not old.enabled) else None
            if store_id is None:
                store_id, self._next = self._next, self._next + 1
            self._ids[tag.name] = store_id
            self.unsaved[store_id] = tag.name
        self.of_tag = np.array([self._ids[self._followed(tag.name, after)] for tag in tags], np.int32)

    def _followed(self, name: str, after: Mapping[str, str]) -> str:
        """The name that has the id now: this one, or the one that it was renamed to."""
        for _ in after:
            if name in self._ids or name not in after:
                break
            name = after[name]
        return name

    def tags_by_id(self, tags: TagTable) -> TagIds:
        """int32, tag_id by store_id; -1 for names that this configuration does not have."""
        table = np.full(self._next, -1, np.int32)
        for tag in tags:
            if tag.name in self._ids:
                table[self._ids[tag.name]] = tag.tag_id
        return table


def save_names(connection: sqlite3.Connection, unsaved: Mapping[int, str]) -> None:
    connection.executemany(
        "INSERT INTO names(store_id, name) VALUES(?, CAST(? AS TEXT)) ON CONFLICT(store_id) DO UPDATE SET name=excluded.name",
        [(store_id, to_bytes(name)) for store_id, name in unsaved.items()],
    )
