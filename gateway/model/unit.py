"""Units of measure: UCUM inside and in JSON, the UNECE common code on OPC UA (Part 8, 5.6.4.3)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit. value in the dimension's base unit = value * factor + offset."""

    ucum: str
    unece: str
    symbol: str
    name: str
    dimension: str
    factor: float
    offset: float

    @property
    def unit_id(self) -> int:
        """EUInformation.unitId: the common code's characters as big-endian bytes; -1 where UNECE has no code."""
        return int.from_bytes(self.unece.encode("ascii"), "big") if self.unece else -1
