"""One connection, held against real brokers: Mosquitto, the embedded 3.1.1 broker, and peers that misbehave."""

import asyncio
import ssl
import subprocess

import pytest
import uvloop

from gateway.contracts import NotConnected
from gateway.wire.mqtt import client as client_module
from gateway.wire.mqtt import packets
from gateway.wire.mqtt.broker import EmbeddedBroker
from gateway.wire.mqtt.client import Last, Link, Outgoing
from gateway.wire.mqtt.endpoint import Endpoint, Tls
from support.mqtt_face import subscriber
from support.ports import free_port
from support.waiting import eventually


def endpoint(port, **options):
    return Endpoint("127.0.0.1", port, encrypted=False, **options)


async def take(link, count):
    got = []
    async with asyncio.timeout(10):
        while len(got) < count:
            messages = await link.receive()
            link.acknowledge([one.mid for one in messages if one.mid])
            got += messages
    return got


async def test_the_window_is_the_brokers_and_codes_come_back(mosquitto):
    link = await Link.open(endpoint(mosquitto.port), "one")
    assert link.version == packets.V5
    assert link.window == 20  # Mosquitto's Receive Maximum
    assert await link.publish([Outgoing("nobody/hears", b"x")] * 100) == [0x10] * 100
    await link.subscribe(["a/#"], 1)
    assert await link.publish([Outgoing("a/b", b"%d" % number) for number in range(100)]) == [0] * 100
    assert [one.payload for one in await take(link, 100)] == [b"%d" % number for number in range(100)]
    await link.close()


async def test_auto_falls_back_to_3_1_1_where_version_5_is_refused(free_port):
    broker = EmbeddedBroker(free_port)
    await broker.start()
    link = await Link.open(endpoint(free_port), "old")
    assert link.version == packets.V311
    await link.subscribe(["a"], 1)
    await link.publish([Outgoing("a", b"1")])
    assert (await take(link, 1))[0].payload == b"1"
    await link.close()
    with pytest.raises(NotConnected, match="unacceptable protocol version"):
        await Link.open(endpoint(free_port, protocol="5"), "new")
    await broker.stop()


async def test_auto_falls_back_where_version_5_is_dropped_without_a_word(mosquitto):
    """A broker in front of which something hangs up at CONNECT of version 5."""

    async def door(reader, writer):
        head = await reader.readexactly(9)
        if head[8] == 5:
            writer.close()
            return
        there, on = await asyncio.open_connection("127.0.0.1", mosquitto.port)
        on.write(head)

        async def pipe(source, sink):
            while data := await source.read(4096):
                sink.write(data)
            sink.close()

        await asyncio.gather(pipe(reader, on), pipe(there, writer))

    server = await asyncio.start_server(door, "127.0.0.1", 0)
    link = await Link.open(endpoint(server.sockets[0].getsockname()[1]), "old")
    assert link.version == packets.V311
    await link.close()
    server.close()


async def test_nobody_there_says_where_and_why():
    port = free_port()
    with pytest.raises(NotConnected, match=rf"127\.0\.0\.1:{port}: .*refused"):
        await Link.open(endpoint(port), "one")


async def test_a_silent_peer_is_given_up(monkeypatch):
    monkeypatch.setattr(client_module, "OPEN_TIMEOUT_S", 0.3)
    gone = asyncio.Event()

    async def silent(reader, _writer):
        await reader.read()
        gone.set()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    with pytest.raises(NotConnected, match="no connection within"):
        await Link.open(endpoint(server.sockets[0].getsockname()[1]), "one")
    await asyncio.wait_for(gone.wait(), 8)  # the socket of the attempt is closed
    server.close()


async def test_a_peer_that_speaks_something_else_is_not_connected():
    async def http(reader, writer):
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(http, "127.0.0.1", 0)
    with pytest.raises(NotConnected):
        await Link.open(endpoint(server.sockets[0].getsockname()[1]), "one")
    server.close()


async def test_a_dead_broker_ends_every_wait(mosquitto):
    link = await Link.open(endpoint(mosquitto.port), "one")
    waiting = asyncio.create_task(link.receive())
    mosquitto.kill()
    with pytest.raises(NotConnected, match=str(mosquitto.port)):
        await asyncio.wait_for(waiting, 5)
    with pytest.raises(NotConnected):
        await link.publish([Outgoing("a", b"1")])
    with pytest.raises(NotConnected):
        await link.send(b"\x30\x03\x00\x01a")
    await link.close()
    await link.close()


