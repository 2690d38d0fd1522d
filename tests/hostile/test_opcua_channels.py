"""Messages of the secure channel and of signing in with bytes changed: each is refused or ends its own connection, and that is all."""

import asyncio
import random
import struct

import pytest
from asyncua import ua
from asyncua.ua.uaerrors import UaError

from gateway.access.people import People
from support.certificates import make
from support.opcua_doors import NS, PASSWORD, TAGS, opened, secured
from support.opcua_face import opcua_face
from support.waiting import eventually

TRIES = 150


@pytest.fixture
def ours(tmp_path):
    return make(tmp_path)


@pytest.fixture
async def face(tmp_path, ours):
    ours.put(tmp_path / "pki" / "trusted")
    people = People()
    await people.users.add("ola", "operator", PASSWORD)
    async with opcua_face(TAGS, access=people, folder=tmp_path, insecure=False, anonymous="none") as running:
        await running.step({"a.x": 1.0})
        yield running


async def recorded(face, ours):
    """HEL, OPN, CreateSession and ActivateSession as a good client sends them."""
    client = await secured(face, ours)
    await client.connect_socket()
    sent, write = [], client.uaclient.protocol.transport.write
    client.uaclient.protocol.transport.write = lambda data: (sent.append(bytes(data)), write(data))
    await client.send_hello()
    await client.open_secure_channel()
    await client.create_session()
    await client.activate_session(username="ola", password=PASSWORD)
    client.uaclient.disconnect_socket()
    return sent


def changed(chance, message):
    """Some bytes other than they were; the size in the header stays right more often than not."""
    data = bytearray(message)
    for _ in range(chance.choice((1, 1, 2, 8))):
        at = chance.randrange(8, len(data))
        data[at] = chance.randrange(256)
    if chance.random() < 0.3:
        cut = chance.randrange(8, len(data))
        data = data[:cut]
        data[4:8] = struct.pack("<I", len(data))
    if chance.random() < 0.2:
        at = chance.randrange(8, len(data) - 4) if len(data) > 12 else 8
        data[at : at + 4] = chance.choice((b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\x00\x00\x00\x80", b"\xfe\xff\xff\xff"))
    return bytes(data)


@pytest.mark.parametrize("seed", range(3))
async def test_a_handshake_with_changed_bytes_harms_nobody(face, ours, caplog, seed):
    """The seed says which; a good client beside it is served all the time, and no fault of ours is logged."""
    chance = random.Random(seed)
    host, port = "127.0.0.1", int(face.sink.url.split(":")[2].split("/")[0])
    messages = await recorded(face, ours)
    async with await secured(face, ours) as good:
        node = good.get_node(ua.NodeId("a.x", NS))
        for turn in range(TRIES):
            reader, writer = await asyncio.open_connection(host, port)
            upto = chance.randrange(1, len(messages))
            for message in messages[:upto]:
                writer.write(message)
            writer.write(changed(chance, messages[upto]))
            writer.write_eof()
            await asyncio.wait_for(reader.read(), 5)
            writer.close()
            if turn % 25 == 0:
                assert await asyncio.wait_for(node.read_value(), 1) == 1.0
        assert await node.read_value() == 1.0
        await eventually(lambda: len(face.sink._server._listener.clients) == 1)
        assert len(face.sink._server.interior._external_sessions) == 1
    assert not [record.getMessage() for record in caplog.records if record.exc_info or "xception" in record.getMessage()]


async def test_tokens_with_changed_bytes_sign_nobody_in(face, ours):
    """ActivateSession itself, in a good envelope, with a password's secret and its fields changed."""
    chance = random.Random(1)
    refused = 0
    for _ in range(20):
        client = await secured(face, ours)
        link = await opened(client)
        await client.create_session()
        policy = client.security_policy
        token = ua.UserNameIdentityToken(
            PolicyId=chance.choice(("username_Basic256Sha256", "anonymous", "", "x" * 1000)),
            UserName=chance.choice(("ola", "", None, "\ud800", "\x00", "x" * 100_000)),
            Password=chance.choice((b"", None, chance.randbytes(256), chance.randbytes(512), chance.randbytes(100))),
            EncryptionAlgorithm=chance.choice((policy.AsymmetricEncryptionURI, None, "", "x")),
        )
        params = ua.ActivateSessionParameters(UserIdentityToken=token)
        params.ClientSignature.Algorithm = policy.AsymmetricSignatureURI
        params.ClientSignature.Signature = policy.asymmetric_cryptography.signature(policy.peer_certificate + client._server_nonce)
        try:
            await link.activate_session(params)
        except (UaError, ConnectionError, UnicodeEncodeError):
            refused += 1
        link.disconnect_socket()
    assert refused == 20
    await eventually(lambda: not face.sink._server.interior._external_sessions)
