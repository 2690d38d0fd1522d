"""Tags with one alarm rule of every kind, and how their conditions are read and called."""

from asyncua import ua

from gateway.model.alarm import SYSTEM_TAG, AlarmRule, Level, Limit
from gateway.model.tag import Tag, TagType

NS = 2
MINUTE_NS = 60_000_000_000
Codes = ua.StatusCodes
Type = ua.VariantType
Ids = ua.ObjectIds
TAGS = [
    Tag(0, "line.oven.temp", unit="Cel", eu_range=(0.0, 60.0)),
    Tag(1, "line.oven.setpoint", unit="Cel", eu_range=(0.0, 60.0)),
    Tag(2, "line.state", type=TagType.ENUM, labels={0: "idle", 1: "fault"}),
    Tag(3, "line.level"),
    Tag(4, "line.quiet"),
    Tag(5, "free"),
]
LEVELS = (Level(Limit.LO, 10.0, 500), Level(Limit.HI, 80.0, 500), Level(Limit.HIHI, 90.0, 900))
TEMP = "line.oven.temp"
RULES = [
    AlarmRule(0, TEMP, Limit.HI, 50.0, severity=500, message="Oven too hot", cause="fan", consequence="scrap", action="stop", confirm=True),
    AlarmRule(0, TEMP, Limit.HIHI, 55.0, severity=800, latch=True, on_delay_ns=0),
    AlarmRule(0, TEMP, Limit.LO, 5.0),
    AlarmRule(0, TEMP, Limit.DEV, 40.0, target_id=1),
    AlarmRule(0, TEMP, Limit.BAD, 0.0, severity=300, re_alarm_ns=10 * MINUTE_NS),
    AlarmRule(1, "line.oven.setpoint", Limit.DISC, 1.0, target_id=0, on_delay_ns=MINUTE_NS),
    AlarmRule(2, "line.state", Limit.STATE, 1.0),
    AlarmRule(3, "line.level", Limit.LEVEL, 0.0, levels=LEVELS),
    AlarmRule(3, "line.level", Limit.ROC, 100.0),
    AlarmRule(5, "free", Limit.LOLO, 1.0),
    AlarmRule(SYSTEM_TAG, "Gateway", Limit.SYSTEM, 0.0, subject="source.plc1", severity=700),
    AlarmRule(SYSTEM_TAG, "Gateway", Limit.SYSTEM, 0.0, subject="certificate"),
]
HI, HIHI = f"{TEMP}/Alarms/HI", f"{TEMP}/Alarms/HIHI"
DEFINITIONS = {
    HI: Ids.NonExclusiveLevelAlarmType,
    HIHI: Ids.NonExclusiveLevelAlarmType,
    f"{TEMP}/Alarms/LO": Ids.NonExclusiveLevelAlarmType,
    f"{TEMP}/Alarms/DEV": Ids.NonExclusiveDeviationAlarmType,
    f"{TEMP}/Alarms/BAD": Ids.SystemOffNormalAlarmType,
    "line.oven.setpoint/Alarms/DISC": Ids.DiscrepancyAlarmType,
    "line.state/Alarms/STATE": Ids.OffNormalAlarmType,
    "line.level/Alarms/LEVEL": Ids.ExclusiveLevelAlarmType,
    "line.level/Alarms/ROC": Ids.NonExclusiveRateOfChangeAlarmType,
    "free/Alarms/LOLO": Ids.NonExclusiveLevelAlarmType,
    "Gateway/Alarms/source.plc1": Ids.SystemOffNormalAlarmType,
    "Gateway/Alarms/certificate": Ids.CertificateExpirationAlarmType,
}
CALM = {TEMP: 20.0, "line.oven.setpoint": 20.0, "line.state": 0.0, "line.level": 50.0, "free": 5.0}


def as_role(face, role):
    for session in face.sink._server.interior._external_sessions.values():
        session.caller = type(session.caller)("kim", role, session.caller.origin)


def node(client, key):
    return client.get_node(ua.NodeId(key, NS))


async def value(client, key):
    read = await node(client, key).read_value()
    return read.Text if isinstance(read, ua.LocalizedText) else read


async def values(client, condition, *paths):
    return [await value(client, f"{condition}/{path}") for path in paths]


async def status_of(client, key):
    return (await node(client, key).read_data_value(raise_on_bad_status=False)).StatusCode.value


async def call(client, owner, method, *inputs):
    """StatusCode of the operation; method: a number of the standard or a key."""
    nodeid = ua.NodeId(method) if isinstance(method, int) else ua.NodeId(method, NS)
    owner_id = ua.NodeId(owner) if isinstance(owner, int) else ua.NodeId(owner, NS)
    (result,) = await client.uaclient.call([ua.CallMethodRequest(ObjectId=owner_id, MethodId=nodeid, InputArguments=list(inputs))])
    return result.StatusCode.value


def comment(text, locale="en"):
    return ua.Variant(ua.LocalizedText(text, locale), Type.LocalizedText)


def event(identifier):
    return ua.Variant(identifier, Type.ByteString)


NO_COMMENT = ua.Variant(ua.LocalizedText(), Type.LocalizedText)
STATES = ("EnabledState/Id", "ActiveState/Id", "AckedState/Id", "ConfirmedState/Id", "Retain")