async def test_no_ghosts(mosquitto):
    """What a lost link did not get acknowledged never reaches the broker by itself later."""
    link = await Link.open(endpoint(mosquitto.port), "one")
    mosquitto.freeze()
    lost = asyncio.create_task(link.publish([Outgoing("ghost", b"1")] * 50))
    await asyncio.sleep(0)
    mosquitto.kill()
    with pytest.raises(NotConnected):
        await asyncio.wait_for(lost, 5)
    mosquitto.start()
    async with subscriber(mosquitto.port, "#") as heard:
        again = await Link.open(endpoint(mosquitto.port), "one")
        await again.publish([Outgoing("real", b"2")])
        await eventually(lambda: heard.messages)
        assert [topic for topic, _, _ in heard.messages] == ["real"]
        await again.close()


async def test_a_frozen_broker_is_given_up_by_keep_alive(mosquitto):
    link = await Link.open(endpoint(mosquitto.port, keepalive_s=1), "one")
    mosquitto.freeze()
    with pytest.raises(NotConnected, match=r"[Kk]eep alive"):
        await asyncio.wait_for(link.receive(), 8)
    mosquitto.thaw()


async def test_a_missing_puback_is_given_up(mosquitto, monkeypatch):
    monkeypatch.setattr(client_module, "ACK_TIMEOUT_S", 0.3)
    link = await Link.open(endpoint(mosquitto.port), "one")
    mosquitto.freeze()
    with pytest.raises(NotConnected, match="no PUBACK"):
        await asyncio.wait_for(link.publish([Outgoing("a", b"1")]), 5)
    mosquitto.thaw()


async def test_the_will_speaks_for_a_link_that_died_and_is_silent_after_close(mosquitto):
    async with subscriber(mosquitto.port, "gone/#") as heard:
        for name in ("died", "closed"):
            link = await Link.open(endpoint(mosquitto.port), name, will=Last(f"gone/{name}", b"1"))
            if name == "died":
                link._wire.paho._sock.shutdown(2)
            await link.close()
        link = await Link.open(endpoint(mosquitto.port), "after")
        await link.publish([Outgoing("gone/after", b"1")])
        await eventually(lambda: len(heard.messages) >= 2)
        assert sorted(topic for topic, _, _ in heard.messages) == ["gone/after", "gone/died"]
        await link.close()


async def test_a_full_inbox_stops_reading_and_loses_nothing(mosquitto, monkeypatch):
    """20 messages fill it; 2000 arrive in order, and the connection outlives the pause."""
    monkeypatch.setattr(client_module, "INBOX_MESSAGES", 20)
    reader = await Link.open(endpoint(mosquitto.port, keepalive_s=1), "reader")
    await reader.subscribe(["a"], 1)
    writer = await Link.open(endpoint(mosquitto.port), "writer")
    payload = b"x" * 500
    await writer.publish([Outgoing("a", b"%d:" % number + payload) for number in range(2000)])
    await eventually(lambda: reader.pauses)
    assert len(reader._inbox) < 200
    got = await take(reader, 2000)
    assert [int(one.payload.split(b":")[0]) for one in got] == list(range(2000))
    await reader.close()
    await writer.close()


async def test_unacknowledged_messages_come_again(mosquitto):
    link = await Link.open(endpoint(mosquitto.port), "keeper", session_expiry_s=60)
    await link.subscribe(["a"], 1)
    await link.publish([Outgoing("a", b"%d" % number) for number in range(5)])
    async with asyncio.timeout(5):
        got = await link.receive()
        while len(got) < 5:
            got += await link.receive()
    link.acknowledge([one.mid for one in got[:2]])
    await link.close()
    again = await Link.open(endpoint(mosquitto.port), "keeper", session_expiry_s=60)
    assert again.session_present
    assert [(one.payload, one.dup) for one in await take(again, 3)] == [(b"2", True), (b"3", True), (b"4", True)]
    await again.close()


