"""What a source of `driver: replay` may say."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class Config(BaseModel):
    """A file of samples. Long form: columns timestamp, tag, value and perhaps status; wide form: timestamp and one column per tag."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: Path = Field(description="*.csv or *.parquet, in order of time")
    speed: float | Literal["max"] = Field(1.0, description="2 = twice as fast as it was recorded; max = as fast as it is taken")
    loop: bool = Field(False, description="begin again at the end, with times that go on (needs times: now)")
    times: Literal["original", "now"] = Field("original", description="source times: as recorded, or moved so that the first is now")
    kind: Literal["sensors", "manufacturing_system"] = "sensors"

    @field_validator("file")
    @classmethod
    def _readable(cls, file: Path) -> Path:
        if file.suffix not in {".csv", ".parquet"}:
            raise ValueError(f"{file.name}: a recording is a .csv or .parquet file")
        return file

    @field_validator("speed")
    @classmethod
    def _positive(cls, speed: float | str) -> float | str:
        if isinstance(speed, float) and not 0 < speed <= 1e6:
            raise ValueError("a speed lies above 0 and at most at 1000000, or is max")
        return speed

    @model_validator(mode="after")
    def _time_goes_on(self) -> Self:
        if self.loop and self.times == "original":
            raise ValueError("loop repeats the recorded times, and what is not newer is not taken: write times: now")
        return self

    @staticmethod
    def address_error(address: str) -> str | None:
        """An address is a column (wide form) or a value of the column `tag` (long form): any text will do."""
        return None if address.strip() else "name the tag or column of the file"
