"""The documents say what there is: sections, verbs and commands without an entry in the manual, or rows without a test, are failures."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from gateway.__main__ import commands
from gateway.plugins import plugins
from gateway.settings import schema
from gateway.wire.opcua.capabilities import PROFILES

ROOT = Path(__file__).parents[1]
MANUAL = (ROOT / "docs" / "manual.md").read_text()
README = (ROOT / "README.md").read_text()
CAPABILITIES = (ROOT / "docs" / "capabilities.md").read_text()
UNIT = re.compile(r"^\| (.+?) \| (yes|part|no) \|(.*?)\|.*\|$", re.MULTILINE)
CONFORMANCE = (ROOT / "docs" / "conformance.md").read_text()
SECTIONS = [
    (address.group(1) if (address := re.search(r"^`(http://\S+)`$", text, re.MULTILINE)) else "", UNIT.findall(text))
    for text in CONFORMANCE.split("\n## ")[1:]
]
"""Of the matrix of conformance units: the profile's address, where it is stated, and (unit, state, proof) of its rows."""
ROWS = re.findall(r"^\| ([A-HV]\d\d) \| (works|part|open) \|(.*)\|(.*)\|$", CAPABILITIES, re.MULTILINE)


@pytest.mark.parametrize("section", sorted(schema(plugins())["properties"]))
def test_each_section_of_the_configuration_has_an_entry_in_the_manual(section):
    assert f"`{section}`" in MANUAL or f"`{section}:" in MANUAL


@pytest.mark.parametrize("verb", sorted(get_command(commands()).commands))
def test_each_verb_has_an_entry_in_the_manual(verb):
    assert f"| `{verb}" in MANUAL


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\((?!http)([^)#]+)\)", README))))
def test_what_the_readme_links_to_is_there(path):
    assert (ROOT / path).exists()


def test_each_make_target_that_the_readme_names_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z]+)", README)) <= targets


def test_every_capability_has_its_row():
    expected = {
        f"{letter}{number:02d}"
        for letter, count in {"A": 14, "B": 14, "C": 11, "D": 13, "E": 15, "F": 15, "G": 4, "H": 23, "V": 17}.items()
        for number in range(1, count + 1)
    }
    assert {row[0] for row in ROWS} == expected


@pytest.mark.parametrize("row", [row for row in ROWS if row[1] != "open"], ids=lambda row: row[0])
def test_a_row_that_works_names_where_and_a_test_that_is_there(row):
    _, _, where, proof = row
    tests = re.findall(r"[\w/]+\.py", proof)
    assert where.strip()
    assert tests
    assert all((ROOT / "tests" / test).exists() for test in tests), tests


def test_each_stated_profile_is_a_section_of_the_matrix_and_all_of_its_units_are_served():
    """Units marked optional apart; and no other section names an address."""
    addresses = {address: rows for address, rows in SECTIONS if address}
    assert set(addresses) == set(PROFILES)
    for address, rows in addresses.items():
        lacking = [unit for unit, state, _ in rows if state != "yes" and "(optional)" not in unit]
        assert rows
        assert not lacking, (address, lacking)


@pytest.mark.parametrize("row", [row for _, rows in SECTIONS for row in rows], ids=lambda row: row[0])
def test_a_conformance_unit_that_is_served_names_tests_that_are_there(row):
    _, state, proof = row
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", proof)
    assert named or state == "no"
    for file, name in named:
        assert re.search(rf"^(async )?def {name}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE), f"{file}::{name}"
