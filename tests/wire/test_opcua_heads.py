"""The head of a request is read by hand as the library reads it, in the usual form and in every other."""

import contextlib

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import nodeid_from_binary, struct_from_binary, struct_to_binary
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.opcua.guards import MALFORMED, guard_codec
from gateway.wire.opcua.heads import acknowledgements, request_head, usual_publish

tokens = st.binary(max_size=80).map(lambda raw: ua.NodeId(raw, 0, ua.NodeIdType.ByteString)) | st.integers(0, 2**16).map(ua.NodeId)
numbers = st.integers(0, 2**32 - 1)
pairs = st.lists(st.tuples(numbers, numbers), max_size=20)


@given(tokens, numbers, numbers, st.none() | st.text(max_size=5), pairs)
def test_a_publish_request_reads_as_the_library_reads_it(token, handle, timeout, audit, acknowledged):
    request = ua.PublishRequest()
    request.RequestHeader = ua.RequestHeader(token, RequestHandle=handle, TimeoutHint=timeout, AuditEntryId=audit)
    request.Parameters.SubscriptionAcknowledgements = [ua.SubscriptionAcknowledgement(*pair) for pair in acknowledged]
    encoded = struct_to_binary(request)
    body, expected = Buffer(encoded), Buffer(encoded)
    kind, header = request_head(body)
    assert kind == nodeid_from_binary(expected)
    theirs = struct_from_binary(ua.RequestHeader, expected)
    for name in ("AuthenticationToken", "RequestHandle", "ReturnDiagnostics", "AuditEntryId", "TimeoutHint"):
        assert getattr(header, name) == getattr(theirs, name)
    assert [(found.SubscriptionId, found.SequenceNumber) for found in acknowledgements(body)] == acknowledged


@given(st.binary(min_size=32, max_size=32), numbers, numbers, st.none() | st.text(max_size=5), pairs, st.binary(max_size=4))
def test_a_usual_publish_is_read_at_once_with_its_own_token_alone(token, handle, timeout, audit, acknowledged, around):
    request = ua.PublishRequest()
    mine = ua.NodeId(token, 0, ua.NodeIdType.ByteString)
    request.RequestHeader = ua.RequestHeader(mine, RequestHandle=handle, TimeoutHint=timeout, AuditEntryId=audit)
    request.Parameters.SubscriptionAcknowledgements = [ua.SubscriptionAcknowledgement(*pair) for pair in acknowledged]
    data = around + struct_to_binary(request) + around
    begin, end = len(around), len(data) - len(around)
    found = usual_publish(data, begin, end, token)
    assert (found is None) == (audit is not None)
    if found is not None:
        assert (found.handle, found.patience_s) == (handle, timeout / 1000)
        assert found.acknowledgements == acknowledged
    for other in (token[:31], token + b"x", bytes(byte ^ 1 for byte in token)):
        assert usual_publish(data, begin, end, other) is None
    for cut in range(begin, end):
        assert usual_publish(data, begin, cut, token) is None


@given(st.binary(max_size=80))
def test_noise_is_malformed_and_nothing_else(noise):
    guard_codec()
    for data in (noise, b"\x01\x00\x3a\x03\x05\x00\x00" + noise):
        with contextlib.suppress(*MALFORMED):
            acknowledgements(_behind_the_head(data))


def _behind_the_head(data):
    body = Buffer(data)
    request_head(body)
    return body
