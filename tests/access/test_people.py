"""Signing in: by password, certificate and token, with delays, records and sign-out everywhere."""

import asyncio
import hashlib
import time

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.access.people import People
from gateway.access.users import Conflict, NotDone, Nowhere, Unfit, Unknown
from gateway.contracts import SignInRefused
from gateway.model.command import Caller

PASSWORD = "kettle-drum-seven"
HERE, THERE = "web:10.0.0.7", "web:10.0.0.8"
DAY_NS = 86_400_000_000_000


class Site:
    """People with a clock in the test's hands."""

    def __init__(self):
        self.clock_s, self.now_ns, self.records, self.revoked = 0.0, 1_800_000_000_000_000_000, [], []
        self.written = asyncio.Queue()
        self.people = People(None, self._record, now_ns=lambda: self.now_ns, clock=lambda: self.clock_s)
        self.people.on_revoked(self.revoked.append)

    async def _record(self, sign_in):
        self.records.append(sign_in)
        self.written.put_nowait(sign_in)

    async def refused(self, user="ann", password="wrong", origin=HERE):
        with pytest.raises(SignInRefused) as caught:
            await self.people.sign_in(user, password, origin)
        return caught.value


@pytest.fixture
async def site():
    made = Site()
    await made.people.users.add("ann", "operator", PASSWORD)
    await made.people.users.add("root", "admin", PASSWORD + "!")
    return made


async def test_a_user_signs_in_in_any_case_of_letters_and_is_named_as_kept(site):
    caller = await site.people.sign_in("ANN", PASSWORD, HERE)
    assert (caller.user, caller.role, caller.origin) == ("ann", "operator", HERE)
    assert [(record.user, record.by, record.why) for record in site.records] == [("ann", "password", "")]


async def test_an_unknown_a_disabled_and_a_wrong_one_are_refused_alike(site):
    await site.people.users.disable("ann")
    words = [(await site.refused(*attempt)).why for attempt in (("nobody", PASSWORD), ("ann", PASSWORD), ("root", PASSWORD))]
    assert len(set(words)) == 1
    assert [record.user for record in site.records] == ["nobody", "ann", "root"]


async def test_after_five_failures_even_the_right_password_waits_and_an_unknown_name_too(site):
    for _ in range(5):
        await site.refused("ann", origin=THERE)
        await site.refused("nobody", origin="web:10.0.0.9")
    assert (await site.refused("ann", PASSWORD, HERE)).wait_s == 1.0
    assert (await site.refused("nobody", PASSWORD, HERE)).wait_s == 1.0
    site.clock_s += 1.0
    assert (await site.people.sign_in("ann", PASSWORD, HERE)).user == "ann"


async def test_an_address_that_guesses_names_is_slowed_down(site):
    for n in range(5):
        await site.refused(f"user{n}")
    assert (await site.refused("ann", PASSWORD)).wait_s == 1.0
    assert (await site.people.sign_in("ann", PASSWORD, THERE)).user == "ann"


async def test_others_cannot_shut_a_user_out_of_the_place_where_that_one_works(site):
    await site.people.sign_in("ann", PASSWORD, HERE)
    for _ in range(5):
        await site.refused("ann", origin=THERE)
    assert (await site.refused("ann", PASSWORD, "web:10.0.0.9")).wait_s > 0
    assert (await site.people.sign_in("ann", PASSWORD, HERE)).user == "ann"


async def test_unlocking_ends_the_delay_at_once(site):
    for n in range(5):
        await site.refused("ann", origin=f"web:10.0.1.{n}")
    assert site.people.locked_s("ann") == 1.0
    site.people.unlock("ann")
    assert site.people.locked_s("ann") == 0
    await site.people.sign_in("ann", PASSWORD, HERE)


async def test_an_attempt_counts_also_when_the_caller_goes_away(site):
    for _ in range(5):
        attempt = asyncio.create_task(site.people.sign_in("ann", "wrong", THERE))
        await asyncio.sleep(0)
        attempt.cancel()
    for _ in range(5):
        await site.written.get()
    assert site.people.locked_s("ann") == 1.0


async def test_many_at_once_are_tried_one_by_one_and_the_guesses_among_them_meet_the_delay(site):
    tries = await asyncio.gather(*(site.people.sign_in("ann", f"wrong {n}", THERE) for n in range(8)), return_exceptions=True)
    assert sorted(refused.why for refused in tries) == ["too many failures"] * 3 + ["wrong name or password"] * 5


async def test_a_flood_of_failures_leaves_few_records_that_say_how_many_there_were(site):
    """Of one address, and of all together: neither fills the disk."""
    for _ in range(100):
        await site.people.told(Caller("", "", HERE), "link", "no such link, or not any more")
    assert len(site.records) == 30
    for n in range(400):
        await site.people.told(Caller("", "", f"web:10.1.{n // 250}.{n % 250}"), "link", "no such link, or not any more")
    assert len(site.records) == 300
    site.clock_s += 60.0
    await site.refused(origin=HERE)
    assert site.records[-1].left_out == 70 + 130


