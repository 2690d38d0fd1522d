"""The parts of the test bench do what the tests lean on."""

import signal
import sys
from pathlib import Path

import pytest

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
