"""The demo's KPIs: what OPC UA serves is what the exported event log comes to."""

import asyncio
import json
import re
import sys

import httpx
import pytest
from asyncua import Client, ua

from gateway.model.instant import iso
from support.waiting import eventually

MACHINES = ("stringer", "layup", "laminator", "framer", "flash_tester", "packer")
FACTORS = {"OEE": "oee", "Availability": "availability", "Performance": "performance", "Quality": "quality"}
UNCERTAIN_SUB_NORMAL = 0x4095_0000


@pytest.mark.live
async def test_oee_on_opc_ua_equals_the_value_worked_out_of_the_exported_event_log(start_process, tmp_path):
    demo = start_process([sys.executable, "-m", "gateway", "demo", "--for", "90"])
    page = (await eventually(lambda: re.search(r"web page +(http\S+)", demo.output()), within=60))[1]
    endpoint = re.search(r"OPC UA +(opc.tcp://\S+)", demo.output())[1]
    async with httpx.AsyncClient(timeout=20, base_url=f"{page}/api/v1") as web, Client(endpoint, timeout=20) as client:

        async def produced():
            told = (await web.get("/kpi")).json()["periods"].get("shift", {"machines": {}})["machines"]
            return len(told) == len(MACHINES) and all(told[name]["made"] >= 1 for name in MACHINES[:3])

        await eventually(produced, within=60)
        names = [f"Kpi/{machine}/{name}" for machine in MACHINES for name in (*FACTORS, "Coverage")] + ["Kpi/OEE", "Kpi/Coverage"]
        values = await _read(client, names)
        log, text = tmp_path / "events.csv", (await web.get("/kpi/events", params={"format": "csv"})).text
        log.write_text(text)
        assert text.splitlines()[0] == "datetime,timestamp,machine,state,event_type,duration"
        reported = await _report(log, iso(values["Kpi/OEE"][1]))
    for machine in MACHINES:
        for name, word in FACTORS.items():
            told, wanted = values[f"Kpi/{machine}/{name}"][0], reported["machines"][machine]["oee"][word]
            assert (told != told) if wanted is None else told == pytest.approx(wanted, abs=1e-6), (machine, name)  # noqa: PLR0124  NaN
        assert values[f"Kpi/{machine}/Coverage"][0] == pytest.approx(reported["machines"][machine]["coverage"], abs=1e-6)
    assert values["Kpi/OEE"][0] == pytest.approx(reported["line"]["oee"]["oee"], abs=1e-6)
    assert values["Kpi/OEE"][2] == UNCERTAIN_SUB_NORMAL  # of most of the day nothing is known


async def _read(client, names):
    """Value, source time in ns and status of each, all of one second."""
    served = await client.get_namespace_array()
    index = next(number for number, uri in enumerate(served) if uri.startswith("urn:edgetwin:demo"))  # demo-4842 beside another demo
    found = {}
    for _ in range(20):
        ids = [ua.ReadValueId(NodeId=ua.NodeId(name, index), AttributeId=ua.AttributeIds.Value) for name in names]
        values = await client.uaclient.read(ua.ReadParameters(NodesToRead=ids, TimestampsToReturn=ua.TimestampsToReturn.Both))
        found = {
            name: (one.Value.Value, round(one.SourceTimestamp.timestamp() * 1e3) * 1_000_000, one.StatusCode.value)
            for name, one in zip(names, values, strict=True)
        }
        if len({at_ns for _, at_ns, _ in found.values()}) == 1:
            return found
    raise AssertionError(found)


async def _report(log, at):
    command = [sys.executable, "-m", "gateway", "report", "oee", str(log), "--run", "pv_baseline_8hr", "--at", at, "--json"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return json.loads(out)
