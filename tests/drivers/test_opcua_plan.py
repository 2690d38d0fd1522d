"""What is asked of a server for which tag, and what is remembered over a restart. Pure."""

import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.opcua import memory
from drivers.opcua.config import Config
from drivers.opcua.driver import OpcUaDriver
from drivers.opcua.plan import group_interval, plan, wanted
from gateway.contracts import ConfigError
from gateway.wire.opcua.address import Address, parse
from gateway.wire.opcua.services import Granted
from support.driving import driver_context
from support.opcua_source import tag

CONFIG = Config(url="opc.tcp://127.0.0.1:4840")


@pytest.mark.parametrize(
    ("sampling", "expected"), [(0.0, 0.1), (0.01, 0.1), (1.0, 0.1), (1.5, 0.1), (2.0, 0.2), (10.0, 1.0), (60.0, 5.0), (3600.0, 200.0)]
)
def test_a_slow_tag_is_published_ten_times_a_sampling_interval(sampling, expected):
    assert group_interval(sampling, 0.1) == pytest.approx(expected)


@given(st.floats(0, 1e5), st.floats(0.001, 3600))
def test_publishing_never_adds_more_than_a_tenth(sampling, publishing):
    interval = group_interval(sampling, publishing)
    assert publishing <= interval <= max(publishing, sampling / 10 * (1 + 1e-6))


def test_tags_of_one_interval_share_a_subscription():
    made = plan([tag(place, f"t{place}", sampling_interval_ns=int(s * 1e9)) for place, s in enumerate((0.1, 10.0, 1.0, 12.0))], CONFIG)
    assert made.intervals == (0.1, 1.0)
    assert [made.handles(group) for group in (0, 1)] == [[0, 2], [1, 3]]


def test_the_queue_holds_two_publishing_intervals_and_ten_samples():
    tags = [
        tag(0, "fast", sampling_interval_ns=1_000_000),
        tag(1, "slow", sampling_interval_ns=10**9),
        tag(2, "any", sampling_interval_ns=0),
    ]
    made = plan(tags, CONFIG)
    assert [wanted(made, handle, CONFIG).queue_size for handle in range(3)] == [200, 10, 200]
    assert wanted(made, 0, Config(url=CONFIG.url, queue_size=3)).queue_size == 3


def test_disabled_tags_are_not_asked_for_and_handles_lead_to_tag_ids():
    made = plan([tag(4, "a"), tag(7, "b", enabled=False), tag(9, "c[2]", stale_after_ns=10**9)], CONFIG)
    assert made.tag_id.tolist() == [4, 9]
    assert made.element.tolist() == [-1, 2]
    assert made.probe_ns.tolist() == [0, 500_000_000]


def test_an_impossible_address_is_a_configuration_error(tmp_path):
    context, _ = driver_context((tag(0, "a", address="ns=3;s=a"),), tmp_path)
    with pytest.raises(ConfigError, match=r"tags\.plant\.a\.address"):
        OpcUaDriver(CONFIG, context)


identifiers = st.one_of(
    st.integers(0, 2**32 - 1),
    st.text(min_size=1).filter(lambda text: text == text.strip() and not text.endswith("]")),
    st.uuids(),
    st.binary(min_size=1, max_size=20),
)


@given(st.text(st.characters(exclude_characters=";", exclude_categories=["Cs", "Z", "C"])), identifiers, st.integers(-1, 999_999))
def test_an_address_reads_as_it_was_written(uri, identifier, element):
    address = Address(uri, identifier, element)
    assert parse(str(address)) == address


def test_the_four_kinds_of_identifier():
    assert parse("i=2258") == Address("", 2258)
    assert parse("nsu=urn:p;s=A;B=1[12]") == Address("urn:p", "A;B=1", 12)
    assert parse("nsu=urn:p;g=09087e75-8e5e-499b-954f-f2a9603db28a").identifier == uuid.UUID("09087e75-8e5e-499b-954f-f2a9603db28a")
    assert parse("nsu=urn:p;b=AQI=").identifier == b"\x01\x02"


class Words(dict):
    """Memory as a dictionary."""

    def put(self, key, value):
        self[key] = value


def test_what_is_remembered_comes_back_for_the_same_tags_only():
    """With other tags the subscriptions are not ours to take; the time of the last commit still holds."""
    words = Words()
    assert memory.recall(words, "a") is None
    memory.remember(words, "a", 17, [Granted(5, 0.1, 5.0)], [3])
    assert memory.recall(words, "a") == memory.Remembered(17, (Granted(5, 0.1, 5.0),), (3,))
    assert memory.recall(words, "b") == memory.Remembered(17)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(
    json_values
    | st.fixed_dictionaries({"committed_ns": json_values, "granted": json_values, "refused": json_values, "digest": st.just("a")})
)
def test_a_damaged_memory_is_none(found):
    words = Words({memory.KEY: json.dumps(found)})
    recalled = memory.recall(words, "a")
    assert recalled is None or isinstance(recalled, memory.Remembered)
