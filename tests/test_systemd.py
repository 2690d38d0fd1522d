"""The unit file and the container image hold what the documentation says of them."""

import configparser
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
UNIT = ROOT / "systemd" / "edgetwin.service"


def settings(path):
    """Sections of a unit file; a key that stands several times keeps all its values."""
    found, section = {}, ""
    for line in path.read_text().splitlines():
        if match := re.fullmatch(r"\[(\w+)\]", line):
            section = match[1]
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault((section, key), []).append(value)
    return found


def test_the_unit_is_restarted_for_ever_and_watched():
    unit = settings(UNIT)
    assert unit["Service", "Type"] == ["notify"]
    assert unit["Service", "WatchdogSec"] == ["30"]
    assert unit["Service", "Restart"] == ["always"]
    assert unit["Unit", "StartLimitIntervalSec"] == ["0"]


def test_the_exposure_of_the_service_is_low():
    """systemd-analyze rates it: 0 is closed, 10 unsafe; a plain unit has 9.6."""
    if shutil.which("systemd-analyze") is None:
        assert not os.environ.get("CI"), "apt install systemd"
        pytest.skip("systemd-analyze is missing")
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=15", str(UNIT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "systemd" / "examples").glob("*.conf")), ids=lambda path: path.name)
def test_drop_ins_set_the_service_alone(path):
    assert {section for section, _ in settings(path)} == {"Service"}
    configparser.ConfigParser(strict=False, allow_no_value=True).read(path)


def instructions():
    """(word, rest) of each instruction of the Dockerfile."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text())
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line and not line.startswith("#")]


def test_the_image_is_built_in_stages_and_runs_without_root():
    found = instructions()
    stages = [rest for word, rest in found if word == "FROM"]
    assert len(stages) == 2
    assert all(stage.startswith("python:3.11-slim") for stage in stages)
    last = found[max(n for n, (word, _) in enumerate(found) if word == "FROM") :]
    said = dict(last)
    assert said["USER"] == "edgetwin"
    assert said["VOLUME"] == '["/config", "/data"]'
    assert said["EXPOSE"] == "8080 4840"
    assert "CONFIG_PATH=/config/site.yaml" in shlex.split(said["ENV"])
    assert "/healthz" in said["HEALTHCHECK"]
    assert said["CMD"] == '["edgetwin", "run"]'
    assert "--require-hashes" in (ROOT / "Dockerfile").read_text()


def test_the_health_check_of_the_image_is_valid_python():
    (check,) = [rest for word, rest in instructions() if word == "HEALTHCHECK"]
    import json

    command = json.loads(check.partition("CMD ")[2])
    compile(command[2], "HEALTHCHECK", "exec")
