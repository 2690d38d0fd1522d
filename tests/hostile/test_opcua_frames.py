"""Frames that are none, too large, too many, out of order, or never read (Part 6, 6.7 and 7.1)."""

import asyncio
import struct
import time

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary

from gateway.wire.opcua import limits
from support.opcua_raw import CHUNK, Ended, Raw, Refused, connect, hello, said
from support.waiting import eventually
from support.witness import rss_mb

CODES = ua.StatusCodes


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        pytest.param(b"MSGF" + struct.pack("<I", 0xFFFFFFFF), CODES.BadTcpMessageTooLarge, id="chunk of 4 GB"),
        pytest.param(b"HELF" + struct.pack("<I", 4_000_000_000), CODES.BadTcpMessageTooLarge, id="hello of 4 GB"),
        pytest.param(b"HELF" + struct.pack("<I", 0), CODES.BadTcpMessageTooLarge, id="no size"),
        pytest.param(b"HELF" + struct.pack("<I", 7), CODES.BadTcpMessageTooLarge, id="size below its own header"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", CODES.BadTcpMessageTypeInvalid, id="another protocol"),
        pytest.param(b"XYZF" + struct.pack("<I", 8), CODES.BadTcpMessageTypeInvalid, id="unknown type"),
        pytest.param(hello(receive=0), CODES.BadConnectionRejected, id="no receive buffer"),
        pytest.param(hello(send=1), CODES.BadConnectionRejected, id="send buffer of a byte"),
        pytest.param(b"MSGF" + struct.pack("<I", 12) + b"\x00" * 4, None, id="message without a body"),
        pytest.param(
            hello() + b"MSGF" + struct.pack("<I", 32) + b"\x00" * 24, CODES.BadTcpSecureChannelUnknown, id="message before a channel"
        ),
        pytest.param(hello() + hello(), CODES.BadTcpMessageTypeInvalid, id="hello twice"),
        pytest.param(b"OPNF" + struct.pack("<I", 40) + b"\x00" * 32, CODES.BadTcpMessageTypeInvalid, id="opening without a hello"),
        pytest.param(hello() + b"OPNF" + struct.pack("<I", 8), None, id="empty opening"),
        pytest.param(b"ERRF" + struct.pack("<I", 16) + b"\xff" * 8, CODES.BadTcpMessageTypeInvalid, id="error to a server"),
    ],
)
async def test_what_is_no_message_is_refused_once_and_closed(plant, sent, code):
    reader, writer = await connect(plant.port)
    writer.write(sent)
    got = await said(reader)
    assert code is None or got == code
    writer.close()


