"""Sessions of the OPC UA server and who signs in to them, with asyncua's client as the other side, in order and out of it."""

import asyncio
import struct

import pytest
from asyncua import Client, ua
from asyncua.crypto import uacrypto
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from gateway.wire.opcua import limits
from support.certificates import URI, make
from support.opcua_doors import NS, PASSWORD, POLICIES, TAGS, gone, opened, refusal, secured
from support.opcua_face import opcua_face
from support.waiting import eventually

codes = ua.StatusCodes


@pytest.fixture
def face(secure_face):
    return secure_face


# --- sessions (Part 4, 5.6) ---


@pytest.mark.parametrize("shown", ["nothing", "another", "garbage"])
async def test_a_session_is_made_for_the_certificate_of_its_channel_alone(face, tmp_path, ours, certificates, shown):
    other = make(certificates, "another trusted one")
    other.put(tmp_path / "pki" / "trusted")
    client = await secured(face, ours)
    link = await opened(client)
    content = {"nothing": None, "another": other.der, "garbage": b"\x30\x03abc"}[shown]
    params = ua.CreateSessionParameters(ClientCertificate=content, ClientNonce=b"n" * 32)
    params.ClientDescription.ApplicationUri = URI
    with pytest.raises(UaStatusCodeError) as refused:
        await link.create_session(params)
    assert refused.value.code == codes.BadSecurityChecksFailed
    assert not face.sink._server.interior._external_sessions
    link.disconnect_socket()


async def test_a_client_s_nonce_has_its_length(face, ours):
    client = await secured(face, ours)
    link = await opened(client)
    params = ua.CreateSessionParameters(ClientCertificate=ours.der, ClientNonce=b"short")
    params.ClientDescription.ApplicationUri = URI
    with pytest.raises(UaStatusCodeError) as refused:
        await link.create_session(params)
    assert refused.value.code == codes.BadNonceInvalid
    link.disconnect_socket()


async def test_a_wrong_signature_activates_nothing(face, ours):
    """ClientSignature over certificate and last nonce: of an older nonce it is worthless."""
    client = await secured(face, ours)
    await opened(client)
    await client.create_session()
    client._server_nonce = b"\x00" * 32
    with pytest.raises(UaStatusCodeError) as refused:
        await client.activate_session(username="ola", password=PASSWORD)
    assert refused.value.code == codes.BadApplicationSignatureInvalid
    client.uaclient.disconnect_socket()


async def test_a_stolen_token_is_worth_nothing_on_another_channel(face, tmp_path, ours, certificates):
    """A session moves only with the certificate, the policy and the user that it was made with; its owner does not notice the attempts."""
    thief = make(certificates, "thief")
    thief.put(tmp_path / "pki" / "trusted")
    async with await secured(face, ours) as owner:
        session = next(iter(face.sink._server.interior._external_sessions.values()))
        attempts = [
            (thief, "Basic256Sha256", "SignAndEncrypt"),
            (ours, "Basic256Sha256", "Sign"),
            (ours, "Aes128_Sha256_RsaOaep", "SignAndEncrypt"),
        ]
        for made, policy, mode in attempts:
            other = await secured(face, made, policy, mode)
            await opened(other)
            other.uaclient.session.authentication_token = session.auth_token
            other.uaclient.protocol.authentication_token = session.auth_token
            other._server_nonce, other._policy_ids = session.nonce, owner._policy_ids
            for name, password in (("ola", PASSWORD), (None, None)):
                with pytest.raises(UaError) as refused:
                    await other.activate_session(username=name, password=password)
                assert getattr(refused.value, "code", codes.BadSecurityChecksFailed) == codes.BadSecurityChecksFailed
            with pytest.raises(UaStatusCodeError) as refused:
                await other.get_node(ua.NodeId("a.x", NS)).read_value()
            assert refused.value.code == codes.BadSessionIdInvalid
            other.uaclient.disconnect_socket()
        assert await owner.get_node(ua.NodeId("a.x", NS)).read_value() == 1.0
        assert session.caller.user == "ola"


async def test_a_session_moves_with_its_client_and_leaves_the_old_connection_behind(face, people, ours):
    """Part 4, 5.6.3.1: the old connection has no say any more; another user cannot take the session along."""
    await people.users.add("otto", "operator", PASSWORD + "!")
    first = await secured(face, ours)
    async with first:
        session = next(iter(face.sink._server.interior._external_sessions.values()))
        for name, password, allowed in (("otto", PASSWORD + "!", False), ("ola", PASSWORD, True)):
            second = await secured(face, ours)
            await opened(second)
            second.uaclient.session.authentication_token = session.auth_token
            second.uaclient.protocol.authentication_token = session.auth_token
            second._server_nonce, second._policy_ids = session.nonce, first._policy_ids
            if not allowed:
                with pytest.raises(UaStatusCodeError) as refused:
                    await second.activate_session(username=name, password=password)
                assert refused.value.code == codes.BadIdentityChangeNotSupported
                second.uaclient.disconnect_socket()
                continue
            await second.activate_session(username=name, password=password)
            assert await second.get_node(ua.NodeId("a.x", NS)).read_value() == 1.0
            await eventually(lambda: gone(first))
            assert session.carrier is not None
            second.uaclient.disconnect_socket()
    await eventually(lambda: not face.sink._server.interior._external_sessions)


