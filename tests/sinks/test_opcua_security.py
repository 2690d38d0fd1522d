"""Who gets through the doors of the OPC UA server: policies, certificates, sessions and users, with asyncua's client as the other side."""

import asyncio
import struct

import pytest
from asyncua import Client, ua
from asyncua.crypto import uacrypto
from asyncua.crypto.security_policies import (
    SecurityPolicyAes128Sha256RsaOaep,
    SecurityPolicyAes256Sha256RsaPss,
    SecurityPolicyBasic128Rsa15,
    SecurityPolicyBasic256Sha256,
)
from asyncua.crypto.uacrypto import CertProperties
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from gateway.access.people import People
from gateway.model.tag import Tag
from gateway.wire.opcua import limits
from support.certificates import URI, make, revocation
from support.opcua_face import opcua_face
from support.waiting import eventually

NS = 2
TAGS = [Tag(0, "a.x", sampling_interval_ns=10_000_000)]
PASSWORD = "violet anchor 7 moons"
POLICIES = {
    "Basic256Sha256": SecurityPolicyBasic256Sha256,
    "Aes128_Sha256_RsaOaep": SecurityPolicyAes128Sha256RsaOaep,
    "Aes256_Sha256_RsaPss": SecurityPolicyAes256Sha256RsaPss,
}
MODES = {"Sign": ua.MessageSecurityMode.Sign, "SignAndEncrypt": ua.MessageSecurityMode.SignAndEncrypt}
codes = ua.StatusCodes


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="session")
def ours(certificates):
    """The certificate of a client that is trusted."""
    return make(certificates)


@pytest.fixture(scope="session")
def person(certificates):
    return make(certificates, "person", uri=None)


@pytest.fixture
async def people(person):
    made = People()
    await made.users.add("ola", "operator", PASSWORD)
    await made.users.add("vera", "viewer", certificate=person.sha256)
    return made


@pytest.fixture
async def face(tmp_path, ours, people):
    ours.put(tmp_path / "pki" / "trusted")
    async with opcua_face(TAGS, access=people, folder=tmp_path, insecure=False, anonymous="none") as running:
        await running.step({"a.x": 1.0})
        yield running


async def secured(face, made, policy="Basic256Sha256", mode="SignAndEncrypt", user="ola", password=PASSWORD, uri=URI):
    """A client that has not connected yet."""
    client = Client(face.sink.url, timeout=5)
    client.application_uri = uri
    shown = CertProperties(made.der, "der")
    await client.set_security(
        POLICIES.get(policy, policy),
        shown,
        str(made.key_file),
        server_certificate=CertProperties(own_certificate(face), "der"),
        mode=MODES[mode],
    )
    if user is not None:
        client.set_user(user)
        client.set_password(password)
    return client


def own_certificate(face):
    return face.sink._server.interior.admission.own.server.certificate


def gone(client):
    protocol = client.uaclient.protocol
    return protocol is None or protocol.transport is None or protocol.transport.is_closing()


async def refusal(client):
    """The code that a client is turned away with: of a service, or of the ERR message that ends the connection."""
    said = []
    protocol = client.uaclient

    async def connect():
        await client.connect_socket()
        receive = client.uaclient.protocol._process_received_message

        def listening(message):
            if isinstance(message, ua.ErrorMessage):
                said.append(message.Error.value)
            return receive(message)

        client.uaclient.protocol._process_received_message = listening
        await client.send_hello()
        await client.open_secure_channel()
        await client.create_session()
        await client.activate_session(username=client._username, password=client._password, certificate=client.user_certificate)

    try:
        await asyncio.wait_for(connect(), 5)
    except UaStatusCodeError as fault:
        said.append(fault.code)
    except (UaError, ConnectionError, TimeoutError, asyncio.CancelledError):
        pass
    else:
        raise AssertionError("it was let in")
    finally:
        protocol.disconnect_socket()
    return said[0] if said else None


# --- policies and endpoints ---


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("policy", POLICIES)
async def test_each_policy_and_mode_carries_reads_writes_and_notifications(face, ours, policy, mode):
    """Also answers of many chunks, and the keys of a renewed channel."""
    heard = []

    class Listener:
        def datachange_notification(self, node, value, data):
            heard.append(value)

    client = await secured(face, ours, policy, mode)
    async with client:
        node = client.get_node(ua.NodeId("a.x", NS))
        assert await node.read_value() == 1.0
        subscription = await client.create_subscription(50, Listener())
        await subscription.subscribe_data_change(node)
        await eventually(lambda: heard == [1.0])
        await client.open_secure_channel(renew=True)
        await face.step({"a.x": 2.0})
        await eventually(lambda: heard == [1.0, 2.0])
        many = await client.uaclient.session.read(
            ua.ReadParameters(NodesToRead=[ua.ReadValueId(node.nodeid, ua.AttributeIds.Value)] * 9_000)
        )
        assert len(many) == 9_000
        assert {value.Value.Value for value in many} == {2.0}


