// A SCADA client's alarm list on node-opcua: what it shows of one condition while it is acknowledged, confirmed, commented and shelved.
//   node alarms.mjs <url> <condition>     prints the states it saw as one line of JSON
import * as nodeOpcua from "node-opcua-client";

const { OPCUAClient, AttributeIds, DataType, installAlarmMonitoring, uninstallAlarmMonitoring, resolveNodeId } = nodeOpcua;

const [url, name] = process.argv.slice(2);
const within = (ms, what, promise) =>
  Promise.race([promise, new Promise((_, no) => setTimeout(() => no(new Error(`not within ${ms} ms: ${what}`)), ms).unref())]);

const client = OPCUAClient.create({ endpointMustExist: false, connectionStrategy: { maxRetry: 0 }, requestedSessionTimeout: 60000 });
await within(10000, "connect", client.connect(url));
const session = await within(10000, "session", client.createSession());
const conditionId = resolveNodeId(`ns=2;s=${name}`);
const found = { seen: [], statuses: {} };

const list = await within(20000, "alarm list", installAlarmMonitoring(session));
const plain = (variant) => {
  const value = variant?.value;
  if (variant === null || variant === undefined) return undefined;
  return value !== null && typeof value === "object" ? value.text ?? value.name ?? null : value;
};
const FIELDS = {
  active: "activeState.id", acked: "ackedState.id", confirmed: "confirmedState.id", shelved: "shelvingState.currentState",
  suppressed: "suppressedState.id", out: "outOfServiceState.id", enabled: "enabledState.id", retain: "retain", comment: "comment",
  user: "clientUserId", message: "message", severity: "severity", source: "sourceName", condition: "conditionName", silenced: "suppressedOrShelved",
};
let now = null;
function take(alarm) {
  if (alarm.conditionId.toString() !== conditionId.toString()) return;
  now = { eventId: alarm.eventId, shown: {} };
  const fields = alarm.fields;
  for (const [key, path] of Object.entries(FIELDS)) {
    const at = path.split(".").reduce((level, step) => level?.[step], fields) ?? fields[path];
    now.shown[key] = plain(at);
  }
  found.seen.push(now.shown);
}
for (const alarm of list.alarms()) take(alarm);
list.on("alarmChanged", take);
const until = (what, test) =>
  within(15000, what, (async () => { while (!now || !test(now.shown)) await new Promise((go) => setTimeout(go, 10)); })()).catch((error) => {
    throw new Error(`${error.message}: ${JSON.stringify(now?.shown)}`);
  });

await until("active", (alarm) => alarm.active === true);
found.first = now.shown;
const call = async (objectId, methodId, ...inputArguments) =>
  (await session.call({ objectId, methodId, inputArguments })).statusCode.name;

found.statuses.wrongEvent = (await session.acknowledgeCondition(conditionId, Buffer.from("never"), "no")).name;
found.statuses.acknowledge = (await session.acknowledgeCondition(conditionId, now.eventId, "seen")).name;
await until("acknowledged", (alarm) => alarm.acked === true);
found.acknowledged = now.shown;
found.statuses.again = (await session.acknowledgeCondition(conditionId, now.eventId, "seen")).name;
found.statuses.confirm = (await session.confirmCondition(conditionId, now.eventId, "repaired")).name;
await until("confirmed", (alarm) => alarm.confirmed === true);
found.statuses.comment = (await session.addCommentCondition(conditionId, now.eventId, "fan replaced")).name;
await until("commented", (alarm) => alarm.comment === "fan replaced");

const shelving = resolveNodeId(`ns=2;s=${name}/ShelvingState`);
const time = (value) => ({ dataType: DataType.Double, value });
found.statuses.shelveTooLong = await call(shelving, resolveNodeId("i=9213"), time(1e12));
found.statuses.shelve = await call(shelving, resolveNodeId("i=9213"), time(1500)  /* longer than the list's publishing interval */);
await until("shelved", (alarm) => alarm.shelved === "Timed Shelved");
found.shelved = now.shown;
await until("unshelved by time", (alarm) => alarm.shelved === "Unshelved");
found.statuses.suppress = await call(conditionId, resolveNodeId("i=16403"));

const goodbye = await session.addCommentCondition(conditionId, now.eventId, "cool down");
found.statuses.goodbye = goodbye.name;
await until("back to normal", (alarm) => alarm.active === false && alarm.retain === false);
found.last = now.shown;

// its node tells the same, and its type is the one of the standard
const read = async (path) => plain((await session.read({ nodeId: resolveNodeId(`ns=2;s=${name}/${path}`), attributeId: AttributeIds.Value })).value);
found.node = { active: await read("ActiveState/Id"), comment: await read("Comment"), limit: await read("HighLimit") };
const type = await session.browse({ nodeId: conditionId, referenceTypeId: "HasTypeDefinition", resultMask: 63 });
found.type = type.references.map((reference) => reference.browseName.name).join();

await uninstallAlarmMonitoring(session);
await session.close();
await client.disconnect();
console.log(JSON.stringify(found));
process.exit(0);
