"""Money in exact steps: every amount is a multiple of 2^-20 of the currency (about a millionth).

Amounts of one size add up without rounding in any order (below 2^33), so the deltas of a table sum to its totals exactly. Material is paid
for every finished unit, rejected ones included, and for what was scrapped before, by the raw parts in it; conversion for all time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.model.line import Line

_STEPS: Final = float(1 << 20)


def exact(amount: float) -> float:
    """The nearest multiple."""
    return round(amount * _STEPS) / _STEPS


@dataclass(frozen=True, slots=True)
class Economics:
    """gross_margin = revenue - material_cost - conversion_cost."""

    material_cost: float
    conversion_cost: float
    revenue: float

    @property
    def gross_margin(self) -> float:
        return self.revenue - self.material_cost - self.conversion_cost


def per_hour(line: Line) -> float:
    """What the line and its machines cost per hour."""
    return line.rates.per_hour + sum(machine.rates.per_hour for machine in line.machines)


def economics(line: Line, good: Sequence[int], defective: Sequence[int], scrapped_units: Sequence[float], seconds: float) -> Economics:
    """Of finished units good and rejected by product, and of raw parts scrapped before in terms of finished units."""
    products = (line.product, *line.products)
    material = sum(
        product.material_cost * (right + wrong + before)
        for product, right, wrong, before in zip(products, good, defective, scrapped_units, strict=True)
    )
    revenue = sum(product.selling_price * right for product, right in zip(products, good, strict=True))
    return Economics(exact(material), exact(per_hour(line) * seconds / 3600.0), exact(revenue))
