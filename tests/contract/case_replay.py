"""The replay driver; its plant is a file that holds all that the suite wants to hear, read as fast as it is taken."""

from contextlib import asynccontextmanager

from cases import DriverCase

from gateway.model.tag import Tag

TAGS = (Tag(0, "temp", "tape", "temp"), Tag(1, "other", "tape", "other"))
VALUES = [1.5, 10.0, 20.0, *(float(number) for number in range(100, 120))]


class Tape:
    def __init__(self, file):
        self.file = file
        self.keys = {"file": str(file), "speed": "max"}
        self.tags = TAGS

    async def emit(self, value):
        assert value in VALUES

    async def start(self):
        rows = [f"2026-01-01T00:00:{number:02d}Z,{value},{-value}" for number, value in enumerate(VALUES)]
        self.file.write_text("\n".join(["timestamp,temp,other", *rows, ""]))

    async def stop(self):
        self.file.unlink()


@asynccontextmanager
async def plant(folder):
    tape = Tape(folder / "tape.csv")
    await tape.start()
    yield tape


DRIVER = DriverCase(
    name="replay",
    driver="drivers.replay.driver:ReplayDriver",
    config="drivers.replay.config:Config",
    peer=plant,
    absent=lambda folder: {"file": str(folder / "nothing.csv")},
    tags=TAGS,
    endless=False,
)
