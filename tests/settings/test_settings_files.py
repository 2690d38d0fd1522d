"""More files than one: include, tags_from, variables and secrets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.tag import TagType
from gateway.settings.faults import Faults
from gateway.settings.table import rows


def test_included_files_append_lists_and_merge_maps(folder):
    """Included files come first, in their order; each names its own files relative to itself."""
    (folder.path / "parts").mkdir()
    folder.write("parts/a.yaml", "version: 1\ntags: [{name: a}]\nsources: {one: {driver: mqtt, url: u}}\ninclude: [b.yaml]\n")
    folder.write("parts/b.yaml", "tags: [{name: b}]\ngateway: {name: g}\n")
    site = folder.load(
        "version: 1\ninclude: [parts/a.yaml]\ntags: [{name: c}]\nsources: {two: {driver: mqtt, url: u}}\ngateway: {path: p}\n"
    )
    assert [tag.name for tag in site.tags] == ["b", "a", "c"]
    assert (list(site.sources), site.gateway.name, site.gateway.path) == (["one", "two"], "g", "p")
    assert [file.name for file in site.files] == ["site.yaml", "a.yaml", "b.yaml"]


def test_a_value_that_two_files_give_is_a_fault(folder):
    folder.write("a.yaml", "gateway: {name: a}\n")
    assert folder.faults("version: 1\ninclude: [a.yaml]\ngateway: {name: b}\n") == [
        "site.yaml:3:11: gateway.name: stands also at a.yaml:1:11 (keep one of them)"
    ]


def test_files_that_include_each_other(folder):
    folder.write("a.yaml", "include: [b.yaml]\n")
    folder.write("b.yaml", "include: [a.yaml]\n")
    assert folder.faults("version: 1\ninclude: [a.yaml]\n") == [
        "b.yaml:1:11: include[0]: the files include each other: a.yaml -> b.yaml -> a.yaml (remove one of these includes)"
    ]


def test_a_file_that_is_included_twice(folder):
    folder.write("a.yaml", "tags: []\n")
    assert folder.faults("version: 1\ninclude: [a.yaml, a.yaml]\n") == [
        "site.yaml:2:19: include[1]: a.yaml is included twice (first at site.yaml:2:11) (remove one of these includes)"
    ]


def test_faults_of_included_files_carry_their_own_place(folder):
    """And what would only follow from a file that cannot be read is not listed."""
    folder.write("a.yaml", "tags: [{name: a, unit: kWh}]\n")
    assert folder.faults("version: 1\ninclude: [a.yaml]\n") == [
        "a.yaml:1:24: tags[0].unit: 'kWh' is not a known unit (did you mean kW.h, kilowatt hour?)"
    ]
    folder.write("a.yaml", "tags: [\n")
    assert len(folder.faults("version: 1\ninclude: [a.yaml]\nalarms: [{tag: a, hi: 5}]\n")) == 1


TABLE = """name,source,address,type,unit,range,labels,enabled,description
line.power,plc,"nsu=urn:plant;s=A,B",float,kW,"[0, 60]",,,"says ""hello"", twice"
# spare
line.state,plc,nsu=urn:plant;s=State,enum,,,"{0: off, 1: on}",TRUE,007

