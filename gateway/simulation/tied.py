"""The models of a site as one line over its tags: what one gives, another takes.

Inputs are the tags that no model gives, and `model.input` where an input has a value of its own; outputs are tags, and `model.output` where
no tag is named; parameters are `model.parameter`.
"""

from collections.abc import Sequence

from gateway.model.process import ProcessModel
from gateway.simulation.distributions import Distribution, of_text
from gateway.simulation.kinds import build
from gateway.simulation.process.line import Line, Part
from gateway.simulation.process.model import ModelError


def tied(rules: Sequence[ProcessModel]) -> Line:
    """Raises ModelError that begins with the name of the model at fault, or names the models that feed each other in a circle."""
    parts = []
    for rule in rules:
        try:
            model = build(rule.kind, rule.parameters, rule.equations)
        except ModelError as fault:
            raise ModelError(f"{rule.name}: {fault}") from None
        parts.append(Part(rule.name, model, {name: tag for name, tag in rule.inputs.items() if isinstance(tag, str)}, rule.outputs))
    return Line(parts)


def held(rules: Sequence[ProcessModel]) -> dict[str, float]:
    """The inputs with a value of their own, by `model.input`."""
    return {f"{rule.name}.{name}": value for rule in rules for name, value in rule.inputs.items() if not isinstance(value, str)}


def varied(rules: Sequence[ProcessModel]) -> dict[str, Distribution]:
    """The parameters that are not known for sure, by `model.parameter`."""
    known = {
        f"{rule.name}.{name}": Distribution("normal", rule.parameters[name], sd) for rule in rules for name, sd in rule.spread.items() if sd
    }
    return known | {f"{rule.name}.{name}": of_text(text) for rule in rules for name, text in rule.varied.items()}