async def test_a_client_that_is_trusted_no_more_loses_its_session_at_once(face, tmp_path, ours):
    """Without a new client to make the server look: the sweep does."""
    async with await secured(face, ours) as client:
        (tmp_path / "pki" / "trusted" / "client.der").unlink()
        await face.sink._server.interior.refresh()
        assert not face.sink._server.interior._external_sessions
        await eventually(lambda: gone(client))
        assert face.records[-1][0].args["thumbprint"] == ours.sha1


async def test_a_channel_is_not_renewed_with_a_certificate_that_ended_meanwhile(face, tmp_path, ours):
    client = await secured(face, ours)
    await opened(client)
    (tmp_path / "pki" / "trusted" / "client.der").unlink()
    with pytest.raises((UaError, ConnectionError, asyncio.CancelledError, TimeoutError)):
        await asyncio.wait_for(client.open_secure_channel(renew=True), 3)
    await eventually(lambda: gone(client))


async def test_on_one_channel_another_user_may_sign_in_and_a_wrong_one_changes_nothing(face, people, ours):
    await people.users.add("otto", "viewer", PASSWORD + "!")
    async with await secured(face, ours) as client:
        session = next(iter(face.sink._server.interior._external_sessions.values()))
        with pytest.raises(UaStatusCodeError) as refused:
            await client.activate_session(username="otto", password="wrong")
        assert refused.value.code == codes.BadUserAccessDenied
        assert session.caller.user == "ola"
        await client.activate_session(username="otto", password=PASSWORD + "!")
        assert (session.caller.user, session.caller.role) == ("otto", "viewer")


async def test_connections_on_which_nobody_signs_in_are_closed_and_give_way(face, ours, monkeypatch):
    """Part 4, 5.5.2: the oldest channel without a session goes first where there is no room; all of them after a while."""
    monkeypatch.setattr(face.sink._server.interior, "max_connections", 3)
    async with await secured(face, ours):
        idle = [await asyncio.open_connection("127.0.0.1", int(face.sink.url.split(":")[2].split("/")[0])) for _ in range(4)]
        assert await asyncio.wait_for(idle[0][0].read(), 5) == b""
        assert await asyncio.wait_for(idle[1][0].read(), 5) == b""
        listener = face.sink._server._listener
        assert len(listener.clients) == 3
        monkeypatch.setattr(limits, "CHANNEL_S", 0.0)
        listener.sweep()
        assert await asyncio.wait_for(idle[3][0].read(), 5) == b""
        await eventually(lambda: len(listener.clients) == 1)
        for _, writer in idle:
            writer.close()


async def test_a_channel_that_is_not_renewed_ends(face, ours, monkeypatch):
    async with await secured(face, ours) as client:
        listener = face.sink._server._listener
        (connection,) = listener.clients
        channel = connection.processor.channel
        channel._good_until = dict.fromkeys(channel._good_until, 0.0)
        with pytest.raises((UaError, ConnectionError, asyncio.CancelledError, TimeoutError)):
            await asyncio.wait_for(client.get_node(ua.NodeId("a.x", NS)).read_value(), 3)
        await eventually(lambda: not listener.clients)


# --- who signs in (Part 4, 7.41) ---


@pytest.mark.parametrize("policy", POLICIES)
async def test_a_user_signs_in_with_a_certificate(face, ours, person, policy):
    client = await secured(face, ours, policy, "Sign", user=None)
    await client.load_client_certificate(str(person.certificate_file))
    await client.load_private_key(str(person.key_file))
    async with client:
        session = next(iter(face.sink._server.interior._external_sessions.values()))
        assert (session.caller.user, session.caller.role) == ("vera", "viewer")


@pytest.mark.parametrize(
    ("who", "code"),
    [("stranger", codes.BadIdentityTokenRejected), ("thief", codes.BadUserSignatureInvalid), ("expired", codes.BadIdentityTokenRejected)],
)
async def test_a_user_s_certificate_must_be_known_good_and_held(face, people, ours, person, certificates, who, code):
    client = await secured(face, ours, user=None)
    expired = make(certificates, "expired person", uri=None, days=(-9, -1))
    await people.users.add("eve", "viewer", certificate=expired.sha256)
    shown = {"stranger": make(certificates, "nobody", uri=None), "thief": person, "expired": expired}[who]
    await client.load_client_certificate(str(shown.certificate_file))
    holder = make(certificates, "thief") if who == "thief" else shown
    await client.load_private_key(str(holder.key_file))
    assert await refusal(client) == code