line.count,,,int,,,,false,
"""


def test_a_table_of_tags(folder):
    """Cells are written as in YAML; empty cells, empty lines and lines that begin with # say nothing."""
    folder.write("tags.csv", TABLE)
    site = folder.load("version: 1\nsources: {plc: {driver: opcua, url: u}}\ntags: [{name: first}]\ntags_from: [tags.csv]\n")
    first, power, state, count = site.tags
    assert (first.name, power.address, power.eu_range, power.description) == (
        "first",
        "nsu=urn:plant;s=A,B",
        (0.0, 60.0),
        'says "hello", twice',
    )
    assert (state.type, state.labels, state.description, count.enabled) == (TagType.ENUM, {0: "off", 1: "on"}, "007", False)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_tables_as_office_programs_write_them(folder, separator):
    """A byte order mark, semicolons or tabs, lines that end with CR LF."""
    text = TABLE.replace('"nsu=urn:plant;s=A,B"', "x").replace('"says ""hello"", twice"', "d").replace('"[0, 60]"', "[0 60]")
    text = (
        text.replace('"{0: off, 1: on}"', "{0: off}")
        .replace("nsu=urn:plant;s=State", "y")
        .replace(",", separator)
        .replace("[0 60]", "[0, 60]")
    )
    folder.write("tags.csv", b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    site = folder.load("version: 1\nsources: {plc: {driver: opcua, url: u}}\ntags_from: tags.csv\n")
    assert [(tag.name, tag.eu_range) for tag in site.tags] == [("line.power", (0.0, 60.0)), ("line.state", None), ("line.count", None)]


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ("", "tags.csv:1:1: begins with an empty line (the first line names the columns, for example name,source,address,unit)"),
        ("name,unit\na,Cel\nb,kWh\n", "tags.csv:3:3: tags[1].unit: 'kWh' is not a known unit (did you mean kW.h, kilowatt hour?)"),
        ("name,unti\na,Cel\n", "tags.csv:2:3: tags[0].unti: is not a known key (did you mean unit?)"),
        ("name,name\na,b\n", "tags.csv:1:6: name: this column stands twice"),
        ("name,\na,b\n", "tags.csv:1:6: this column has no name"),
        ("name,unit\na,K,5\n", "tags.csv:2:5: this line has 3 cells, the header 2 (put a cell that holds a separator in quotes)"),
        ('name,unit\n"a,K\n', 'tags.csv:2:1: a quote is not closed in this line (write "..." with "" for a quote inside)'),
        ('name,labels\n"a",{0\n', "tags.csv:2:5: labels: is not YAML: did not find expected ',' or '}' while parsing a flow mapping"),
        ("name,range\na,${LOW}\n", "tags.csv:2:3: range: the environment variable LOW is not set (set it, or write ${LOW:-default})"),
        ("name\na\x02b\n", "tags.csv:2:2: holds the control character U+0002 (write it as an escape, or remove it)"),
        (b"name\n\xff\n", "site.yaml:2:13: tags_from[0]: tags.csv is not UTF-8 text (byte 0xff in line 2)"),
    ],
)
def test_faults_of_a_table(folder, table, fault):
    """The file, line and column of the cell."""
    folder.write("tags.csv", table)
    assert any(found.startswith(fault) for found in folder.faults("version: 1\ntags_from: [tags.csv]\n"))


def test_variables(folder):
    """In any value, quoted or plain; a plain one means what its text would mean; $${ is a literal."""
    folder.env |= {"PORT": "4841", "HOST": "localhost", "EMPTY": ""}
    site = folder.load(
        "version: 1\n"
        "opcua:\n  port: ${PORT}\n  host: ${HOST}\n"
        'web: {port: "${NONE:-8081}"}\n'
        'tags: [{name: a, description: "$${x} ${EMPTY:-d}${EMPTY} ${HOST}:${PORT}"}]\n'
    )
    assert (site.sections["opcua"].port, site.sections["web"].port, site.sections["opcua"].host) == (4841, 8081, "localhost")
    assert site.tags[0].description == "${x} d localhost:4841"


def test_a_variable_is_never_read_as_structure(folder):
    """What the environment says cannot open a map, a list or another key."""
    folder.env["TEXT"] = "x}\ntags: [{name: b}]"
    site = folder.load('version: 1\ntags:\n  - name: a\n    description: "${TEXT}"\n')
    assert (len(site.tags), site.tags[0].description) == (1, "x}\ntags: [{name: b}]")


def test_variables_that_are_no_text(folder):
    folder.env["BYTES"] = b"\xff".decode("utf-8", "surrogateescape")
    assert folder.faults("version: 1\ngateway:\n  name: ${BYTES}\n") == [
        "site.yaml:3:9: gateway.name: the environment variable BYTES holds a control character or is not UTF-8"
    ]


def test_secrets_from_files_and_credentials(folder):
    """Relative to the file that names them; one line break at the end is not part of the secret."""
    folder.env["CREDENTIALS_DIRECTORY"] = str(folder.path / "credentials")
    (folder.path / "credentials").mkdir()
    folder.write("credentials/plc", "one\n")
    folder.write("token", "two\r\n")
    site = folder.load(
        "version: 1\nsources:\n"
        "  a: {driver: opcua, url: u, password: {credential: plc}}\n"
        "  b: {driver: mqtt, url: u, token: {file: token}}\n"
    )
    assert site.sources["a"].config.password.get_secret_value() == "one"
    assert (site.sources["b"].config.token, site.faults) == ("two", ())


