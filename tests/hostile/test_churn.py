"""Clients that come, subscribe to a thousand items and go, politely or not: the others keep their pace, and memory comes back.

`CHURN_CLIENTS=50 CHURN_S=120` makes it the long test (`make churn`). The seed is printed.
"""

import asyncio
import os
import random
import struct
import time
from contextlib import suppress

from asyncua import ua

from support.gateway import GatewayProcess
from support.opcua_raw import Ended, Raw, Refused
from support.ports import free_port
from support.waiting import eventually
from support.witness import Witness, rss_mb

CLIENTS = int(os.environ.get("CHURN_CLIENTS", "12"))
CHURN_S = float(os.environ.get("CHURN_S", "5"))
ITEMS = 1_000
P99_S = 0.2
SITE = """
sources:
  plant: {{driver: replay, file: "{file}", times: now, loop: true}}
tags:
  - {{name: line.beat, source: plant, address: beat, sampling_interval: 50ms}}
{tags}
opcua: {{port: {port}, insecure: true, anonymous: viewer, max_sessions: {sessions}}}
"""
BEATS = 20


def recording(folder):
    """Two seconds: a thousand tags at 1 Hz, and one at 20 Hz."""
    path, names = folder / "plant.csv", [f"x{number}" for number in range(ITEMS)]
    rows = ["timestamp,beat," + ",".join(names)]
    for row in range(2 * BEATS):
        values = [str(row + number) for number in range(ITEMS)] if row % BEATS == 0 else [""] * ITEMS
        rows.append(",".join((str(1_700_000_000_000 + row * 1000 // BEATS), str(row), *values)))
    path.write_text("\n".join(rows) + "\n")
    return path


async def visit(port, chance, heard, polite):
    """One client: it subscribes, listens a while, and goes."""
    async with Raw(port, timeout_ms=5_000.0) as raw:
        made = ua.CreateSubscriptionRequest()
        made.Parameters = ua.CreateSubscriptionParameters(1000.0, 30, 5, 0, True, 0)
        mine = (await raw.ask(made)).Parameters.SubscriptionId
        create = ua.CreateMonitoredItemsRequest()
        create.Parameters.SubscriptionId, create.Parameters.TimestampsToReturn = mine, ua.TimestampsToReturn.Both
        create.Parameters.ItemsToCreate = [
            ua.MonitoredItemCreateRequest(
                ua.ReadValueId(ua.NodeId(f"line.x{number}", 2), ua.AttributeIds.Value),
                ua.MonitoringMode.Reporting,
                ua.MonitoringParameters(number, 1000.0, None, 1, True),
            )
            for number in range(ITEMS)
        ]
        assert all(result.StatusCode.is_good() for result in (await raw.ask(create)).Results)
        publish = struct.pack("<i", 0)
        raw.writer.write(raw.chunks(raw.body_of("Publish", publish)))
        leaves = time.monotonic() + chance.uniform(0.0, 4.0)
        while time.monotonic() < leaves:
            _, body = await raw.answer()
            heard.append(len(body))
            raw.writer.write(raw.chunks(raw.body_of("Publish", publish)))
        if chance.random() < polite:
            await raw.ask_raw("CloseSession", b"\x01")


async def come_and_go(port, chance, heard, until, polite):
    visits = 0
    while time.monotonic() < until:
        with suppress(Refused, Ended, ConnectionError, TimeoutError):
            await visit(port, chance, heard, polite)
            visits += 1
    return visits


async def test_clients_that_come_and_go_disturb_nobody(tmp_path):
    seed = int(os.environ.get("SEED", time.time_ns() % 2**32))
    port = free_port()
    tags = "\n".join(f"  - {{name: line.x{number}, source: plant, address: x{number}, sampling_interval: 1s}}" for number in range(ITEMS))
    site = SITE.format(file=recording(tmp_path), tags=tags, port=port, sessions=CLIENTS + 10)
    with GatewayProcess(tmp_path / "gateway", site) as gateway:
        await asyncio.to_thread(gateway.start, 30.0)
        witness = await asyncio.to_thread(Witness, tmp_path / "witness", f"opc.tcp://127.0.0.1:{port}/edgetwin", "ns=2;s=line.beat")
        with witness.process:
            await round_of(port, seed, 2.0, polite=1.0)  # what is made once, is made
            await eventually(lambda: sessions(port, 2), within=30)
            settled, began = rss_mb(gateway.process.pid), time.monotonic()
            visits, heard = await round_of(port, seed + 1, CHURN_S, polite=0.5)
            waits = witness.waits(began)
            p99 = waits[int(len(waits) * 0.99)]
            await eventually(lambda: sessions(port, 2), within=90)
            grown = rss_mb(gateway.process.pid) - settled
            print(f"seed {seed}: {visits} visits of {CLIENTS} clients, {heard} notifications, p99 {p99 * 1e3:.0f} ms, {grown:+.1f} MB")
            assert visits >= CLIENTS
            assert p99 < P99_S
            assert witness.longest_gap("heard", began) < 2.0
            assert grown < max(16.0, 0.1 * settled)
        assert "Traceback" not in gateway.log


async def round_of(port, seed, seconds, *, polite):
    """(visits, notifications)"""
    until, heard = time.monotonic() + seconds, []
    clients = [come_and_go(port, random.Random(seed * 100 + n), heard, until, polite) for n in range(CLIENTS)]
    return sum(await asyncio.gather(*clients)), len(heard)


async def sessions(port, most):
    """Whether there are no more than so many: the witness's and this one."""
    counted = ua.ObjectIds.Server_ServerDiagnostics_ServerDiagnosticsSummary_CurrentSessionCount
    async with Raw(port) as raw:
        (value,) = await raw.read(ua.NodeId(counted))
    return value.Value.Value <= most
