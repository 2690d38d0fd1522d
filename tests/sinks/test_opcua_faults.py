"""Whose fault it was: a request that cannot be decoded is the client's, everything else the gateway's own."""

import pytest
from asyncua import Client, ua
from asyncua.ua.uaerrors import UaStatusCodeError

from gateway.model.tag import Tag
from support.opcua_face import opcua_face


async def test_what_a_read_of_ours_does_wrong_is_no_decoding_error_and_the_session_lives(caplog):
    """The figures of the gateway fail while its node is read."""
    found = {"Gateway": {"Ready": True}}

    def figures():
        return {"Gateway": found["Gateway"]}

    async with opcua_face([Tag(0, "a")], figures=figures) as face, Client(face.sink.url, timeout=10) as client:
        node = client.get_node(ua.NodeId("Gateway/Ready", 2))
        assert await node.read_value() is True
        found.clear()
        with pytest.raises(UaStatusCodeError) as fault:
            await node.read_value()
        assert fault.value.code == ua.StatusCodes.BadInternalError
        assert face.report.counts["malformed_requests"] == 0
        assert "Gateway" in caplog.text
        assert await client.get_node(ua.NodeId("a", 2)).read_data_value(raise_on_bad_status=False)