@pytest.mark.parametrize(("user", "password"), [("ola", "wrong"), ("nobody", PASSWORD), ("ola", ""), ("vera", PASSWORD), ("", "x")])
async def test_whatever_is_wrong_with_name_or_password_gets_one_answer(face, ours, user, password):
    client = await secured(face, ours, user=user or "x", password=password)
    if not password or not user:
        await opened(client)
        await client.create_session()
        with pytest.raises(UaStatusCodeError) as refused:
            await activate_raw(client, user=user, secret=password)
        assert refused.value.code == (codes.BadUserAccessDenied if user else codes.BadIdentityTokenInvalid)
        client.uaclient.disconnect_socket()
        return
    assert await refusal(client) == codes.BadUserAccessDenied
    assert face.report.counts["sign_ins_failed"] == 1


async def activate_raw(client, *, user="ola", secret=PASSWORD, nonce=None, algorithm=None, encrypt=None, policy_id=None, plain=False):
    """ActivateSession with a name token as wanted; its ClientSignature is right."""
    policy = client.security_policy
    token = ua.UserNameIdentityToken(UserName=user, PolicyId=policy_id or client.server_policy(ua.UserTokenType.UserName).PolicyId)
    content = secret.encode() + (client._server_nonce if nonce is None else nonce)
    public = uacrypto.x509_from_der(policy.peer_certificate).public_key()
    token.Password = secret.encode() if plain else (encrypt or uacrypto.encrypt_rsa_oaep)(public, struct.pack("<I", len(content)) + content)
    token.EncryptionAlgorithm = None if plain else algorithm or policy.AsymmetricEncryptionURI
    params = ua.ActivateSessionParameters(UserIdentityToken=token)
    params.ClientSignature.Algorithm = policy.AsymmetricSignatureURI
    params.ClientSignature.Signature = policy.asymmetric_cryptography.signature(policy.peer_certificate + client._server_nonce)
    return await client.uaclient.activate_session(params)


@pytest.mark.parametrize(
    "more",
    [
        {"nonce": b"\x00" * 32},
        {"nonce": b""},
        {"plain": True},
        {"algorithm": "http://www.w3.org/2001/04/xmlenc#rsa-1_5", "encrypt": uacrypto.encrypt_rsa15},
        {"encrypt": uacrypto.encrypt_rsa15},
        {"encrypt": lambda *_: b"\x01" * 256},
        {"encrypt": lambda *_: b"\x01" * 255},
        {"encrypt": lambda *_: b""},
        {"encrypt": lambda key, _: uacrypto.encrypt_rsa_oaep(key, b"\xff\xff\xff\xff")},
        {"encrypt": lambda key, _: uacrypto.encrypt_rsa_oaep(key, b"")},
        {"policy_id": "anonymous"},
        {"policy_id": "certificate_Basic256Sha256"},
        {"user": "x" * 300},
    ],
    ids="-".join,
)
async def test_a_password_comes_encrypted_with_the_nonce_of_this_session(face, ours, more):
    """An old nonce, a plain text, rsa-1_5, garbage: all the same answer, and the good one still opens."""
    client = await secured(face, ours)
    await opened(client)
    await client.create_session()
    with pytest.raises(UaStatusCodeError) as refused:
        await activate_raw(client, **more)
    assert refused.value.code == codes.BadIdentityTokenInvalid
    await activate_raw(client)
    assert await client.get_node(ua.NodeId("a.x", NS)).read_value() == 1.0
    client.uaclient.disconnect_socket()


async def test_a_token_that_is_none_is_in_the_audit_like_a_wrong_password(face, people, ours):
    """Whoever tries what the server's key decrypts leaves a trace (Part 4, 6.5.3)."""
    records = []

    async def record(sign_in):
        records.append((sign_in.user, sign_in.origin, sign_in.by, sign_in.why))

    people._record = record
    client = await secured(face, ours)
    await opened(client)
    await client.create_session()
    with pytest.raises(UaStatusCodeError):
        await activate_raw(client, nonce=b"\x00" * 32)
    client.uaclient.disconnect_socket()
    assert records == [("", "opcua:127.0.0.1", "identity token", "BadIdentityTokenInvalid")]
    assert face.report.counts["sign_ins_failed"] == 1


