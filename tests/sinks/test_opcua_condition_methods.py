"""What clients may do to conditions (Part 9, 5.5 to 5.8): every Method, with what it refuses."""

import pytest
from asyncua import Client, ua

from gateway.model.alarm import event_id
from support.opcua_conditions import (
    CALM,
    HI,
    HIHI,
    NO_COMMENT,
    RULES,
    STATES,
    TAGS,
    TEMP,
    Codes,
    Ids,
    Type,
    as_role,
    call,
    comment,
    event,
    node,
    status_of,
    value,
    values,
)
from support.opcua_face import opcua_face


@pytest.fixture
async def face():
    async with opcua_face(TAGS, RULES) as running:
        await running.step(CALM)
        yield running


@pytest.fixture
async def client(face):
    async with Client(face.sink.url, timeout=10) as connected:
        yield connected


# --- Methods -----------------------------------------------------------------------------------------------------------------------------


async def raised(face, client, **step):
    """A temperature that is too high; the EventId."""
    await face.step(step or {TEMP: 52.0})
    return event(await value(client, f"{HI}/EventId"))


@pytest.mark.parametrize(
    "method", [Ids.AcknowledgeableConditionType_Acknowledge, f"{HI}/Acknowledge"], ids=["of the type", "of the instance"]
)
async def test_acknowledge_and_confirm_with_user_and_comment(face, client, method):
    identifier = await raised(face, client)
    as_role(face, "operator")
    assert await call(client, HI, method, identifier, comment("seen")) == Codes.Good
    assert await values(client, HI, *STATES) == [True, True, True, False, True]
    assert await values(client, HI, "Comment", "ClientUserId") == ["seen", "kim"]
    assert await call(client, HI, method, event(await value(client, f"{HI}/EventId")), NO_COMMENT) == Codes.BadConditionBranchAlreadyAcked
    assert await call(client, HI, Ids.AcknowledgeableConditionType_Confirm, identifier, comment("fan repaired")) == Codes.Good
    assert await values(client, HI, "ConfirmedState", "Comment") == ["Confirmed", "fan repaired"]
    again = await call(client, HI, Ids.AcknowledgeableConditionType_Confirm, identifier, NO_COMMENT)
    assert again == Codes.BadConditionBranchAlreadyConfirmed


async def test_an_event_id_must_be_of_this_condition_and_of_its_present_alarm(face, client):
    first = await raised(face, client)
    await face.step({TEMP: 20.0})
    returned = event(await value(client, f"{HI}/EventId"))
    acknowledge = Ids.AcknowledgeableConditionType_Acknowledge
    serial = face.engine.condition(HI).serial
    for wrong in (b"", b"x" * 16, event_id(HIHI, serial), event_id(HI, serial + 1), event_id(HI, 0)):
        assert await call(client, HI, acknowledge, event(wrong), NO_COMMENT) == Codes.BadEventIdUnknown
    assert await call(client, HI, acknowledge, ua.Variant(None, Type.ByteString), NO_COMMENT) == Codes.BadEventIdUnknown
    second = await raised(face, client)
    for old in (first, returned):
        assert await call(client, HI, acknowledge, old, NO_COMMENT) == Codes.BadEventIdUnknown
    assert await call(client, HI, acknowledge, second, NO_COMMENT) == Codes.Good


async def test_who_may_not_is_denied(face, client):
    identifier = await raised(face, client)
    as_role(face, "viewer")
    assert await call(client, HI, Ids.AcknowledgeableConditionType_Acknowledge, identifier, NO_COMMENT) == Codes.BadUserAccessDenied
    as_role(face, "operator")
    assert await call(client, HI, Ids.ConditionType_Disable) == Codes.BadUserAccessDenied
    assert await call(client, HI, Ids.AlarmConditionType_Suppress) == Codes.BadUserAccessDenied
    assert face.commands.asked == []
    assert (await node(client, f"{HI}/Disable").read_attribute(ua.AttributeIds.UserExecutable)).Value.Value is False


