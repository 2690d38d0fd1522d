"""Process models: state equations over named inputs and outputs, exact in time where an exact solution exists.

`model` is the seam (kinds by name: simulation/kinds), `line` composes models, `pv_line` is a line of PV modules, `equations` reads models
from text in the language `vector`, `discrete` has the solvers.
"""