def test_paths_of_sources_are_relative_to_their_file(folder):
    """As include is; an absolute one stays, and so does data_dir."""
    (folder.path / "parts").mkdir()
    folder.write("parts/a.yaml", "sources: {a: {driver: mqtt, url: u, ca: ca.pem}, b: {driver: mqtt, url: u, ca: /etc/ca.pem}}\n")
    site = folder.load("version: 1\ninclude: [parts/a.yaml]\ngateway: {data_dir: ./data}\n")
    assert site.sources["a"].config.ca == folder.path / "parts" / "ca.pem"
    assert str(site.sources["b"].config.ca) == "/etc/ca.pem"
    assert str(site.gateway.data_dir) == "data"


@pytest.mark.parametrize("name", ["../plc", "..", "a/b", "/etc/passwd", "none"])
def test_a_credential_is_a_name_not_a_path(folder, name):
    folder.env["CREDENTIALS_DIRECTORY"] = str(folder.path)
    faults = folder.faults(f"version: 1\nsources:\n  a: {{driver: opcua, url: u, password: {{credential: {name}}}}}\n")
    assert len(faults) == 1
    assert faults[0].startswith("site.yaml:3:53: sources.a.password: ")


def test_a_secret_is_never_repeated_in_a_fault(folder):
    """Not even where the value itself is what is wrong."""
    folder.env["PW"] = "hunter2"
    faults = folder.faults(
        'version: 1\nsources: {a: {driver: mqtt, url: [x], token: [hunter2]}, b: {driver: opcua, url: u, password: {x: "${PW}"}}}\n'
    )
    assert not any("hunter2" in fault for fault in faults)
    assert len(faults) == 3


def test_what_follows_from_a_missing_variable_is_not_listed(folder):
    """A user that is not set is one fault, not also a password without a user."""
    assert folder.faults('version: 1\nsources: {a: {driver: opcua, url: strict, user: "${NOBODY}", password: "${NOBODY:-x}"}}\n') == [
        "site.yaml:2:49: sources.a.user: the environment variable NOBODY is not set (set it, or write ${NOBODY:-default})"
    ]
    assert folder.faults('version: 1\nsources: {a: {driver: opcua, url: strict, password: "${NOBODY:-x}"}}\n') == [
        "site.yaml:2:14: sources.a: a password needs a user"
    ]


def test_the_digest_knows_what_is_said_and_not_how(folder):
    """Layout, comments, order of keys and secrets' values do not matter; any value does."""
    folder.env |= {"A": "1", "B": "2"}
    plain = folder.load('version: 1\nsources: {a: {driver: opcua, url: u, password: "${A}"}}\ntags: [{name: t, unit: Cel}]\n').digest
    other = folder.load(
        "version: 1 # same\ntags:\n  - unit: Cel\n    name: t\nsources:\n  a:\n    url: u\n    driver: opcua\n    password: ${A}\n"
    )
    assert other.digest == plain
    folder.env["A"] = "rotated"
    assert (
        folder.load('version: 1\nsources: {a: {driver: opcua, url: u, password: "${A}"}}\ntags: [{name: t, unit: Cel}]\n').digest == plain
    )
    assert (
        folder.load('version: 1\nsources: {a: {driver: opcua, url: u, password: "${B}"}}\ntags: [{name: t, unit: Cel}]\n').digest != plain
    )
    assert folder.load('version: 1\nsources: {a: {driver: opcua, url: u, password: "${A}"}}\ntags: [{name: t, unit: K}]\n').digest != plain


PRINTABLE = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"], exclude_characters="$"), min_size=1)


@given(st.lists(PRINTABLE.map(str.strip).filter(bool)), st.sampled_from(",;\t"))
def test_any_text_survives_a_quoted_cell(texts, separator):
    """Separators, quotes, brackets and braces inside a quoted cell are text where the column is text."""
    lines = "".join('t{}{}"{}"\n'.format(number, separator, text.replace('"', '""')) for number, text in enumerate(texts))
    faults = Faults()
    found = rows(f"name{separator}description\n{lines}", "tags.csv", {}, faults)
    assert [row.map["description"].value for row in found] == texts
    assert faults.found == []