async def test_a_method_that_this_condition_has_not_is_invalid(face, client):
    as_role(face, "admin")
    identifier = await raised(face, client)
    assert await call(client, HIHI, Ids.AcknowledgeableConditionType_Confirm, identifier, NO_COMMENT) == Codes.BadMethodInvalid
    assert await call(client, HI, Ids.AlarmConditionType_Reset) == Codes.BadMethodInvalid
    assert await call(client, HIHI, f"{HI}/Acknowledge", identifier, NO_COMMENT) == Codes.BadMethodInvalid
    assert await call(client, TEMP, Ids.AcknowledgeableConditionType_Acknowledge, identifier, NO_COMMENT) == Codes.BadMethodInvalid
    gone = f"{TEMP}/Alarms/LOLO"
    assert await call(client, gone, Ids.AcknowledgeableConditionType_Acknowledge, identifier, NO_COMMENT) == Codes.BadNodeIdUnknown


async def test_comments_are_kept_with_their_user_and_an_empty_one_without_locale_is_ignored(face, client):
    identifier = await raised(face, client)
    as_role(face, "operator")
    add = Ids.ConditionType_AddComment
    assert await call(client, HI, add, identifier, comment("look at the fan")) == Codes.Good
    assert await values(client, HI, "Comment", "ClientUserId") == ["look at the fan", "kim"]
    before = await value(client, f"{HI}/EventId")
    assert before != identifier.Value
    assert await call(client, HI, add, event(before), NO_COMMENT) == Codes.Good
    assert await values(client, HI, "Comment", "EventId") == ["look at the fan", before]
    assert await call(client, HI, add, event(b"never"), comment("x")) == Codes.BadEventIdUnknown
    assert await call(client, HI, add, event(before), comment("", "en")) == Codes.Good  # an empty one with a locale takes it away
    assert not await value(client, f"{HI}/Comment")


async def test_a_method_without_a_comment_leaves_what_was_said_by_whom_and_when(face, client):
    """Part 9, 5.5.2 (Comment, ClientUserId)."""
    identifier = await raised(face, client)
    as_role(face, "engineer")
    told = ("Comment", "ClientUserId", "Comment/SourceTimestamp")
    assert await call(client, HI, Ids.ConditionType_AddComment, identifier, comment("look at the fan")) == Codes.Good
    before = await values(client, HI, *told)
    assert before[:2] == ["look at the fan", "kim"]
    assert await call(client, HI, Ids.AlarmConditionType_Suppress) == Codes.Good
    assert await call(client, HI, Ids.AcknowledgeableConditionType_Acknowledge, identifier, NO_COMMENT) == Codes.Good
    assert await values(client, HI, *told) == before


@pytest.mark.parametrize("where", [HI, f"{HI}/ShelvingState"], ids=["of the condition", "of its state machine"])
async def test_shelving_for_a_while_or_until_it_returns(face, client, where):
    await raised(face, client)
    as_role(face, "operator")
    timed, once, ends = (getattr(Ids, f"AlarmConditionType_ShelvingState_{name}") for name in ("TimedShelve", "OneShotShelve", "Unshelve"))
    state = ("ShelvingState/CurrentState", "SuppressedOrShelved")
    assert await call(client, where, ends) == Codes.BadConditionNotShelved
    for wrong in (0.0, -1.0, float("nan"), float("inf"), 1e300, 9 * 3_600_000.0):
        assert await call(client, where, timed, ua.Variant(wrong, Type.Double)) == Codes.BadShelvingTimeOutOfRange
    assert await call(client, where, timed, ua.Variant(60_000.0, Type.Double)) == Codes.Good
    assert await values(client, HI, *state) == ["Timed Shelved", True]
    assert 0 < await value(client, f"{HI}/ShelvingState/UnshelveTime") <= 60_000.0
    assert (await value(client, f"{HI}/ShelvingState/CurrentState/Id")).Identifier == Ids.ShelvedStateMachineType_TimedShelved
    assert await call(client, where, timed, ua.Variant(60_000.0, Type.Double)) == Codes.BadConditionAlreadyShelved
    assert await call(client, where, ends) == Codes.Good
    assert await call(client, where, once) == Codes.Good
    assert await values(client, HI, *state) == ["One Shot Shelved", True]
    await face.step({TEMP: 20.0})
    assert await values(client, HI, *state) == ["Unshelved", False]
    assert await value(client, f"{HI}/ShelvingState/UnshelveTime") == 0.0


