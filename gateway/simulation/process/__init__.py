"""Process models: state equations over named inputs and outputs, exact in time where an exact solution exists.

`model` is the seam, `catalogue` the list of kinds, `line` composes models, `pv_line` is the PV-module line, `equations` reads a model
from text.
"""
