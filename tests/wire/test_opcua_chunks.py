"""Chunks of an open channel against the library's own: equal bytes where nothing is chosen, equal messages everywhere (Part 6, 6.7.2)."""

import struct
from types import SimpleNamespace

import pytest
from asyncua import ua
from asyncua.common.connection import SecureConnection, TransportLimits
from asyncua.common.utils import Buffer
from asyncua.crypto import security_policies
from asyncua.crypto.security_policies import SecurityPolicyNone
from asyncua.ua.ua_binary import header_from_binary
from asyncua.ua.uaerrors import UaError
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.wire.opcua.chunks import Chunked
from gateway.wire.opcua.policies import Aes256Sha256RsaPss, Forged, Symmetric

CHUNK = 8192
SECRETS = (b"ours" * 8, b"theirs" * 5 + b"..")
MODES = [ua.MessageSecurityMode.None_, ua.MessageSecurityMode.Sign, ua.MessageSecurityMode.SignAndEncrypt]


def ends(cls, policy, mode):
    """An open connection of this class; the same keys on both ends, whichever class they have."""
    connection = cls(SecurityPolicyNone(), TransportLimits(CHUNK, CHUNK, 0, 0))
    connection._open = True
    connection.security_token = ua.ChannelSecurityToken(7, 13, None, 3_600_000)
    if mode != ua.MessageSecurityMode.None_:
        made = policy.__new__(policy)
        made.Mode = mode
        made.symmetric_cryptography = (
            Symmetric(encrypts=mode == MODES[2]) if issubclass(policy, Aes256Sha256RsaPss) else security_policies.Cryptography(mode)
        )
        made.make_local_symmetric_key(*SECRETS)
        made.make_remote_symmetric_key(*SECRETS, 3_600_000)
        connection.security_policy = made
    return connection


def ours(mode):
    return ends(Chunked, Aes256Sha256RsaPss, mode)


def library(mode):
    return ends(SecureConnection, security_policies.SecurityPolicyAes256Sha256RsaPss, mode)


def received(connection, sent):
    """All whole messages in these bytes: (request id, body)."""
    buffer, found = Buffer(sent), []
    while len(buffer):
        message = connection.receive_from_header_and_body(header_from_binary(buffer), buffer)
        if message is not None:
            found.append((message.request_id(), bytes(message.body()._data)))
    return found


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(1, 3 * CHUNK), min_size=1, max_size=4))
def test_what_one_end_sends_the_other_reads_whoever_it_is(mode, sizes):
    messages = [(number + 1, bytes((number * 7 + k) % 256 for k in range(size))) for number, size in enumerate(sizes)]
    for sender, receiver in ((ours(mode), library(mode)), (library(mode), ours(mode)), (ours(mode), ours(mode))):
        sent = b"".join(sender.message_to_binary(body, request_id=number) for number, body in messages)
        assert received(receiver, sent) == messages


@pytest.mark.parametrize("mode", MODES[1:])
@settings(max_examples=60, deadline=None)
@given(place=st.integers(12, 400), bit=st.integers(0, 7))
def test_a_bit_that_was_turned_is_noticed(mode, place, bit):
    """Whatever is hit: token, sequence, body, padding or signature."""
    sent = bytearray(ours(mode).message_to_binary(bytes(300), request_id=3))
    sent[min(place, len(sent) - 1)] ^= 1 << bit
    with pytest.raises((Forged, UaError, ValueError, struct.error)):
        received(ours(mode), bytes(sent))


@pytest.mark.parametrize("mode", MODES[1:])
def test_what_was_sealed_before_a_renewal_is_still_read_after_it(mode):
    """Part 4, 5.5.2.1: what is under way when the token is renewed keeps its old keys."""
    sender, receiver = ours(mode), ours(mode)
    late = sender.message_to_binary(b"old keys", request_id=1)
    for end in (sender, receiver):
        end.next_security_token = ua.ChannelSecurityToken(7, 14, None, 3_600_000)
        end.local_nonce, end.remote_nonce = b"n" * 32, b"n" * 32
        end.prev_security_token.CreatedAt = end.security_token.CreatedAt = ua.uatypes.datetime.now(ua.uatypes.timezone.utc)
        end._allow_prev_token = True
        end.revolve_tokens()
    assert received(receiver, late) == [(1, b"old keys")]
    assert received(receiver, sender.message_to_binary(b"new keys", request_id=2)) == [(2, b"new keys")]


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=60, deadline=None)
@given(noise=st.binary(max_size=64))
def test_noise_in_a_chunk_is_refused(mode, noise):
    header = SimpleNamespace(MessageType=ua.MessageType.SecureMessage, body_size=len(noise))
    with pytest.raises((Forged, UaError, ValueError, struct.error)):
        ours(mode).receive_from_header_and_body(header, Buffer(b"MSGF" + bytes(8) + noise, 12, len(noise)))


@settings(max_examples=50, deadline=None)
@given(sizes=st.lists(st.integers(0, 2 * CHUNK), min_size=1, max_size=6), ours_too=st.lists(st.booleans(), min_size=6, max_size=6))
def test_a_whole_chunk_taken_at_once_is_what_the_long_way_reads(sizes, ours_too):
    """Those that are wanted, and those that go the long way, in any order."""
    messages = [(number + 1, bytes((number * 7 + k) % 256 for k in range(size))) for number, size in enumerate(sizes)]
    sender, receiver = ours(MODES[0]), ours(MODES[0])
    found = []
    for number, body in messages:
        data = b"before" + sender.message_to_binary(body, request_id=number)
        whole = receiver.whole(data, 6, lambda request: ours_too[request - 1])
        assert (whole is not None) == (ours_too[number - 1] and len(body) <= CHUNK - 24)
        if whole is None:
            found += received(receiver, data[6:])
        else:
            request, begin, end = whole
            assert end == len(data)
            found.append((request, data[begin:end]))
    assert found == messages


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (0, b"OPNF"),
        (0, b"MSGC"),
        (4, struct.pack("<I", 23)),
        (4, struct.pack("<I", 400)),
        (8, b"\x09"),
        (12, b"\x09"),
        (16, b"\x09"),
    ],
    ids=["another type", "not the last", "shorter than its head", "not all here", "channel", "token", "out of sequence"],
)
def test_what_is_not_the_usual_chunk_is_left_to_the_long_way_untouched(place, value):
    sender, receiver = ours(MODES[0]), ours(MODES[0])
    received(receiver, sender.message_to_binary(b"first", request_id=1))
    sent = sender.message_to_binary(bytes(300), request_id=2)
    wrong = sent[:place] + value + sent[place + len(value) :]
    assert receiver.whole(wrong, 0, lambda _: True) is None
    assert receiver.whole(wrong[:20], 0, lambda _: True) is None
    assert receiver.whole(sent, 0, lambda _: True) == (2, 24, len(sent))


@pytest.mark.parametrize("mode", MODES[1:])
def test_a_secured_chunk_is_never_taken_unopened(mode):
    assert ours(mode).whole(ours(mode).message_to_binary(b"sealed", request_id=1), 0, lambda _: True) is None
