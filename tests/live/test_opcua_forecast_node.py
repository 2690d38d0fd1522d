"""Forecasts, what-ifs and predicted limits of the running gateway to node-opcua, a stack that shares no line with ours."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from support.gateway import GatewayProcess
from support.ports import free_port
from support.waiting import eventually

CLIENT = Path(__file__).parents[1] / "node" / "live_forecast.mjs"
SITE = """
opcua: {{port: {port}, insecure: true, anonymous: operator}}
tags:
  - {{name: line.t, unit: Cel, range: [0, 100], sampling_interval: 100ms, writable: {{min: 0, max: 100}}}}
  - {{name: line.sp, unit: Cel, range: [0, 100], writable: {{min: 0, max: 100}}}}
alarms: [{{tag: line.t, hi: 60}}]
models:
  hall: {{kind: first_order, output: line.t, inputs: {{u: line.sp}}, parameters: {{tau: 100s}}, noise: {{process: 0.02}}}}
forecast: {{tags: [line.t], horizon: 6s, step: 100ms, every: 500ms, lead: 2s, alert: {{lead: 500ms}}}}
"""
EXPECTED = {
    "scalar": [True, 0x4209_0000, True],
    "ordered": True,
    "arrays": [True, True, True],
    "model": "string",
    "ahead": [True, True],
    "pages": [True, True],
    "below": ["P05", "P50", "P95"],
    "fromTag": True,
    "data": True,
    "arguments": [["setpoints", "horizon_s", "step_s", "runs", "seed"], ["run"]],
    "called": "Good",
    "state": "done",
    "listed": True,
    "outputs": True,
    "lengths": [61],
    "moved": True,
    "wrong": ["BadInvalidArgument", ["BadTypeMismatch", "Good", "Good", "Good", "Good"]],
}

pytestmark = pytest.mark.live


async def test_a_foreign_client_reads_the_future_asks_what_if_and_acknowledges_what_is_predicted(node, tmp_path):
    port = free_port()
    with GatewayProcess(tmp_path / "gateway", SITE.format(port=port)) as gateway:
        await asyncio.to_thread(gateway.start)
        assert gateway.command("tag.override", tag="line.sp", value=20.0, reason="test").status_code == 200
        url = f"opc.tcp://127.0.0.1:{port}/edgetwin"
        found = await node.run(CLIENT, url, "line.t", "line.sp=90", 6, 59, folder=tmp_path / "node", within=120)
    assert found == EXPECTED | {
        "setpoints": ["line.sp=90"],
        "alert": ["line.t", "HI", True, True],
        "before": True,
        "acknowledged": "Good",
        "acked": True,
    }


async def test_the_same_client_finds_the_forecasts_of_the_demos_plant(node, start_process, tmp_path):
    demo = start_process([sys.executable, "-m", "gateway", "demo"])
    url = (await eventually(lambda: re.search(r"OPC UA +(opc.tcp://\S+)", demo.output()), within=40))[1]
    setpoint = "production_line.temperature_setpoint=29"
    found = await node.run(CLIENT, url, "production_line.temperature", setpoint, folder=tmp_path / "node", within=90)
    assert found == EXPECTED | {"setpoints": [setpoint]}