async def test_whoever_guesses_is_seen_whatever_a_flood_from_elsewhere_does(site):
    for _ in range(1000):
        assert await site.people.bearer("edgetwin_old", THERE) is None
    await site.refused("root", origin=HERE)
    assert (site.records[-1].user, site.records[-1].origin) == ("root", HERE)


async def test_disabling_a_new_password_another_role_and_removal_sign_out_everywhere(site):
    users = site.people.users
    await users.disable("ann")
    await users.enable("ann")
    await users.set_password("ann", "another-kettle-drum")
    await users.set_role("ann", "viewer")
    await users.remove("ann")
    assert site.revoked == ["ann"] * 4


async def test_the_last_admin_stays(site):
    users = site.people.users
    for change in (users.disable("root"), users.remove("root"), users.set_role("root", "manager")):
        with pytest.raises(Conflict, match="last admin"):
            await change
    await users.add("second", "admin", PASSWORD)
    await users.remove("root")


@pytest.mark.parametrize("name", ["", "a:b", "-x", "x" * 65, "anonymous", "Local", "a b", "a\n"])
async def test_names_that_could_be_mistaken_are_refused(site, name):
    with pytest.raises(Unfit):
        await site.people.users.add(name, "viewer", PASSWORD)


async def test_bad_roles_weak_passwords_doubles_and_strangers_are_refused(site):
    users = site.people.users
    with pytest.raises(Unfit, match="role"):
        await users.add("bob", "root", PASSWORD)
    with pytest.raises(Unfit, match="12 characters"):
        await users.set_password("ann", "short")
    with pytest.raises(Conflict, match="already"):
        await users.add("Ann", "viewer", PASSWORD)
    with pytest.raises(Unknown):
        await users.set_role("bob", "viewer")
    with pytest.raises(Unfit, match="password or a certificate"):
        await users.add("bob", "viewer")


async def test_a_certificate_is_recognised_by_its_sha_256_alone(site):
    await site.people.users.add("robot", "operator", certificate=hashlib.sha256(b"der").hexdigest().upper())
    assert (await site.people.recognise(b"der", "opcua:10.0.0.7")).user == "robot"
    with pytest.raises(SignInRefused):
        await site.people.recognise(b"other", "opcua:10.0.0.7")
    await site.people.users.disable("robot")
    with pytest.raises(SignInRefused):
        await site.people.recognise(b"der", "opcua:10.0.0.7")
    assert [record.why for record in site.records] == ["", "nobody has this certificate", "disabled"]


async def test_a_token_is_good_until_it_expires_or_is_revoked(site):
    tokens = site.people.tokens
    token, secret = await tokens.create("historian", "viewer", 1.0)
    assert secret not in repr(token)
    caller = await site.people.bearer(secret, HERE)
    assert (caller.user, caller.role) == ("token:historian", "viewer")
    site.now_ns += DAY_NS
    assert await site.people.bearer(secret, HERE) is None
    lasting, secret = await tokens.create("historian", "viewer", None)
    assert await site.people.bearer(secret, HERE)
    await tokens.revoke(lasting.token_id)
    assert await site.people.bearer(secret, HERE) is None


async def test_a_persons_token_ends_with_any_change_of_that_person(site):
    site.now_ns += 1
    _, secret = await site.people.tokens.create("laptop", "operator", 30.0, owner="ann")
    assert (await site.people.bearer(secret, HERE)).user == "ann"
    site.now_ns += 1
    await site.people.users.set_role("ann", "viewer")
    assert await site.people.bearer(secret, HERE) is None


async def test_a_token_made_while_the_clock_was_ahead_ends_with_its_person_all_the_same(site):
    """And one made after the clock was set back is good at once."""
    _, early = await site.people.tokens.create("laptop", "operator", 30.0, owner="ann")
    site.now_ns -= DAY_NS
    _, late = await site.people.tokens.create("laptop", "operator", 30.0, owner="ann")
    assert await site.people.bearer(early, HERE)
    assert await site.people.bearer(late, HERE)
    await site.people.users.set_password("ann", PASSWORD + " two")
    assert await site.people.bearer(early, HERE) is None
    assert await site.people.bearer(late, HERE) is None


async def test_a_token_that_is_made_while_its_person_is_signed_out_opens_nothing(monkeypatch, site):
    """On disk neither: it would be back after a restart."""
    on_disk, real = set(), Nowhere()

    async def put_token(token):
        on_disk.add(token.token_id)
        await site.people.users.disable("ann")

    async def remove_tokens(token_ids):
        on_disk.difference_update(token_ids)

    monkeypatch.setattr(real, "put_token", put_token)
    monkeypatch.setattr(real, "remove_tokens", remove_tokens)
    site.people.tokens._repository = real
    with pytest.raises(Conflict):
        await site.people.tokens.create("laptop", "operator", 30.0, owner="ann")
    assert not site.people.tokens.all()
    assert not on_disk


