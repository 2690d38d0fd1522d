"""Tags to paste: from a real server, and from names that no tag may have."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.conftest import edgetwin, run
from gateway import settings
from gateway.cli import paste
from gateway.model.tag import TagType
from gateway.plugins import plugins
from gateway.settings import read_units
from gateway.settings.names import RESERVED, wrong
from gateway.wire.opcua.browse import Found
from gateway.wire.opcua.plant import PlantServer, Variable

VARIABLES = [
    Variable("line.temperature", TagType.FLOAT, read_units()["Cel"], (0.0, 60.0), writable=True),
    Variable("line.count", TagType.INT),
    Variable("line.message", TagType.TEXT),
    Variable("line.on", TagType.BOOL),
]


@pytest.fixture
async def plant(free_port):
    server = PlantServer(free_port, "urn:test:plant", VARIABLES, lambda _name, _value: None)
    await server.start()
    yield server
    await server.stop()


async def test_what_browse_prints_can_be_pasted_and_passes_check(plant, tmp_path):
    said = await edgetwin("browse", plant.url)
    assert said.code == 0
    site = tmp_path / "site.yaml"
    site.write_text(f"version: 1\ngateway: {{name: line1, data_dir: {tmp_path / 'data'}}}\n{said.out}")
    loaded = settings.load(site, plugins())
    tags = {tag.name.rpartition(".")[2]: tag for tag in loaded.tags}
    assert (tags["temperature"].unit, tags["temperature"].eu_range, tags["temperature"].type) == ("Cel", (0.0, 60.0), TagType.FLOAT)
    assert (tags["count"].type, tags["message"].type, tags["on"].type) == (TagType.INT, TagType.TEXT, TagType.BOOL)
    table = list(csv.DictReader(io.StringIO((await edgetwin("browse", plant.url, "--format", "csv")).out)))
    assert {row["name"] for row in table} == {tag.name for tag in loaded.tags}
    document = (await edgetwin("browse", plant.url, "--json")).json
    assert len(document["tags"]) == 4


def test_a_server_that_is_not_there_is_three(free_port):
    said = run("browse", f"opc.tcp://127.0.0.1:{free_port}")
    assert (said.code, said.out) == (3, "")


def found(*paths, **more):
    return [Found(path, f"nsu=urn:a;s={n}", "Double", "float", **more) for n, path in enumerate(paths)]


def test_what_cannot_be_a_tag_is_a_comment_with_the_reason():
    pasted = paste.tags([*found(("a",), array=True), Found(("b",), "nsu=urn:a;s=b", "Motor", "")], "plc1", {})
    lines = paste.as_yaml(pasted, "plc1", "opc.tcp://x").splitlines()[3:]
    assert all(line.startswith("  # - {") for line in lines)
    assert "an array" in lines[0]
    assert "a structure" in lines[1]
    assert paste.as_csv(pasted) == "name,source,address,type,unit,range\n"


@given(
    st.lists(
        st.lists(st.sampled_from(["a", "b", "_x", "Twin", "Kpi", "ä", "", "a b", "value"]), min_size=1, max_size=4).map(tuple), max_size=12
    )
)
def test_names_are_allowed_differ_and_are_no_level_of_each_other(paths):
    names = [each.keys["name"] for each in paste.tags(found(*paths), "plc1", {})]
    assert len(set(names)) == len(names)
    assert all(wrong(name) is None for name in names)
    assert not any(other.startswith(f"{name}.") for name in names for other in names)


def test_the_reserved_levels_are_those_of_the_configuration():
    assert paste.RESERVED == RESERVED
