// An operator's and an engineer's alarm list of the running gateway, driven by hand: everything that can be done to a condition.
//   node live_alarms.mjs <url> <condition> <password> <before|after>     prints the states it was told as one line of JSON
import * as nodeOpcua from "node-opcua-client";
import { Subscription, connect, done, id, refused, user, write } from "./live.mjs";

const { AttributeIds, DataType, constructEventFilter, ofType, resolveNodeId } = nodeOpcua;
const [url, name, password, when] = process.argv.slice(2);
const found = {};
const ola = await connect(url, user("ola", password)), eve = await connect(url, user("eve", password));
const FIELDS = [
  "EventId", "EventType", "SourceName", "ConditionName", "Message", "Severity", "ActiveState.Id", "AckedState.Id", "ConfirmedState.Id", "EnabledState.Id",
  "ShelvingState.CurrentState", "SuppressedState.Id", "OutOfServiceState.Id", "Retain", "Comment", "ClientUserId",
];
const list = await Subscription.open(ola.session);
await list.add({ alarms: [resolveNodeId("Server"), { attribute: AttributeIds.EventNotifier, size: 1000, filter: constructEventFilter(FIELDS, ofType("AlarmConditionType")) }],
  refresh: [resolveNodeId("Server"), { attribute: AttributeIds.EventNotifier, size: 1000, filter: constructEventFilter(["EventType"]) }] });
const shown = (fields) => Object.fromEntries(FIELDS.map((field, at) => [field, fields[at]]));
const mine = () => list.heard.alarms.map(shown).filter((one) => `${one.SourceName}/Alarms/${one.ConditionName}` === name);
const told = async (what, test) => {
  await list.until(what, () => mine().some(test));
  const last = mine().findLast(test);
  list.forget();
  return last;
};
const call = (who, method, inputs = [], object = name) =>
  refused(who.session.call({ objectId: object === name ? id(name) : object, methodId: resolveNodeId(method), inputArguments: inputs }).then((one) => one.statusCode));
const text = (value) => ({ dataType: DataType.LocalizedText, value: { text: value, locale: "en" } });
const bytes = (value) => ({ dataType: DataType.ByteString, value: Buffer.from(value, "hex") });
const shelving = id(`${name}/ShelvingState`);
const refresh = async () => {
  list.forget();
  const status = await call(ola, "i=3875", [{ dataType: DataType.UInt32, value: list.id }], resolveNodeId("ConditionType"));
  await list.until("the end of the refresh", (heard) => heard.refresh.some(([type]) => String(type).includes("2788")));
  const answer = { status, order: list.heard.refresh.map(([type]) => String(type)), alarm: mine().at(-1) };
  list.forget();
  return answer;
};

if (when === "before") {
  await write(ola.session, "line.temp", 20);
  await write(ola.session, "line.temp", 60);
  found.event = await told("active", (one) => one["ActiveState.Id"]);
  const eventId = bytes(found.event.EventId);
  found.unknownEvent = await call(ola, "i=9111", [bytes("00".repeat(16)), text("no")]);
  found.commented = [await call(ola, "i=9029", [eventId, text("looking")]), (await told("commented", (one) => one.Comment === "looking")).ClientUserId];
  found.acknowledged = [await call(ola, "i=9111", [eventId, text("seen")]), await call(ola, "i=9111", [eventId, text("again")])];
  found.acked = await told("acknowledged", (one) => one["AckedState.Id"]);
  found.confirmed = [await call(ola, "i=9113", [bytes(found.acked.EventId), text("fan replaced")]), await call(ola, "i=9113", [eventId, text("")])];
  found.confirm = await told("confirmed", (one) => one["ConfirmedState.Id"]);

  // shelved for a while, until it returns, and not at all
  const duration = (value) => [{ dataType: DataType.Double, value }];
  found.shelved = [await call(ola, "i=9213", duration(1e15), shelving), await call(ola, "i=9213", duration(700), shelving)];
  found.timed = (await told("shelved", (one) => one["ShelvingState.CurrentState"] === "Timed Shelved"))["ShelvingState.CurrentState"];
  found.expired = (await told("expired", (one) => one["ShelvingState.CurrentState"] === "Unshelved")).Retain;
  found.notShelved = await call(ola, "i=9211", [], shelving);
  found.once = [await call(ola, "i=9212", [], shelving), await call(ola, "i=9212", [], shelving)];
  await told("shelved once", (one) => one["ShelvingState.CurrentState"] === "One Shot Shelved");
  found.unshelved = await call(ola, "i=9211", [], shelving);
  await told("unshelved", (one) => one["ShelvingState.CurrentState"] === "Unshelved");
  await call(ola, "i=9212", [], shelving);
  await write(ola.session, "line.temp", 20);
  await told("unshelved by its return", (one) => one["ShelvingState.CurrentState"] === "Unshelved" && !one["ActiveState.Id"]);

  // what an operator may not and an engineer may
  found.suppress = [await call(ola, "i=16403"), await call(eve, "i=16403")];
  await told("suppressed", (one) => one["SuppressedState.Id"]);
  found.unsuppress = await call(eve, "i=17868");
  await told("unsuppressed", (one) => !one["SuppressedState.Id"]);
  found.service = [await call(eve, "i=17869"), await call(eve, "i=17870")];
  await told("in service", (one) => !one["OutOfServiceState.Id"]);
  found.disable = [await call(ola, "i=9028"), await call(eve, "i=9028"), await call(eve, "i=9028")];
  await told("disabled", (one) => !one["EnabledState.Id"]);
  await write(ola.session, "line.temp", 61);
  found.enable = [await call(eve, "i=9027"), await call(eve, "i=9027")];
  await told("enabled, and active at once", (one) => one["EnabledState.Id"] && one["ActiveState.Id"]);
  const now = await refresh();
  found.refreshed = now;
  found.last = [await call(ola, "i=9111", [bytes(now.alarm.EventId), text("for the night")]), now.alarm.EventId];
  await told("acknowledged", (one) => one["AckedState.Id"]);
  found.kept = (await refresh()).alarm;
} else {
  found.refreshed = await refresh();
  found.confirm = await call(ola, "i=9113", [bytes(found.refreshed.alarm.EventId), text("in the morning")]);
  await told("confirmed", (one) => one["ConfirmedState.Id"]);
  await write(ola.session, "line.temp", 20);
  found.gone = await told("back to normal", (one) => !one["ActiveState.Id"]);
  found.foreign = await call(ola, "i=3875", [{ dataType: DataType.UInt32, value: 4711 }], resolveNodeId("ConditionType"));
}
await ola.close();
await eve.close();
done(found);
