"""Writing setpoints with the source node's own DataType."""

from collections.abc import Sequence

from drivers.opcua.plan import Plan
from gateway.contracts import DriverContext
from gateway.model.quality import BAD_NOT_SUPPORTED
from gateway.wire.opcua.client import Link


class Setpoints:
    """What is known of the writable nodes."""

    def __init__(self, plan: Plan, context: DriverContext) -> None:
        self._plan = plan
        self._context = context

    async def learn(self, link: Link, namespaces: Sequence[str]) -> None:
        """Read the DataTypes of the writable tags."""

    async def write(self, link: Link, rows: Sequence[tuple[int, float | str]]) -> list[int]:
        """One StatusCode per row."""
        return [BAD_NOT_SUPPORTED] * len(rows)