async def test_the_second_forms_of_methods_take_a_comment(face, client):
    as_role(face, "admin")
    await raised(face, client)
    shelving = f"{HI}/ShelvingState"
    for owner, method, inputs, state, word in (
        (shelving, "TimedShelve2", [ua.Variant(1000.0, Type.Double)], "ShelvingState/CurrentState", "Timed Shelved"),
        (shelving, "OneShotShelve2", [], "ShelvingState/CurrentState", "One Shot Shelved"),
        (shelving, "Unshelve2", [], "ShelvingState/CurrentState", "Unshelved"),
        (HI, "Suppress2", [], "SuppressedState", "Suppressed"),
        (HI, "Unsuppress2", [], "SuppressedState", "Unsuppressed"),
        (HI, "RemoveFromService2", [], "OutOfServiceState", "Out of Service"),
        (HI, "PlaceInService2", [], "OutOfServiceState", "In Service"),
    ):
        assert await call(client, owner, f"{owner}/{method}", *inputs, comment(f"said at {method}")) == Codes.Good
        assert await values(client, HI, state, "Comment") == [word, f"said at {method}"]


async def test_suppressed_out_of_service_and_in_service_again(face, client):
    as_role(face, "engineer")
    for method, state, word in (
        (Ids.AlarmConditionType_Suppress, "SuppressedState", "Suppressed"),
        (Ids.AlarmConditionType_Unsuppress, "SuppressedState", "Unsuppressed"),
        (Ids.AlarmConditionType_RemoveFromService, "OutOfServiceState", "Out of Service"),
        (Ids.AlarmConditionType_PlaceInService, "OutOfServiceState", "In Service"),
    ):
        assert await call(client, HI, method) == Codes.Good
        assert await values(client, HI, state) == [word]
        assert await value(client, f"{HI}/SuppressedOrShelved") is (word in ("Suppressed", "Out of Service"))


async def test_a_latched_condition_stays_until_its_reset(face, client):
    as_role(face, "admin")
    await face.step({TEMP: 58.0})
    identifier = event(await value(client, f"{HIHI}/EventId"))
    await face.step({TEMP: 20.0})
    assert await values(client, HIHI, "ActiveState/Id", "LatchedState") == [True, "Latched"]
    assert await call(client, HIHI, Ids.AlarmConditionType_Reset) == Codes.BadInvalidState
    assert await call(client, HIHI, Ids.AcknowledgeableConditionType_Acknowledge, identifier, NO_COMMENT) == Codes.Good
    assert await call(client, HIHI, Ids.AlarmConditionType_Reset) == Codes.Good
    assert await values(client, HIHI, "ActiveState/Id", "LatchedState", "Retain") == [False, "Unlatched", False]


async def test_of_a_disabled_condition_little_is_known(face, client):
    """Part 9, 5.5.2: not retained, and its states are BadConditionDisabled; Enable brings it back as it is then."""
    as_role(face, "admin")
    await raised(face, client)
    assert await call(client, HI, Ids.ConditionType_Enable) == Codes.BadConditionAlreadyEnabled
    assert await call(client, HI, Ids.ConditionType_Disable) == Codes.Good
    assert await call(client, HI, f"{HI}/Disable") == Codes.BadConditionAlreadyDisabled
    assert await values(client, HI, "EnabledState", "EnabledState/Id", "Retain", "ConditionName") == ["Disabled", False, False, "HI"]
    for state in ("ActiveState/Id", "AckedState", "ShelvingState/CurrentState", "HighState/Id", "Quality"):
        assert await status_of(client, f"{HI}/{state}") == Codes.BadConditionDisabled
    assert await call(client, HI, Ids.AlarmConditionType_Suppress) == Codes.BadConditionDisabled
    assert await call(client, HI, Ids.ConditionType_Enable) == Codes.Good
    assert await values(client, HI, "EnabledState", "ActiveState/Id") == ["Enabled", True]
