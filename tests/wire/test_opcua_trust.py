"""Trust lists and chunks without a socket: whatever a peer shows or sends is refused by rule, at once, and never by accident."""

import struct
import time

import pytest
from asyncua import ua
from asyncua.common.connection import MessageChunk, TransportLimits
from asyncua.common.utils import Buffer
from asyncua.crypto.security_policies import SecurityPolicyAes128Sha256RsaOaep, SecurityPolicyBasic256Sha256
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.wire.opcua import endpoints, limits, policies, trust
from gateway.wire.opcua.channel import Channel
from gateway.wire.opcua.trust import Trust, TrustList, Untrusted
from support.certificates import make

CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
codes = ua.StatusCodes


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("made")


@pytest.fixture(scope="module")
def client(folder):
    return make(folder)


def lists(pki, **places):
    for place, made in places.items():
        for one in made:
            one.put(pki / place)
    return TrustList.read(pki)


# --- chains (Part 4, 6.1.3) ---


def test_a_chain_is_followed_through_what_the_peer_sends_up_to_a_trusted_authority(tmp_path, folder):
    root = make(folder, "root", uri=None, ca=True)
    middle = make(folder, "middle", uri=None, ca=True, issuer=root)
    leaf = make(folder, "leaf", issuer=middle)
    known = lists(tmp_path, trusted=[root])
    assert known.check(leaf.der + middle.der, time.time(), CLIENT) == leaf.certificate
    with pytest.raises(Untrusted) as refused:
        known.check(leaf.der, time.time(), CLIENT)
    assert not refused.value.known
    assert lists(tmp_path, issuers=[middle]).check(leaf.der, time.time(), CLIENT) == leaf.certificate


@pytest.mark.parametrize("length", [0, 1])
def test_an_authority_signs_for_as_many_authorities_below_it_as_it_says(tmp_path, folder, length):
    root = make(folder, "root", uri=None, ca=True, path_length=length)
    middle = make(folder, "middle", uri=None, ca=True, issuer=root)
    leaf = make(folder, "leaf", issuer=middle)
    known = lists(tmp_path, trusted=[root])
    if length:
        assert known.check(leaf.der + middle.der, time.time(), CLIENT) == leaf.certificate
        return
    with pytest.raises(Untrusted) as refused:
        known.check(leaf.der + middle.der, time.time(), CLIENT)
    assert refused.value.said == codes.BadCertificateIssuerUseNotAllowed


def test_an_authority_that_is_trusted_but_not_rooted_is_an_incomplete_chain(tmp_path, folder):
    root = make(folder, "root", uri=None, ca=True)
    middle = make(folder, "middle", uri=None, ca=True, issuer=root)
    leaf = make(folder, "leaf", issuer=middle)
    with pytest.raises(Untrusted) as refused:
        lists(tmp_path, trusted=[middle]).check(leaf.der, time.time(), CLIENT)
    assert refused.value.code == trust.CHAIN_INCOMPLETE
    assert lists(tmp_path, issuers=[root]).check(leaf.der, time.time(), CLIENT) == leaf.certificate


@pytest.mark.parametrize(
    ("more", "code"),
    [({"days": (-20, -10)}, trust.ISSUER_TIME_INVALID), ({"usage": {"key_cert_sign": False}}, trust.ISSUER_USE_NOT_ALLOWED)],
)
def test_an_authority_must_be_good_itself(tmp_path, folder, more, code):
    root = make(folder, "bad root", uri=None, ca=True, **more)
    leaf = make(folder, "leaf", issuer=root)
    with pytest.raises(Untrusted) as refused:
        lists(tmp_path, trusted=[root]).check(leaf.der, time.time(), CLIENT)
    assert refused.value.code == code


