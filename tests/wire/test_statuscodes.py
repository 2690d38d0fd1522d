"""Names of StatusCodes: all those of the standard, both ways, at no cost for whoever meets the usual ones alone."""

import subprocess
import sys

from asyncua import ua

from gateway.model import quality
from gateway.model.statuscodes import NAMES


def test_every_name_of_the_standard_is_known_both_ways():
    standard = {
        name: code for name, code in vars(ua.StatusCodes).items() if name.startswith(("Good", "Uncertain", "Bad")) and isinstance(code, int)
    }
    assert {name: code for code, name in NAMES.items()} == standard
    for name, code in standard.items():
        assert (quality.name(code), quality.code(name)) == (name, code)


def test_info_bits_do_not_hide_the_name_and_codes_of_nobody_are_written_in_hexadecimal():
    assert quality.name(0x808B_0000 | 0x0480) == "BadDeviceFailure"
    assert quality.name(0x8025_0000 | 0x0480) == "BadSessionIdInvalid"
    assert quality.name(0x8FFF_0000) == "0x8FFF0000"
    assert quality.code("0x8FFF0000") == 0x8FFF_0000
    assert quality.code("BadWeather") is None
    assert quality.code("weather") is None


def test_the_table_is_read_only_when_it_is_needed():
    words = "import sys; from gateway.model import quality; quality.name(0x800A_0000); print('gateway.model.statuscodes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", words], capture_output=True, text=True, check=True).stdout.strip() == "False"
