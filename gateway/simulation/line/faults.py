"""What is wrong with a line, and where."""


class LineError(ValueError):
    """node: the machine, or edge: (origin, target), or neither where the line itself is meant; field: the value of it; hint: what to do."""

    def __init__(self, why: str, hint: str = "", *, node: str = "", edge: tuple[str, str] | None = None, field: str = "") -> None:
        place = f"machine {node}: " if node else f"edge {edge[0]} -> {edge[1]}: " if edge else ""
        super().__init__(f"{place}{why}" + (f" ({hint})" if hint else ""))
        self.why, self.hint, self.node, self.edge, self.field = why, hint, node, edge, field
