"""The parts of the test bench do what the tests lean on."""

import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from gateway.bench.opcua import decoding, peers
from gateway.bench.opcua.serving import Served, names_of, tap, wish
from gateway.bench.rows import Row, table
from gateway.wire.opcua.decode import decode_publish
from support.ports import answers, free_port
from support.process import Process
from support.waiting import eventually

ENDPOINT_SCRIPT = """
const { OPCUAServer } = require("node-opcua-server");
const { OPCUAClient, AttributeIds } = require("node-opcua-client");
(async () => {
  const server = new OPCUAServer({ port: Number(process.argv[2]), hostname: "127.0.0.1" });
  await server.start();
  const client = OPCUAClient.create({ endpointMustExist: false });
  await client.connect("opc.tcp://127.0.0.1:" + process.argv[2]);
  const session = await client.createSession();
  const state = await session.read({ nodeId: "i=2259", attributeId: AttributeIds.Value });
  await session.close();
  await client.disconnect();
  await server.shutdown(0);
  console.log(JSON.stringify({ state: state.value.value }));
  process.exit(0);
})().catch((error) => { console.error(error); process.exit(1); });
"""


@pytest.mark.live
def test_a_broker_answers_after_a_restart_and_not_after_a_kill(mosquitto):
    mosquitto.restart()
    assert answers(mosquitto.port)
    mosquitto.kill()
    assert not answers(mosquitto.port)
    mosquitto.start()
    assert answers(mosquitto.port)


@pytest.mark.live
async def test_node_brings_its_own_opcua_server_and_client(node, tmp_path):
    assert await node.run(ENDPOINT_SCRIPT, free_port(), folder=tmp_path) == {"state": 0}


def test_a_process_ends_with_its_context(tmp_path):
    with Process([sys.executable, "-c", "print('up', flush=True); import time; time.sleep(60)"], tmp_path) as process:
        process.wait_output("up", within=10)
        assert process.running
    assert process.exit_code == -signal.SIGTERM
    assert not Path(f"/proc/{process.pid}").exists()


async def test_eventually_waits_for_the_condition_and_names_the_one_that_never_comes():
    turns = iter([False, False, True])
    assert await eventually(lambda: next(turns))
    with pytest.raises(AssertionError, match="the door opens"):
        await eventually(lambda: False, within=0.05, what="the door opens")


def test_no_port_is_given_twice():
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50


def test_a_row_says_whether_it_keeps_its_target_and_how_much_better_it_is():
    slow = Row("publish", 0.2, "us/value", 0.15, others={"asyncua": 40.0, "published": "0.5"})
    fast = Row("read", 4e6, "values/s", 2e6, most=False, others={"asyncua": 1e5})
    absent = Row("peer", None, "us/value", 1.0, note="Node is not there")
    assert [row.verdict for row in (slow, fast, absent)] == ["over", "ok", "not run"]
    assert slow.record()["times_better"] == {"asyncua": 200.0}
    assert fast.times("asyncua") == 40.0
    lines = table([slow, fast, absent])
    assert "asyncua 40 (200x); published 0.5" in lines[1]
    assert "Node is not there" in lines[3]


async def test_the_benchmark_s_server_and_client_run(tmp_path):
    """One publication of every value, a read, a browse and a dropped connection through the processes that the benchmark uses."""
    names = names_of(200)
    async with Served(names, tmp_path) as served, tap(served.sink.url, names, [wish(200, 10.0)], tmp_path) as client:
        assert await served.run(0.1, 20.0) == 400
        heard = 0
        while heard < 200:
            heard += await client.values()
        assert await client.ask("read 2") == {"count": 400}
        assert await client.ask("browse 2 area0 area1") == {"count": 400}
        assert await client.ask("churn 1") == {"count": 1}


def test_every_layout_that_the_benchmark_decodes_can_be_decoded():
    change = decode_publish(decoding.answer(decoding.scattered(3)), np.full(1, -1, np.int32)).message.changes[0]
    assert sorted(change.handle.tolist()) == list(range(decoding.VALUES))
    assert (change.value == 1.0).all()
    assert 0 < np.count_nonzero(change.status) < decoding.VALUES


async def test_without_node_the_benchmark_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "_node", lambda: (None, None))
    assert await peers.node(tmp_path, 1.0) == peers.Peer(why="Node is not there")