async def test_the_endpoints_are_ordered_by_security_and_no_password_goes_in_the_clear(face):
    client = Client(face.sink.url)
    endpoints = await client.connect_and_get_server_endpoints()
    offered = [(one.SecurityPolicyUri.partition("#")[2], one.SecurityMode.name) for one in endpoints]
    assert sorted(offered) == sorted((policy, mode) for policy in POLICIES for mode in MODES)
    assert [mode for _, mode in offered] == ["SignAndEncrypt"] * 3 + ["Sign"] * 3
    levels = [one.SecurityLevel for one in endpoints]
    assert levels == sorted(levels, reverse=True)
    for one in endpoints:
        assert one.ServerCertificate == own_certificate(face)
        assert one.Server.ApplicationUri in certificate_uris(one.ServerCertificate)
        kinds = {token.TokenType: token for token in one.UserIdentityTokens}
        assert set(kinds) == {ua.UserTokenType.UserName, ua.UserTokenType.Certificate}
        assert all(token.SecurityPolicyUri == one.SecurityPolicyUri for token in one.UserIdentityTokens)


def certificate_uris(der):
    from gateway.wire.opcua.trust import parse, uris

    return uris(parse(der)[0])


@pytest.mark.parametrize(
    ("asked", "got"),
    [
        ("opc.tcp://gateway.plant:14840", "opc.tcp://gateway.plant:14840/edgetwin"),
        ("opc.tcp://[::1]:4841/x", "opc.tcp://[::1]:4841/edgetwin"),
        ("", None),
        ("http://evil/", None),
        ("opc.tcp://<script>:1", None),
        ("opc.tcp://x:99999999", None),
    ],
)
async def test_endpoints_are_given_at_the_address_that_the_client_used(face, asked, got):
    """Part 4, 5.4.4: through a NAT or a container's port the client's own words count; without good ones, its socket's."""
    client = Client(face.sink.url)
    await client.connect_sessionless()
    params = ua.GetEndpointsParameters(EndpointUrl=asked)
    found = await client.uaclient.get_endpoints(params)
    assert {one.EndpointUrl for one in found} == {got or face.sink.url}
    servers = await client.uaclient.find_servers(ua.FindServersParameters(EndpointUrl=asked))
    assert [one.DiscoveryUrls for one in servers] == [[got or face.sink.url]]
    assert await client.uaclient.find_servers(ua.FindServersParameters(ServerUris=["urn:other"])) == []
    assert await client.uaclient.get_endpoints(ua.GetEndpointsParameters(ProfileUris=["http://opcfoundation.org/UA-Profile/x"])) == []
    await client.disconnect_sessionless()


async def test_without_security_there_are_endpoints_to_ask_for_and_nothing_else(face):
    """The channel that every client asks for the endpoints on carries no session."""
    client = Client(face.sink.url)
    assert await refusal(client) == codes.BadSecurityPolicyRejected


async def test_a_request_before_the_channel_is_open_ends_the_connection(face):
    client = Client(face.sink.url)
    await client.connect_socket()
    await client.send_hello()
    with pytest.raises((UaError, ConnectionError, asyncio.CancelledError, TimeoutError)):
        await asyncio.wait_for(client.uaclient.get_endpoints(ua.GetEndpointsParameters()), 3)
    client.uaclient.disconnect_socket()


async def test_old_policies_and_unknown_ones_are_refused(face, ours):
    client = await secured(face, ours, SecurityPolicyBasic128Rsa15)
    assert await refusal(client) == codes.BadSecurityPolicyRejected


async def test_only_what_the_configuration_names_is_offered(tmp_path, ours, people):
    ours.put(tmp_path / "pki" / "trusted")
    async with opcua_face(
        TAGS, access=people, folder=tmp_path, insecure=False, anonymous="none", security=["Basic256Sha256/SignAndEncrypt"]
    ) as face:
        client = Client(face.sink.url)
        (endpoint,) = await client.connect_and_get_server_endpoints()
        assert endpoint.SecurityMode == ua.MessageSecurityMode.SignAndEncrypt
        async with await secured(face, ours):
            pass
        assert await refusal(await secured(face, ours, mode="Sign")) == codes.BadSecurityModeRejected
        assert await refusal(await secured(face, ours, "Aes128_Sha256_RsaOaep")) == codes.BadSecurityPolicyRejected


# --- certificates of clients (Part 4, 6.1.3) ---


