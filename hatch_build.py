"""The wheel's build hook: writes OPC UA's standard nodes once, so that no start of the gateway has to build them."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = "gateway/wire/opcua"


class StandardNodesHook(BuildHookInterface):  # type: ignore[type-arg]  # whatever configuration the builder has
    """Runs for the wheel, and for `pip install -e .`, where the file lies in the checkout."""

    PLUGIN_NAME = "custom"

    def initialize(self, _version: str, build_data: dict[str, Any]) -> None:
        """Adds the file to the wheel; one that is there already is kept, since its name carries asyncua's version."""
        name = f"{FOLDER}/opcua-standard-{version('asyncua')}.bin"
        path = Path(self.root, name)
        if not path.is_file():
            subprocess.run([sys.executable, "-m", "gateway.wire.opcua.standard", str(path)], cwd=self.root, check=True)  # noqa: S603 - our own module
        build_data["artifacts"].append(name)