async def test_who_does_not_sign_in_is_refused_where_the_configuration_says_nothing(face, ours):
    client = await secured(face, ours, user=None)
    await opened(client)
    await client.create_session()
    for token in (ua.AnonymousIdentityToken(), ua.ExtensionObject(), ua.IssuedIdentityToken()):
        params = ua.ActivateSessionParameters(UserIdentityToken=token)
        policy = client.security_policy
        params.ClientSignature.Algorithm = policy.AsymmetricSignatureURI
        params.ClientSignature.Signature = policy.asymmetric_cryptography.signature(policy.peer_certificate + client._server_nonce)
        with pytest.raises(UaStatusCodeError) as refused:
            await client.uaclient.activate_session(params)
        assert refused.value.code == codes.BadIdentityTokenRejected
    client.uaclient.disconnect_socket()


async def test_a_session_that_fails_to_sign_in_again_and_again_ends(face, ours):
    client = await secured(face, ours)
    await opened(client)
    await client.create_session()
    for _ in range(limits.SIGN_IN_FAILURES):
        with pytest.raises(UaStatusCodeError):
            await activate_raw(client, nonce=b"\x00" * 32)
    with pytest.raises(UaStatusCodeError) as refused:
        await activate_raw(client)
    assert refused.value.code == codes.BadSessionIdInvalid
    client.uaclient.disconnect_socket()


async def test_only_so_many_wait_for_their_password_at_once(face, ours, monkeypatch):
    monkeypatch.setattr(limits, "SIGN_INS", 0)
    assert await refusal(await secured(face, ours)) == codes.BadTooManyOperations
    assert face.report.counts["sign_ins_refused"] == 1


async def test_a_user_who_is_revoked_is_signed_out_at_once(face, people, ours):
    async with await secured(face, ours) as client:
        await people.users.add("admin", "admin", PASSWORD + "?")
        await people.users.disable("ola")
        await eventually(lambda: not face.sink._server.interior._external_sessions)
        await eventually(lambda: gone(client))


async def test_where_nobody_can_sign_in_health_says_so(tmp_path):
    async with opcua_face(TAGS, folder=tmp_path, insecure=False, anonymous="none") as face:
        await eventually(lambda: "nobody can sign in" in (face.report.problems.get("sign-in") or ""))


async def test_a_password_is_encrypted_without_a_secure_channel_too(tmp_path, people):
    """On loopback with insecure: true; and who does not sign in gets the configured role."""
    async with opcua_face(TAGS, folder=tmp_path, access=people, anonymous="viewer") as face:
        client = Client(face.sink.url)
        client.set_user("ola")
        client.set_password(PASSWORD)
        async with client, Client(face.sink.url):
            callers = {(session.caller.user, session.caller.role) for session in face.sink._server.interior.sessions()}
            assert callers == {("ola", "operator"), ("anonymous", "viewer")}


# --- what is heard on the wire cannot be used again ---


@pytest.mark.parametrize("change", ["again", "signature", "token"])
async def test_a_message_that_is_sent_again_or_changed_ends_the_connection(face, ours, change):
    """Part 6, 6.7.2: sequence number, signature and token of each chunk; the other clients do not notice."""
    async with await secured(face, ours) as good:
        client = await secured(face, ours)
        await client.connect()
        protocol = client.uaclient.protocol
        sent, write = [], protocol.transport.write
        protocol.transport.write = lambda data: (sent.append(bytes(data)), write(data))
        await client.get_node(ua.NodeId("a.x", NS)).read_value()
        message = bytearray(sent[-1])
        if change == "signature":
            message[-1] ^= 1
        if change == "token":
            message[12:16] = struct.pack("<I", 4711)
        write(bytes(message))
        await eventually(lambda: gone(client))
        assert await good.get_node(ua.NodeId("a.x", NS)).read_value() == 1.0
        client.uaclient.disconnect_socket()


async def test_without_security_a_signed_in_session_is_not_taken_over_by_its_token_alone(tmp_path, people):
    """On loopback the token can be heard; the password cannot, and it is asked for again."""
    async with opcua_face(TAGS, folder=tmp_path, access=people, anonymous="viewer") as face:
        owner = Client(face.sink.url)
        owner.set_user("ola")
        owner.set_password(PASSWORD)
        async with owner:
            (session,) = face.sink._server.interior.sessions()
            thief = Client(face.sink.url)
            await thief.connect_sessionless()
            thief.uaclient.session.authentication_token = session.auth_token
            thief.uaclient.protocol.authentication_token = session.auth_token
            for token, code in (
                (ua.AnonymousIdentityToken(PolicyId="anonymous"), codes.BadIdentityChangeNotSupported),
                (ua.UserNameIdentityToken("username_Basic256Sha256", "ola", PASSWORD.encode(), None), codes.BadIdentityTokenInvalid),
            ):
                with pytest.raises(UaStatusCodeError) as refused:
                    await thief.uaclient.activate_session(ua.ActivateSessionParameters(UserIdentityToken=token))
                assert refused.value.code == code
            thief.disconnect_socket()
            assert session.caller.user == "ola"
            assert session.connected