@pytest.mark.parametrize("session", [False, True])
async def test_chunks_without_a_final_one_are_not_kept(plant, session):
    """Of a stranger 128 KiB, of a client 4 MiB: BadRequestTooLarge or BadTcpMessageTooLarge, and the connection ends."""
    plant.grows_mb = 4.0 + (limits.MESSAGE_BYTES / 2**20 if session else 0.0)
    async with Raw(plant.port, session=session) as raw:
        chunk, most = b"\x00" * CHUNK, limits.MESSAGE_BYTES if session else limits.STRANGER_BYTES
        assert await flooded(raw, chunk, 4 * most // CHUNK + 2) in (CODES.BadRequestTooLarge, CODES.BadTcpMessageTooLarge, None)


async def flooded(raw, chunk, count):
    """The code that the server ended it with, while chunks of one request came; None: the socket was closed before it could be read."""
    try:
        for _ in range(count):
            raw.writer.write(raw.message(chunk, b"MSGC"))
            raw.request -= 1
            await asyncio.wait_for(raw.writer.drain(), 15)
        await raw.frame()
    except Ended as ended:
        return ended.code
    except ConnectionError:
        return None
    raise AssertionError("it was all taken")


async def test_many_small_chunks_without_a_final_one_are_not_kept_either(plant):
    async with Raw(plant.port) as raw:
        frames = []
        for _ in range(limits.CHUNKS + 50):
            frames.append(raw.message(b"", b"MSGC"))
            raw.request -= 1
        raw.writer.write(b"".join(frames))
        with pytest.raises(Ended):
            await raw.frame()


@pytest.mark.parametrize("off", [-1, 1, 7])
async def test_a_wrong_sequence_number_ends_the_connection(plant, off):
    """Part 6, 6.7.2.4."""
    async with Raw(plant.port) as raw:
        raw.sequence += off
        with pytest.raises(Ended):
            await raw.read(ua.NodeId("line.beat", 2))


@pytest.mark.parametrize("which", ["channel", "token"])
async def test_a_channel_that_is_another_s_ends_the_connection(plant, which):
    async with Raw(plant.port) as raw, Raw(plant.port) as other:
        setattr(raw, which, getattr(other, which) + 77 if which == "token" else other.channel)
        with pytest.raises(Ended):
            await raw.read(ua.NodeId("line.beat", 2))
        assert (await other.read(ua.NodeId("line.beat", 2)))[0].StatusCode.is_good()


@pytest.mark.parametrize("number", [0, 999_999, 2**31])
async def test_an_unknown_service_is_a_fault_and_the_session_goes_on(plant, number):
    async with Raw(plant.port) as raw:
        with pytest.raises(Refused) as refused:
            await raw.raw(b"\x02\x00\x00" + struct.pack("<I", number) + raw.header())
        assert refused.value.code == CODES.BadServiceUnsupported
        assert await raw.read(ua.NodeId("line.beat", 2))


async def test_a_client_that_does_not_read_its_answers_is_dropped_alone(plant):
    """Up to 16 MiB wait for it, then it is cut off, and its memory comes back."""
    plant.grows_mb = limits.UNREAD_BYTES / 2**20 + 8.0  # what the allocator may keep for the next one
    async with Raw(plant.port) as raw:
        request = ua.ReadRequest()
        wanted = ua.ReadValueId(ua.NodeId("line.beat", 2), ua.AttributeIds.Value)
        request.Parameters.NodesToRead, request.Parameters.TimestampsToReturn = [wanted] * 9_000, ua.TimestampsToReturn.Both
        raw.writer.transport.pause_reading()
        body, before, most = raw.encoded(request), plant.rss_mb(), 0.0
        for _ in range(120):
            if raw.writer.transport.is_closing():
                break
            raw.writer.write(raw.chunks(body))
            await asyncio.sleep(0.02)
            most = max(most, rss_mb(plant.pid) - before)
        await eventually(lambda: _closed_by_peer(raw), within=10)
        assert most < 2.5 * limits.UNREAD_BYTES / 2**20


def _closed_by_peer(raw) -> bool:
    raw.writer.write(b"")
    raw.writer.transport.resume_reading()
    return raw.reader.at_eof() or raw.reader.exception() is not None or raw.writer.transport.is_closing()


async def test_connections_that_say_nothing_keep_nobody_out(plant):
    """So many of one address; the oldest of those gives way to who comes next, and all of them after ten seconds."""
    silent = [await connect(plant.port) for _ in range(60)]
    began = time.monotonic()
    async with Raw(plant.port) as raw:
        assert await raw.read(ua.NodeId("line.beat", 2))
    assert time.monotonic() - began < 2.0
    gone = [reader for reader, _ in silent if reader.at_eof()]
    assert len(gone) >= 60 - 25 - 1
    for _, writer in silent:
        writer.transport.abort()


async def test_channels_without_end_keep_nobody_out(plant):
    """One channel for a connection, and connections are bounded: a second one on the same connection ends it."""
    async with Raw(plant.port, session=False) as raw:
        again = ua.OpenSecureChannelRequest()
        again.Parameters = ua.OpenSecureChannelParameters(0, ua.SecurityTokenRequestType.Issue, ua.MessageSecurityMode.None_, b"", 60_000)
        raw.writer.write(raw.opening(struct_to_binary(again)))
        with pytest.raises(Ended):
            await raw.frame()
    opened = []
    for _ in range(60):
        raw = Raw(plant.port, session=False)
        await raw.__aenter__()
        opened.append(raw)
    async with Raw(plant.port) as good:
        assert await good.read(ua.NodeId("line.beat", 2))
    for raw in opened:
        raw.writer.transport.abort()