async def test_a_stranger_is_refused_kept_and_told_of_once_until_a_person_trusts_it(face, tmp_path, certificates):
    stranger = make(certificates, "stranger")
    for _ in range(3):
        assert await refusal(await secured(face, stranger)) == codes.BadSecurityChecksFailed
    assert face.report.counts["certificates_refused"] == 3
    ((command, outcome),) = face.records
    assert command.kind == "opcua.channel"
    assert command.args["thumbprint"] == stranger.sha1
    assert command.caller.origin == "opcua:127.0.0.1"
    assert outcome.status == codes.BadSecurityChecksFailed
    rejected = tmp_path / "pki" / "rejected" / f"{stranger.sha1}.der"
    assert rejected.read_bytes() == stranger.der
    rejected.rename(tmp_path / "pki" / "trusted" / rejected.name)
    async with await secured(face, stranger) as client:
        assert await client.get_node(ua.NodeId("a.x", NS)).read_value() == 1.0
    (tmp_path / "pki" / "trusted" / rejected.name).unlink()
    assert await refusal(await secured(face, stranger)) == codes.BadSecurityChecksFailed


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"days": (-10, -1)}, codes.BadCertificateTimeInvalid),
        ({"days": (1, 10)}, codes.BadCertificateTimeInvalid),
        ({"bits": 1024}, codes.BadCertificatePolicyCheckFailed),
        ({"usage": {"digital_signature": False}}, codes.BadCertificateUseNotAllowed),
        ({"usage": {"key_encipherment": False, "data_encipherment": False}}, codes.BadCertificateUseNotAllowed),
        ({"purposes": (ua_server_auth := uacrypto.x509.oid.ExtendedKeyUsageOID.SERVER_AUTH,)}, codes.BadCertificateUseNotAllowed),
        ({"uri": "urn:other"}, codes.BadCertificateUriInvalid),
        ({"uri": None}, codes.BadCertificateUriInvalid),
    ],
)
async def test_a_trusted_certificate_that_is_not_fit_is_refused_with_its_reason(face, tmp_path, certificates, more, code):
    """And the same one, while a person does not trust it, gets no reason."""
    unfit = make(certificates, f"unfit{more.get('bits', '')}", **more)
    if code != codes.BadCertificateUriInvalid:
        assert await refusal(await secured(face, unfit)) == codes.BadSecurityChecksFailed
    unfit.put(tmp_path / "pki" / "trusted")
    assert await refusal(await secured(face, unfit)) == code


async def test_an_authority_vouches_until_it_revokes(face, tmp_path, certificates):
    """In trusted/ it vouches for what it signed; in issuers/ for nothing, and its revocation list holds in both."""
    authority = make(certificates, "authority", uri=None, ca=True)
    leaf = make(certificates, "leaf", issuer=authority)
    other = make(certificates, "other", issuer=authority)
    pki = tmp_path / "pki"
    path = authority.put(pki / "issuers")
    assert await refusal(await secured(face, leaf)) == codes.BadSecurityChecksFailed
    path.rename(pki / "trusted" / "authority.der")
    async with await secured(face, leaf):
        pass
    (pki / "trusted" / "authority.crl").write_bytes(revocation(authority, leaf))
    assert await refusal(await secured(face, leaf)) == codes.BadCertificateRevoked
    async with await secured(face, other):
        pass


async def test_a_certificate_without_its_key_opens_nothing(face, ours, certificates):
    """Somebody else's trusted certificate is public; the signature of OpenSecureChannel needs the key."""
    thief = make(certificates, "thief")
    client = await secured(face, ours)
    client.security_policy.asymmetric_cryptography.Signer.host_privkey = thief.key
    assert await refusal(client) == codes.BadSecurityChecksFailed
    assert not face.sink._server.interior._external_sessions


async def test_rejected_certificates_do_not_fill_the_disk(face, tmp_path, certificates):
    from gateway.wire.opcua import certificates as files

    for n in range(3):
        files.reject_unknown(tmp_path / "pki", make(certificates, f"flood{n}").der)
    assert len(list((tmp_path / "pki" / "rejected").iterdir())) == 3
    files.reject_unknown(tmp_path / "pki", b"no certificate")
    for _ in range(2):
        files.reject_unknown(tmp_path / "pki", make(certificates, "flood0").der)
    assert len(list((tmp_path / "pki" / "rejected").iterdir())) <= 5 <= files.REJECTED


# --- sessions (Part 4, 5.6) ---


async def opened(client):
    """Socket and channel, without a session."""
    await client.connect_socket()
    await client.send_hello()
    await client.open_secure_channel()
    return client.uaclient


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
        monkeypatch.setattr(limits, "ACTIVATION_S", 0.0)
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


# --- the own certificate ---


async def test_a_renewed_certificate_is_shown_to_the_next_client_and_the_others_stay(face, tmp_path, ours):
    from gateway.wire.opcua import certificates as files

    async with await secured(face, ours) as before:
        old = own_certificate(face)
        files.renew(tmp_path / "pki", "line1", face.sink.now_ns() / 1e9)
        endpoints = await Client(face.sink.url).connect_and_get_server_endpoints()
        assert {one.ServerCertificate for one in endpoints} == {own_certificate(face)}
        assert own_certificate(face) != old
        assert await before.get_node(ua.NodeId("a.x", NS)).read_value() == 1.0
        await before.activate_session(username="ola", password=PASSWORD)
        async with await secured(face, ours) as after:
            assert await after.get_node(ua.NodeId("a.x", NS)).read_value() == 1.0


async def test_a_damaged_own_certificate_is_said(tmp_path):
    from gateway.contracts import NotConnected

    own = tmp_path / "pki" / "own"
    own.mkdir(parents=True)
    (own / "cert.der").write_bytes(b"damaged")
    (own / "key.pem").write_bytes(b"damaged")
    with pytest.raises(NotConnected, match="own certificate"):
        async with opcua_face(TAGS, folder=tmp_path, insecure=False, anonymous="none"):
            pass
