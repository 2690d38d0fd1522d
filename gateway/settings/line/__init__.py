"""The line's configuration: a tree of YAML files to one frozen Line, or every fault of it by file, line and column."""

from gateway.settings.line.load import Listing, listing, load_line
from gateway.settings.line.snapshot import dump, load_snapshot
from gateway.settings.line.tree import KINDS, config_dir, shipped

__all__ = ["KINDS", "Listing", "config_dir", "dump", "listing", "load_line", "load_snapshot", "shipped"]
