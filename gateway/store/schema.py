"""The two files, version by version. A migration is a list of statements, run in one transaction; PRAGMA user_version counts them."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Schema:
    """application_id marks a file as ours (SQLite file format, 1.3.15); migrations[i] leads from version i to i + 1."""

    application_id: int
    migrations: tuple[tuple[str, ...], ...]

    @property
    def version(self) -> int:
        return len(self.migrations)


PLANT: Final = Schema(
    int.from_bytes(b"ETwP", "big"),
    (
        (
            "CREATE TABLE state(key TEXT PRIMARY KEY, value) WITHOUT ROWID",
            "CREATE TABLE memory(unit TEXT, key TEXT, value TEXT, PRIMARY KEY(unit, key)) WITHOUT ROWID",
            "CREATE TABLE names(store_id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
            # one row per commit (token): every step's rows of all tags; first_ns and last_ns bound the source times inside
            """CREATE TABLE tail(id INTEGER PRIMARY KEY, token BLOB NOT NULL, now_ns INTEGER NOT NULL, first_ns INTEGER NOT NULL,
                                 last_ns INTEGER NOT NULL, samples INTEGER NOT NULL, columns BLOB NOT NULL)""",
            """CREATE TABLE blocks(id INTEGER PRIMARY KEY, store_id INTEGER NOT NULL, start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL,
                                   samples INTEGER NOT NULL, columns BLOB NOT NULL)""",
            "CREATE INDEX blocks_by_tag ON blocks(store_id, start_ns, end_ns, samples)",
            """CREATE TABLE journal(id INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, at_ns INTEGER NOT NULL, category TEXT NOT NULL,
                                   level INTEGER NOT NULL, source TEXT NOT NULL, message TEXT NOT NULL, details TEXT NOT NULL,
                                   acknowledged INTEGER NOT NULL)""",
            "CREATE INDEX journal_by_time ON journal(at_ns, id)",
            # the same for people and their tools
            """CREATE VIEW events(id, timestamp, category, severity, source, message, details, acknowledged) AS SELECT event_id,
                 strftime('%Y-%m-%dT%H:%M:%fZ', at_ns / 1e9, 'unixepoch'), category,
                 CASE WHEN level <= 400 THEN 'info' WHEN level <= 600 THEN 'warning' WHEN level <= 800 THEN 'error' ELSE 'critical' END,
                 source, message, details, acknowledged FROM journal""",
            # what is known of a stream even while none of its rows waits: the sequence must not begin again
            """CREATE TABLE streams(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, seq INTEGER NOT NULL, rows INTEGER NOT NULL,
                                    bytes INTEGER NOT NULL, dropped INTEGER NOT NULL, quarantined INTEGER NOT NULL)""",
            """CREATE TABLE outbox(stream INTEGER NOT NULL, seq INTEGER NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL,
                                   created_ns INTEGER NOT NULL, retain INTEGER NOT NULL, droppable INTEGER NOT NULL,
                                   samples INTEGER NOT NULL, crc32 INTEGER NOT NULL, PRIMARY KEY(stream, seq)) WITHOUT ROWID""",
            """CREATE TABLE quarantine(id INTEGER PRIMARY KEY, stream INTEGER NOT NULL, seq INTEGER NOT NULL, topic TEXT NOT NULL,
                                       payload BLOB NOT NULL, created_ns INTEGER NOT NULL, why TEXT NOT NULL)""",
        ),
        (
            # one row per forecast, of all tags; then blocks of one tag each
            "CREATE TABLE forecast_tail(id INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, lead_ns INTEGER NOT NULL, columns BLOB NOT NULL)",
            """CREATE TABLE forecast_blocks(id INTEGER PRIMARY KEY, store_id INTEGER NOT NULL, start_ns INTEGER NOT NULL,
                                            end_ns INTEGER NOT NULL, lead_ns INTEGER NOT NULL, columns BLOB NOT NULL,
                                            UNIQUE(store_id, start_ns, lead_ns))""",
        ),
    ),
)

EDGETWIN: Final = Schema(
    int.from_bytes(b"ETwE", "big"),
    (
        (
            """CREATE TABLE audit(seq INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, user TEXT NOT NULL, role TEXT NOT NULL,
                                  origin TEXT NOT NULL, command TEXT NOT NULL, args TEXT NOT NULL, status INTEGER NOT NULL,
                                  message TEXT NOT NULL, prev_hash BLOB NOT NULL, hash BLOB NOT NULL)""",
            "CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END",
            "CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END",
        ),
        (
            """CREATE TABLE users(name TEXT PRIMARY KEY, role TEXT NOT NULL, password TEXT NOT NULL, certificate TEXT NOT NULL,
                                  disabled INTEGER NOT NULL, created_ns INTEGER NOT NULL, changed_ns INTEGER NOT NULL) WITHOUT ROWID""",
            """CREATE TABLE tokens(token_id TEXT PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, owner TEXT NOT NULL,
                                   key BLOB NOT NULL UNIQUE, created_ns INTEGER NOT NULL, expires_ns INTEGER NOT NULL) WITHOUT ROWID""",
            "CREATE TABLE had_users(id INTEGER PRIMARY KEY)",  # one row once a user has existed: that is never undone
        ),
        (
            # parameters: JSON, dotted path -> number
            """CREATE TABLE scenarios(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, description TEXT NOT NULL,
                                      parameters TEXT NOT NULL, horizon_s REAL, step_s REAL, runs INTEGER,
                                      created_ns INTEGER NOT NULL, updated_ns INTEGER NOT NULL)""",
            # the last ones: asked and results are JSON
            """CREATE TABLE runs(id INTEGER PRIMARY KEY, run_id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, scenarios TEXT NOT NULL,
                                 user TEXT NOT NULL, started_ns INTEGER NOT NULL, asked TEXT NOT NULL, state TEXT NOT NULL,
                                 seconds REAL NOT NULL, steps INTEGER NOT NULL, why TEXT NOT NULL, results TEXT NOT NULL)""",
            # the same for people and their tools
            """CREATE VIEW simulations(id, timestamp, parameters, results, duration, steps) AS SELECT run_id,
                 strftime('%Y-%m-%dT%H:%M:%fZ', started_ns / 1e9, 'unixepoch'), asked, results, seconds, steps FROM runs""",
        ),
        (
            # parameters, spread and report: JSON
            """CREATE TABLE calibrations(id INTEGER PRIMARY KEY, model TEXT NOT NULL, number INTEGER NOT NULL, run_id TEXT NOT NULL,
                                         user TEXT NOT NULL, created_ns INTEGER NOT NULL, start_ns INTEGER NOT NULL,
                                         end_ns INTEGER NOT NULL, data_hash TEXT NOT NULL, model_hash TEXT NOT NULL,
                                         parameters TEXT NOT NULL, spread TEXT NOT NULL, report TEXT NOT NULL,
                                         state TEXT NOT NULL, applied INTEGER NOT NULL, UNIQUE(model, number))""",
        ),
    ),
)