@pytest.mark.parametrize("by", ["password", "certificate"])
@pytest.mark.parametrize("change", [("disable",), ("set_role", "viewer"), ("set_password", PASSWORD + " two"), ("remove",)])
async def test_who_is_signed_out_while_the_sign_in_is_recorded_is_not_let_in(site, change, by):
    """The password was right a moment ago; a session opened now would outlive the sign-out."""
    await site.people.users.set_certificate("ann", hashlib.sha256(b"der").hexdigest())
    verb, *args = change

    async def record(sign_in):
        site.records.append(sign_in)
        if not sign_in.why:
            site.now_ns += 1
            await getattr(site.people.users, verb)("ann", *args)

    site.people._record = record
    with pytest.raises(SignInRefused):
        await (site.people.sign_in("ann", PASSWORD, HERE) if by == "password" else site.people.recognise(b"der", HERE))
    assert [record.why for record in site.records] == ["", "signed out meanwhile"]


async def test_a_person_has_twenty_tokens_and_the_oldest_gives_way(site):
    secrets = []
    for n in range(21):
        site.now_ns += 1
        secrets.append((await site.people.tokens.create(f"laptop {n}", "operator", 30.0, owner="ann"))[1])
    assert await site.people.bearer(secrets[0], HERE) is None
    assert all([await site.people.bearer(secret, HERE) for secret in secrets[1:]])


async def test_many_sign_ins_of_one_hide_none_of_another(site):
    for _ in range(100):
        await site.people.told(Caller("ann", "operator", HERE), "link")
    await site.people.told(Caller("root", "admin", HERE), "link")
    await site.people.told(Caller("ann", "operator", THERE), "link")
    assert [(record.user, record.origin) for record in site.records[30:]] == [("root", HERE), ("ann", THERE)]


async def test_a_program_with_an_old_token_or_one_wrong_password_shuts_nobody_else_out(site):
    _, secret = await site.people.tokens.create("historian", "viewer", None)
    for _ in range(20):
        assert await site.people.bearer("edgetwin_old", HERE) is None
        await site.refused("scada", origin=HERE)
    assert site.people.locked_s("scada") > 0
    assert await site.people.bearer(secret, HERE)
    assert (await site.people.sign_in("ann", PASSWORD, HERE)).user == "ann"


async def test_an_unknown_name_takes_as_long_as_a_wrong_password(site):
    async def shortest(user):
        taken = []
        for n in range(3):
            began = time.process_time()
            await site.refused(user, f"wrong {n}", f"web:10.2.{n}.1")
            taken.append(time.process_time() - began)  # other programs may have the cores
        return min(taken)

    assert 0.3 < await shortest("nobody") / await shortest("root") < 3.0


class Crowd(RuleBasedStateMachine):
    """Whatever is done to users: once there is an admin, there is one, and whoever changed is signed out."""

    def __init__(self):
        super().__init__()
        self.revoked = []
        self.users = People().users
        self.users.on_revoked(self.revoked.append)
        self.had_admin = False

    @rule(
        verb=st.sampled_from(["add", "set_role", "disable", "enable", "remove"]),
        name=st.sampled_from(["ann", "bob", "cid"]),
        role=st.sampled_from(["viewer", "admin"]),
    )
    def change(self, verb, name, role):
        self.revoked.clear()
        before = self.users.find(name)
        args = {"add": (name, role, "", hashlib.sha256(name.encode()).hexdigest()), "set_role": (name, role)}.get(verb, (name,))
        try:
            asyncio.run(getattr(self.users, verb)(*args))
        except NotDone:
            assert self.users.find(name) is before
            assert not self.revoked
        else:
            assert self.revoked == ([] if verb in ("add", "enable") else [name])
        self.had_admin |= any(user.role == "admin" and not user.disabled for user in self.users.all())

    @invariant()
    def somebody_manages(self):
        assert not self.had_admin or any(user.role == "admin" and not user.disabled for user in self.users.all())


Crowd.TestCase.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
TestCrowd = Crowd.TestCase


async def test_people_change_their_own_password_by_the_present_one(site):
    caller = await site.people.sign_in("ann", PASSWORD, HERE)
    with pytest.raises(SignInRefused):
        await site.people.change_own_password(caller, "wrong", "another-kettle-drum")
    with pytest.raises(Unfit):
        await site.people.change_own_password(caller, PASSWORD, PASSWORD)
    await site.people.change_own_password(caller, PASSWORD, "another-kettle-drum")
    await site.people.sign_in("ann", "another-kettle-drum", HERE)
