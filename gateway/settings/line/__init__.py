"""The line's configuration: a tree of YAML files to one frozen Line, or every fault of it by file, line and column."""

from gateway.settings.line.load import Listing, Variant, listing, load_line, load_lines
from gateway.settings.line.snapshot import dump, load_snapshot
from gateway.settings.line.tree import KINDS, config_dir, shipped

__all__ = ["KINDS", "Listing", "Variant", "config_dir", "dump", "listing", "load_line", "load_lines", "load_snapshot", "shipped"]
