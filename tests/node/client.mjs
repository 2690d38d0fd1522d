// A SCADA client on node-opcua for the gateway's server: walks the tree, reads, subscribes; prints what it found as one line of JSON.
//   node client.mjs <url>
import * as nodeOpcua from "node-opcua-client";

const {
  OPCUAClient, AttributeIds, BrowseDirection, ClientSubscription, ClientMonitoredItem, DataChangeFilter, DataChangeTrigger,
  DeadbandType, TimestampsToReturn, NodeClass, StatusCodes, RepublishRequest, SetPublishingModeRequest, ReadRequest,
} = nodeOpcua;

const url = process.argv[2];
const found = { tree: {}, errors: [] };
const within = (ms, what, promise) =>
  Promise.race([promise, new Promise((_, no) => setTimeout(() => no(new Error(`not within ${ms} ms: ${what}`)), ms).unref())]);

const client = OPCUAClient.create({ endpointMustExist: false, connectionStrategy: { maxRetry: 0 }, requestedSessionTimeout: 60000 });
await within(10000, "connect", client.connect(url));
const session = await within(10000, "session", client.createSession());
const ns = (await session.readNamespaceArray()).indexOf("urn:edgetwin:line1");
const id = (name) => `ns=${ns};s=${name}`;

// the whole tree, in pages of three references
async function walk(nodeId, path) {
  let page = await session.browse({ nodeId, browseDirection: BrowseDirection.Forward, includeSubtypes: true, referenceTypeId: "HierarchicalReferences", resultMask: 63 });
  const references = [...page.references];
  while (page.continuationPoint && page.continuationPoint.length) {
    page = await session.browseNext(page.continuationPoint, false);
    references.push(...page.references);
  }
  for (const reference of references) {
    const name = `${path}/${reference.browseName.name}`;
    const type = await session.browse({ nodeId: reference.nodeId, browseDirection: BrowseDirection.Forward, includeSubtypes: true, referenceTypeId: "HasTypeDefinition", resultMask: 63 });
    found.tree[name] = { id: reference.nodeId.toString(), nodeClass: NodeClass[reference.nodeClass], type: type.references.map((r) => r.browseName.name).join() };
    await walk(reference.nodeId, name);
  }
}
session.requestedMaxReferencesPerNode = 3;
await walk(id("/"), "");

const read = async (name, attributeId = AttributeIds.Value) => session.read({ nodeId: id(name), attributeId });
const value = await read("line.temp");
found.value = { value: value.value.value, type: value.value.dataType, status: value.statusCode.name, source: value.sourceTimestamp?.toISOString() };
const range = (await read("line.temp/EURange")).value.value;
found.range = [range.low, range.high];
const unit = (await read("line.temp/EngineeringUnits")).value.value;
found.unit = [unit.unitId, unit.displayName.text];
found.states = (await read("line.state/EnumStrings")).value.value.map((text) => text.text);
found.dead = (await read("line.dead")).statusCode.name;
found.types = {};
for (const name of ["line.count", "line.on", "line.recipe", "line.state"]) found.types[name] = (await read(name)).value.value.toString();

// subscriptions
const subscription = await session.createSubscription2({
  requestedPublishingInterval: 50, requestedLifetimeCount: 600, requestedMaxKeepAliveCount: 5, maxNotificationsPerPublish: 0, publishingEnabled: true, priority: 1,
});
const slow = await session.createSubscription2({
  requestedPublishingInterval: 400, requestedLifetimeCount: 600, requestedMaxKeepAliveCount: 5, maxNotificationsPerPublish: 0, publishingEnabled: true, priority: 1,
});
const heard = { ramp: [], flaky: [], full: [] };
async function listen(owner, name, list, parameters, most) {
  const item = await owner.monitor({ nodeId: id(name), attributeId: AttributeIds.Value }, { samplingInterval: 0, discardOldest: true, ...parameters }, TimestampsToReturn.Both);
  const done = new Promise((resolve) => item.on("changed", (change) => {
    list.push([change.value.value, change.statusCode.value]);
    if (list.length >= most) resolve();
  }));
  return { item, done };
}
const filter = new DataChangeFilter({ trigger: DataChangeTrigger.StatusValue, deadbandType: DeadbandType.Absolute, deadbandValue: 1.0 });
const ramp = await listen(subscription, "line.ramp", heard.ramp, { queueSize: 100, filter }, 12);
const flaky = await listen(subscription, "line.flaky", heard.flaky, { queueSize: 100 }, 8);
const full = await listen(slow, "line.ramp", heard.full, { queueSize: 2 }, 6);
await within(20000, "ramp, flaky and full queue", Promise.all([ramp.done, flaky.done, full.done])).catch((error) => {
  throw new Error(`${error.message}: ${JSON.stringify(heard)}`);
});
found.heard = JSON.parse(JSON.stringify(heard));

// a filter that cannot be
const wrong = await subscription.monitor({ nodeId: id("line.recipe"), attributeId: AttributeIds.Value }, { samplingInterval: 0, queueSize: 1, filter }, TimestampsToReturn.Both).catch((error) => error);
found.wrongFilter = wrong.statusCode ? wrong.statusCode.name : wrong.message;

// modify: a wider band
heard.ramp.length = 0;
await ramp.item.modify({ samplingInterval: 0, queueSize: 100, discardOldest: true, filter: new DataChangeFilter({ trigger: 1, deadbandType: 1, deadbandValue: 3.0 }) });
await within(20000, "modified ramp", (async () => { while (heard.ramp.length < 4) await new Promise((go) => setTimeout(go, 20)); })());
found.modified = heard.ramp.slice();

// keep-alive of a subscription without items, and what republish says of a message that is not there
const quiet = await session.createSubscription2({
  requestedPublishingInterval: 50, requestedLifetimeCount: 600, requestedMaxKeepAliveCount: 3, maxNotificationsPerPublish: 0, publishingEnabled: true, priority: 1,
});
let keepAlives = 0;
quiet.on("keepalive", () => keepAlives++);
await within(10000, "keep-alives", (async () => { while (keepAlives < 3) await new Promise((go) => setTimeout(go, 20)); })());
found.keepAlives = keepAlives;
const republish = new Promise((resolve) => session.republish(new RepublishRequest({ subscriptionId: quiet.subscriptionId, retransmitSequenceNumber: 4711 }), (error, answer) => resolve(error ? error.message : answer.responseHeader.serviceResult.name)));
found.republish = await within(5000, "republish", republish);

// writes
found.write = (await session.write({ nodeId: id("line.setpoint"), attributeId: AttributeIds.Value, value: { value: { dataType: "Double", value: 21.5 } } })).name;
found.refused = (await session.write({ nodeId: id("line.temp"), attributeId: AttributeIds.Value, value: { value: { dataType: "Double", value: 1 } } })).name;

await session.close();
await client.disconnect();
console.log(JSON.stringify(found));
process.exit(0);
