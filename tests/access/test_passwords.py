"""Which passwords are refused, and how the others are kept."""

import unicodedata

import pytest
from argon2 import PasswordHasher

from gateway.access.passwords import MOST, Hasher, fault, outdated


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "elevenchars",
        "password1234",
        "P@ssw0rd1234!",
        "Passwort2026!",
        "edgetwin2026",
        "123456789012",
        "qwertyuiop123",
        "aaaaaaaaaaaa",
        "abababababab",
        "adminadminadmin",
        "hunter.hunter.hunter",
        "ann.smith123",
        "x" * (MOST + 1),
        "lone \ud800 surrogate",
    ],
)
def test_short_common_and_repeated_passwords_are_refused(password):
    assert fault(password, "ann.smith")


@pytest.mark.parametrize(
    "password", ["kettle-drum-seven", "Tr0ub4dor&3-more", "ßäöü weiß grün", "x7#kQ9!pL2zz", "長い合言葉はとても安全なのです"]
)
def test_long_and_uncommon_ones_are_taken(password):
    assert fault(password, "ann") is None


async def test_a_password_matches_in_either_form_of_its_letters_and_no_other_does():
    hasher = Hasher()
    kept = await hasher.hash("über-die-brücke")
    assert "m=19456,t=2,p=1" in kept
    assert await hasher.matches(kept, unicodedata.normalize("NFD", "über-die-brücke"))
    assert not await hasher.matches(kept, "uber-die-brucke")
    assert not await hasher.matches(kept, "x" * (MOST + 1))
    assert not await hasher.matches(kept, "\ud800")


async def test_nobodys_hash_matches_nothing_and_is_of_the_same_parameters():
    hasher = Hasher()
    assert not await hasher.matches("", "")
    assert not await hasher.matches("not a hash", "anything at all")
    assert not outdated(await hasher.hash("kettle-drum-seven"))
    assert outdated(PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash("kettle-drum-seven"))
