"""The JSON Schema says what the loader accepts."""

import json
import re

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.settings import Plugins, schema
from gateway.settings.alarms import ALARM_KEYS, SHARED
from gateway.settings.load import OWN
from gateway.settings.names import wrong
from gateway.settings.tags import DERIVED_KEYS, TAG_KEYS, WRITE_KEYS

NAME = schema(Plugins())["properties"]["tags"]["items"]["properties"]["name"]


def references(part):
    """Each $ref inside."""
    if isinstance(part, dict):
        yield from ([part["$ref"]] if "$ref" in part else [])
        for inner in part.values():
            yield from references(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from references(inner)


def test_the_schema_knows_every_key_of_the_loader(plugins):
    """Neither more nor less, at each level."""
    whole = schema(plugins)
    known = whole["properties"]
    assert set(known) == {*OWN, *plugins.sections, "include", "tags_from", "digital_twin"}
    tag = known["tags"]["items"]["properties"]
    assert set(tag) == TAG_KEYS
    assert set(tag["writable"]["anyOf"][1]["properties"]) == WRITE_KEYS
    assert set(known["derived"]["items"]["properties"]) == DERIVED_KEYS
    alarm = known["alarms"]["items"]["properties"]
    assert set(alarm) == ALARM_KEYS
    assert set(alarm["hi"]["anyOf"][1]["properties"]) == SHARED | {"limit"}
    assert "Cel" in tag["unit"]["enum"]


def test_plugins_are_told_apart_by_their_kind(plugins):
    """Each driver with its own keys, none of another's; durations are texts or numbers; a secret may be a reference."""
    drivers = {
        one["properties"]["driver"]["const"]: one for one in schema(plugins)["properties"]["sources"]["additionalProperties"]["oneOf"]
    }
    assert set(drivers["opcua"]["properties"]) == {"driver", "url", "user", "password", "publishing_interval"}
    assert set(drivers["mqtt"]["properties"]) == {"driver", "url", "topics", "token", "ca"}
    assert [branch["type"] for branch in drivers["opcua"]["properties"]["publishing_interval"]["anyOf"]] == ["number", "string"]
    assert {"$ref": "#/$defs/secret"} in drivers["opcua"]["properties"]["password"]["anyOf"]
    assert all(not one["additionalProperties"] for one in drivers.values())
    assert drivers["opcua"]["required"] == ["driver", "url"]


@given(st.from_regex(r"(_|Twin|Kpi|timestamp|a|[A-Za-z0-9_.-]{0,3})(\.|-|)[A-Za-z0-9_. -]{0,5}", fullmatch=True))
@example("a" * 257)
def test_the_schema_and_the_loader_agree_on_names(name):
    """Of any text both say the same: a name of a tag, or none."""
    assert (re.search(NAME["pattern"], name) is not None and len(name) <= NAME["maxLength"]) == (wrong(name) is None)


def test_the_schema_is_json_and_its_references_hold(plugins):
    whole = json.loads(json.dumps(schema(plugins), allow_nan=False))
    found = set(references(whole))
    assert found
    assert all(reference.removeprefix("#/$defs/") in whole["$defs"] for reference in found)
