"""Derived tags: values that the engine computes from other tags."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DerivedRule:
    """expression over tag names (model/expression.py has the language); the tag's source is DERIVED."""

    tag_id: int
    tag: str
    expression: str