def test_a_chain_that_goes_round_or_never_ends_is_refused_within_a_moment(tmp_path, folder):
    """Two authorities that sign each other, and more of them than anybody needs."""
    first = make(folder, "first", uri=None, ca=True)
    second = make(folder, "second", uri=None, ca=True, issuer=first)
    crossed = make(folder, "first", uri=None, ca=True, issuer=second)
    leaf = make(folder, "leaf", issuer=second)
    shown = leaf.der + second.der + crossed.der
    links = [make(folder, "link0", uri=None, ca=True)]
    for n in range(1, 20):
        links.append(make(folder, f"link{n}", uri=None, ca=True, issuer=links[-1]))
    started = time.perf_counter()
    for chain in (shown, shown * 3, b"".join(one.der for one in reversed(links))):
        with pytest.raises(Untrusted) as refused:
            TrustList.read(tmp_path).check(chain, time.time(), CLIENT)
        assert refused.value.said == codes.BadSecurityChecksFailed
    assert time.perf_counter() - started < 1.0


def test_what_is_signed_by_a_namesake_of_an_authority_is_not_trusted(tmp_path, folder):
    root = make(folder, "root", uri=None, ca=True)
    impostor = make(folder, "root", bits=3072, uri=None, ca=True)
    leaf = make(folder, "leaf", issuer=impostor)
    with pytest.raises(Untrusted) as refused:
        lists(tmp_path, trusted=[root]).check(leaf.der + impostor.der, time.time(), CLIENT)
    assert refused.value.said == codes.BadSecurityChecksFailed


def test_old_digests_and_wrong_uses_are_named_once_trusted(tmp_path, folder):
    wrong = {
        "long": (make(folder, "long", bits=8192), trust.POLICY_CHECK_FAILED),
        "server only": (make(folder, "server only", purposes=(ExtendedKeyUsageOID.SERVER_AUTH,)), trust.USE_NOT_ALLOWED),
    }
    known = lists(tmp_path, trusted=[made for made, _ in wrong.values()])
    for made, code in wrong.values():
        with pytest.raises(Untrusted) as refused:
            known.check(made.der, time.time(), CLIENT)
        assert refused.value.code == refused.value.said == code
    strong = make(folder, "strong", digest=hashes.SHA512())
    assert lists(tmp_path, trusted=[strong]).check(strong.der, time.time(), CLIENT) == strong.certificate


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_bytes_in_place_of_a_certificate_are_refused(data):
    """Random ones, and a good certificate with some of its bytes changed."""
    good = _KEEP.der
    if data.draw(st.booleans()):
        shown = data.draw(st.binary(max_size=2000))
    else:
        at = data.draw(st.integers(0, len(good) - 1))
        shown = good[:at] + data.draw(st.binary(min_size=1, max_size=8)) + good[at + data.draw(st.integers(0, 8)) :]
    if shown.startswith(good):
        return
    with pytest.raises(Untrusted):
        TrustList().check(shown, time.time(), CLIENT)


async def test_a_list_is_read_again_only_where_a_file_has_changed(tmp_path, client):
    known = Trust(tmp_path)
    assert await known.refresh()
    assert not await known.refresh()
    path = client.put(tmp_path / "trusted")
    assert await known.refresh()
    assert known.lists.trusted == (client.certificate,)
    (tmp_path / "trusted" / "note.txt").write_text("of no interest")
    (tmp_path / "trusted" / "damaged.der").write_text("damaged")
    assert await known.refresh()
    assert known.lists.trusted == (client.certificate,)
    path.unlink()
    assert await known.refresh()
    assert not known.lists.trusted


def test_what_a_stranger_calls_itself_moves_no_cursor(folder):
    made = make(folder, "evil\n\x1b[2J\u202e" + "x" * 30)
    assert trust.subject(made.certificate) == "CN=evil??[2J?" + "x" * 30
    with pytest.raises(Untrusted) as refused:
        trust.check_uri(made.certificate, "urn:\x07" + "y" * 1000)
    assert refused.value.why.isprintable()


# --- chunks (Part 6, 6.7.2) ---


