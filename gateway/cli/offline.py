"""Export and import without a daemon: the data directory is locked and the store opened here."""

from __future__ import annotations

import asyncio
import dataclasses
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from gateway.cli import show
from gateway.cli.failure import FAILED, WRONG, Failure
from gateway.cli.run import load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from gateway.model.batch import SampleBatch
    from gateway.model.tag import Tag, TagTable
    from gateway.settings import Site
    from gateway.store.store import Store

ROWS: Final = 50_000  # of one tag, or of one commit: what is held in memory


def export_history(config: Path, out: Path, names: list[str] | None, start: str, end: str | None) -> int:
    """Writes the samples of those tags (all without names) to a file; how many."""
    return asyncio.run(_export_history(config, out, names, start, end))


async def _export_history(config: Path, out: Path, names: list[str] | None, start: str, end: str | None) -> int:
    from gateway.model.instant import LAST_NS
    from gateway.store.exchange import Writer

    count = 0
    async with opened(config) as (store, tags):
        start_ns, end_ns = moment("--from", start), LAST_NS if end is None else moment("--to", end)
        chosen = [_named(name, tags) for name in names] if names else list(tags)
        try:
            with Writer(out) as writer:
                for tag in chosen:
                    async for samples in store.history.iterate(tag.tag_id, start_ns, end_ns):
                        writer.add(tag.name, samples)
                        count += samples.source_ns.size
        except (OSError, ValueError) as error:
            raise Failure(FAILED, f"{out}: {error}") from None
    return count


def import_history(config: Path, path: Path) -> dict[str, int]:
    """Puts the samples of a file into the history of the tags that the configuration has; twin and alarms see none of them."""
    return asyncio.run(_import_history(config, path))


async def _import_history(config: Path, path: Path) -> dict[str, int]:
    import time

    from gateway.model.batch import Origin
    from gateway.model.update import Columns
    from gateway.store.commit import Commit, Step
    from gateway.store.exchange import batches

    samples = 0
    async with opened(config) as (store, tags):
        nothing = _columns([])
        try:
            for chunk in _chunks(batches(path, tags)):
                late: Columns = _columns(chunk)
                await store.commit(Commit(steps=[Step(time.time_ns(), Origin.SOURCE, nothing, late)]))
                samples += len(late)
        except (OSError, ValueError) as error:
            raise Failure(FAILED, str(error)) from None
    return {"samples": samples}


def _chunks(found: Iterator[tuple[int, SampleBatch]]) -> Iterator[list[SampleBatch]]:
    chunk: list[SampleBatch] = []
    size = 0
    for _, batch in found:
        chunk.append(batch)
        size += len(batch)
        if size >= ROWS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _columns(chunk: list[SampleBatch]) -> Any:
    import numpy as np

    from gateway.model.update import Columns

    kinds = (("tag_id", np.int32), ("value", np.float64), ("status", np.uint32), ("source_ns", np.int64))
    joined = {name: np.concatenate([np.zeros(0, kind), *(getattr(batch, name) for batch in chunk)]) for name, kind in kinds}
    text, offset = {}, 0
    for batch in chunk:
        text.update({offset + row: words for row, words in batch.text.items()})
        offset += len(batch)
    return Columns(joined["tag_id"], joined["value"], joined["status"], joined["source_ns"], text)


def site_of(config: Path) -> Site:
    """Failure where the configuration is wrong. A relative data directory belongs to its file, as for the daemon."""
    site, faults = load(config)
    if site is None:
        raise Failure(WRONG, "\n".join(str(fault) for fault in faults if not fault.warning))
    data_dir = config.parent / site.gateway.data_dir
    return dataclasses.replace(site, gateway=site.gateway.model_copy(update={"data_dir": data_dir}))


@asynccontextmanager
async def opened(config: Path) -> AsyncIterator[tuple[Store, TagTable]]:
    """The store of that configuration, locked. Failure where the configuration is wrong or a gateway runs on it."""
    import time
    from pathlib import Path as RealPath

    from gateway.store.config import StoreConfig
    from gateway.store.errors import SchemaTooNew, StoreLocked, StoreUnavailable
    from gateway.store.store import Store

    site = site_of(config)
    settings = site.sections["store"]
    assert isinstance(settings, StoreConfig)
    try:
        store = await Store.open(RealPath(site.gateway.data_dir), settings, site.tags, time.time_ns())
    except StoreLocked as error:
        raise Failure(FAILED, str(error), "a gateway runs on this data: ask it without --config, or stop it first") from None
    except (SchemaTooNew, StoreUnavailable, OSError) as error:
        raise Failure(FAILED, str(error)) from None
    for event in store.alarms_at_open:
        show.note(f"{event.message} ({', '.join(map(str, event.details.values()))})")
    try:
        yield store, site.tags
    finally:
        await store.close()


def _named(name: str, tags: TagTable) -> Tag:
    tag = tags.named(name)
    if tag is None:
        raise Failure(FAILED, f"there is no tag {name!r}")
    return tag


def moment(option: str, text: str) -> int:
    """UTC ns of a time as people write it; Failure names the option."""
    import time

    from gateway.web.times import parse

    try:
        return parse(text, time.time_ns())
    except ValueError as error:
        raise Failure(WRONG, f"{option}: {error}") from None