async def test_the_broker_names_what_it_refuses(start_mosquitto):
    broker = start_mosquitto(acl=["topic readwrite open/#"])
    link = await Link.open(endpoint(broker.port), "one")
    assert await link.publish([Outgoing("open/a", b"1"), Outgoing("secret/a", b"1")]) == [0x10, 0x87]
    await link.close()


async def test_a_message_over_the_brokers_limit_is_refused_here(start_mosquitto):
    broker = start_mosquitto(config=["max_packet_size 1000"])
    link = await Link.open(endpoint(broker.port), "one")
    assert link.max_packet == 1000
    assert await link.publish([Outgoing("a", b"x" * 2000), Outgoing("a", b"x")]) == [0x95, 0x10]
    await link.close()


async def test_wrong_credentials_are_told(start_mosquitto, tmp_path):
    passwords = tmp_path / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(passwords), "gw", "right"], check=True)  # noqa: ASYNC221  nothing runs beside it
    broker = start_mosquitto(config=["allow_anonymous false", f"password_file {passwords}"])
    for version in ("5", "3.1.1"):
        with pytest.raises(NotConnected, match="refused: not authorized"):
            await Link.open(endpoint(broker.port, protocol=version, user="gw", password="wrong"), "one")
    await (await Link.open(endpoint(broker.port, user="gw", password="right"), "one")).close()


def certificates(folder):
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test ca")
    (folder / "san").write_text("subjectAltName=IP:127.0.0.1")
    for name in ("server", "client"):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", f"{name}.pem", "-days", "2", "-extfile", "san"]
        openssl("x509", "-req", "-in", f"{name}.csr", *signed)


async def test_tls_checks_the_brokers_certificate_and_shows_its_own(start_mosquitto, tmp_path):
    certificates(tmp_path)
    files = [f"cafile {tmp_path}/ca.pem", f"certfile {tmp_path}/server.pem", f"keyfile {tmp_path}/server.key"]
    broker = start_mosquitto(config=[*files, "require_certificate true"])
    own = Tls(ca=f"{tmp_path}/ca.pem", cert=f"{tmp_path}/client.pem", key=f"{tmp_path}/client.key")

    def at(tls):
        return Endpoint("127.0.0.1", broker.port, encrypted=True, tls=tls)

    link = await Link.open(at(own), "one")
    assert isinstance(link._wire.paho._sock, ssl.SSLSocket)
    await link.subscribe(["a"], 1)
    await link.publish([Outgoing("a", b"x" * 100_000)] * 10)
    assert len(await take(link, 10)) == 10
    await link.close()
    with pytest.raises(NotConnected, match="CERTIFICATE_VERIFY_FAILED"):
        await Link.open(at(Tls()), "one")
    with pytest.raises(NotConnected, match="TLS files"):
        await Link.open(at(Tls(ca="/nowhere.pem")), "one")


def test_under_uvloop_a_broker_that_dies_leaves_no_trace_but_not_connected(mosquitto):
    """Readers and writers are gone before their descriptor is: the loop's exception handler hears nothing."""
    heard = []

    async def scene():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
        link = await Link.open(endpoint(mosquitto.port), "one")
        await link.subscribe(["a"], 1)
        await link.publish([Outgoing("a", b"1")] * 100)
        assert len(await take(link, 100)) == 100
        mosquitto.freeze()
        sending = asyncio.create_task(
            link.send(packets.publish_qos0(packets.topic_head("a", link.version), b"x" * 8_000_000, retain=False))
        )
        await asyncio.sleep(0)
        mosquitto.kill()
        with pytest.raises(NotConnected):
            await asyncio.wait_for(sending, 5)
        await link.close()
        with pytest.raises(NotConnected):
            await Link.open(endpoint(mosquitto.port), "one")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scene())
    assert heard == []


async def test_paho_still_calls_the_hooks(mosquitto):
    """The link stands on these names of paho 2; another version that renames them fails here first."""
    link = await Link.open(endpoint(mosquitto.port), "one")
    for name in (
        "_packet_queue",
        "_packet_handle",
        "_out_packet",
        "_sock",
        "_mid_generate",
        "_last_bytes_received",
        "_sock_close",
        "_ping_t",
    ):
        assert hasattr(link._wire.paho, name), name
    for name in ("_connected", "_pending_subscribes", "_on_connect"):
        assert hasattr(link._client, name), name
    await link.close()