class Doors:
    """An Admission for channels that are made by hand."""

    policies = ()
    own = None


def channel(cls, made, mode, *, chunk=8192):
    """A channel with keys, and the library's policy of the other side."""
    policy = cls(made.der, made.certificate, made.key, mode)
    peer = cls.__mro__[2](made.der, made.certificate, made.key, mode)
    for one, mine, theirs in ((policy, b"a" * 32, b"b" * 32), (peer, b"b" * 32, b"a" * 32)):
        one.make_local_symmetric_key(mine, theirs)
        one.make_remote_symmetric_key(theirs, mine, 3_600_000)
    ours = Channel(Doors, TransportLimits(chunk, chunk, 0, 0))
    ours.security_policy = policy
    ours.security_token.ChannelId, ours.security_token.TokenId = 7, 13
    return ours, peer


@settings(max_examples=60, deadline=None)
@given(
    body=st.integers(1, 40_000).map(lambda size: bytes(range(256)) * (size // 256) + bytes(size % 256)),
    cls=st.sampled_from([policies.Basic256Sha256, policies.Aes128Sha256RsaOaep, policies.Aes256Sha256RsaPss]),
    mode=st.sampled_from([ua.MessageSecurityMode.Sign, ua.MessageSecurityMode.SignAndEncrypt]),
    chunk=st.integers(8192, 65535),
)
def test_what_we_seal_the_library_opens_chunk_by_chunk(body, cls, mode, chunk):
    """Any length, so any padding; each chunk within the buffer, numbered one by one, the last one marked."""
    ours, peer = channel(cls, _KEEP, mode, chunk=chunk)
    sent = Buffer(ours.message_to_binary(body, request_id=5))
    parts, kinds, numbers = [], [], []
    while len(sent):
        before = len(sent)
        opened = MessageChunk.from_binary(peer, sent)
        assert before - len(sent) <= chunk
        assert (opened.MessageHeader.ChannelId, opened.SecurityHeader.TokenId, opened.SequenceHeader.RequestId) == (7, 13, 5)
        parts.append(opened.Body)
        kinds.append(opened.MessageHeader.ChunkType)
        numbers.append(opened.SequenceHeader.SequenceNumber)
    assert b"".join(parts) == body
    assert kinds == [ua.ChunkType.Intermediate] * (len(kinds) - 1) + [ua.ChunkType.Single]
    assert numbers == list(range(1, len(numbers) + 1))


@settings(max_examples=60, deadline=None)
@given(
    body=st.binary(min_size=1, max_size=3000),
    mode=st.sampled_from([ua.MessageSecurityMode.Sign, ua.MessageSecurityMode.SignAndEncrypt]),
    flip=st.integers(0, 10**6),
)
def test_what_the_library_seals_we_open_and_a_bit_flipped_on_the_way_we_refuse(body, mode, flip):
    ours, peer = channel(policies.Basic256Sha256, _KEEP, mode)
    chunk = MessageChunk(peer.symmetric_cryptography, body)
    chunk.SecurityHeader.TokenId, chunk.MessageHeader.ChannelId, chunk.SequenceHeader.SequenceNumber = 13, 7, 1
    chunk.SequenceHeader.RequestId = 3
    sent = chunk.to_binary()
    assert MessageChunk.from_binary(ours.security_policy, Buffer(sent)).Body == body
    at = 8 + flip % (len(sent) - 8)
    damaged = sent[:at] + bytes((sent[at] ^ 1 << flip % 8,)) + sent[at + 1 :]
    with pytest.raises((policies.Forged, ValueError)):
        MessageChunk.from_binary(ours.security_policy, Buffer(damaged))


class _Keep:
    certificate = key = None
    der = b""


_KEEP = _Keep()


@pytest.fixture(autouse=True, scope="module")
def _keep(client):
    _KEEP.certificate, _KEEP.key, _KEEP.der = client.certificate, client.key, client.der


def test_the_symmetric_part_has_the_keys_of_the_standard(client):
    """Part 7: the library's own policies derive the same ones."""
    for cls, theirs in (
        (policies.Basic256Sha256, SecurityPolicyBasic256Sha256),
        (policies.Aes128Sha256RsaOaep, SecurityPolicyAes128Sha256RsaOaep),
    ):
        assert issubclass(cls, theirs)
        assert cls.URI == theirs.URI


def test_padding_that_reaches_beyond_the_message_is_forged():
    symmetric = policies.Symmetric(encrypts=True)
    for content in (b"", b"\xff", struct.pack("<II", 1, 1) + b"\x05"):
        with pytest.raises(policies.Forged):
            symmetric.remove_padding(content)
    assert symmetric.remove_padding(struct.pack("<II", 1, 1) + b"\x01\x01") == struct.pack("<II", 1, 1)


# --- tokens of a channel (Part 4, 5.5.2) ---


class Server:
    def get_new_channel_id(self):
        return 42


def ask(kind, nonce=b"", lifetime=60_000, mode=ua.MessageSecurityMode.None_):
    return ua.OpenSecureChannelParameters(RequestType=kind, ClientNonce=nonce, RequestedLifetime=lifetime, SecurityMode=mode)


def test_one_channel_for_each_connection_and_what_is_renewed_was_issued():
    issue, renew = ua.SecurityTokenRequestType.Issue, ua.SecurityTokenRequestType.Renew
    one = Channel(Doors, TransportLimits())
    for wrong in (ask(renew), ask(issue, mode=ua.MessageSecurityMode.Sign)):
        with pytest.raises(ua.UaStatusCodeError):
            one.open(wrong, Server())
    assert one.open(ask(issue, lifetime=2**32 - 1), Server()).SecurityToken.RevisedLifetime == limits.CHANNEL_LIFETIME_MS[1]
    with pytest.raises(ua.UaStatusCodeError) as refused:
        one.open(ask(issue), Server())
    assert refused.value.code == codes.BadRequestTypeInvalid
    renewed = one.open(ask(renew, lifetime=0), Server()).SecurityToken
    assert renewed.TokenId == 14
    assert not one.expired()


def test_a_token_lives_a_quarter_longer_than_agreed_and_the_old_one_until_the_new_one_is_used(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("gateway.wire.opcua.channel.time.monotonic", lambda: now[0])
    one = Channel(Doors, TransportLimits())
    one.open(ask(ua.SecurityTokenRequestType.Issue, lifetime=20_000), Server())
    header = ua.SymmetricAlgorithmHeader(TokenId=13)
    now[0] += 24.9
    one._check_sym_header(header)
    one.open(ask(ua.SecurityTokenRequestType.Renew, lifetime=20_000), Server())
    one._check_sym_header(ua.SymmetricAlgorithmHeader(TokenId=14))
    with pytest.raises(ua.UaStatusCodeError) as refused:
        one._check_sym_header(header)
    assert refused.value.code == codes.BadSecureChannelTokenUnknown
    now[0] += 24.9
    assert not one.expired()
    now[0] += 0.2
    assert one.expired()


# --- doors ---


def test_doors_are_named_by_policy_with_both_modes_or_one_and_sorted_best_first():
    found = endpoints.doors(("Basic256Sha256", "Aes256_Sha256_RsaPss/Sign"), insecure=True)
    assert [(door.policy.name, door.mode.name) for door in found] == [
        ("Basic256Sha256", "SignAndEncrypt"),
        ("Aes256_Sha256_RsaPss", "Sign"),
        ("Basic256Sha256", "Sign"),
        ("None", "None_"),
    ]
    assert [token.PolicyId for token in endpoints.token_policies(found[-1], anonymous=True)] == [
        "anonymous",
        "username_Basic256Sha256",
        "certificate_Basic256Sha256",
    ]
