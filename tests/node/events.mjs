// Event items on node-opcua: notifiers, select clauses, where clauses with every operator, queues, modes and refused filters.
//   node events.mjs <url>     prints what it heard as one line of JSON
import * as nodeOpcua from "node-opcua-client";

const {
  OPCUAClient, AttributeIds, DataType, Variant, constructEventFilter, ofType, resolveNodeId, NodeId, coerceNodeId, MonitoringMode,
  TimestampsToReturn, ContentFilter, ContentFilterElement, FilterOperator, LiteralOperand, ElementOperand, SimpleAttributeOperand, EventFilter,
  CreateMonitoredItemsRequest, SetMonitoringModeRequest, CallMethodRequest, SetTriggeringRequest,
} = nodeOpcua;

const url = process.argv[2];
const within = (ms, what, promise) =>
  Promise.race([promise, new Promise((_, no) => setTimeout(() => no(new Error(`not within ${ms} ms: ${what}`)), ms).unref())]);
const client = OPCUAClient.create({ endpointMustExist: false, connectionStrategy: { maxRetry: 0 }, requestedSessionTimeout: 60000 });
await within(10000, "connect", client.connect(url));
const session = await within(10000, "session", client.createSession());
const subscription = await session.createSubscription2({
  requestedPublishingInterval: 50, requestedLifetimeCount: 600, requestedMaxKeepAliveCount: 5, maxNotificationsPerPublish: 0, publishingEnabled: true, priority: 1,
});
const found = { heard: {}, refused: {} };
const FIELDS = ["EventId", "EventType", "SourceNode", "SourceName", "Message", "Severity", "Time", "ActiveState", "ActiveState.Id", "Retain", "ConditionName"];

const plain = (variant) => {
  const value = variant.value;
  if (variant.dataType === DataType.Null) return null;
  if (Buffer.isBuffer(value)) return value.length;
  if (value instanceof NodeId) return value.toString();
  if (value instanceof Date) return value.toISOString();
  return value?.text ?? value;
};
async function listen(name, nodeId, filter, parameters = {}) {
  const item = await subscription.monitor(
    { nodeId, attributeId: AttributeIds.EventNotifier },
    { samplingInterval: 0, discardOldest: true, queueSize: 100, filter, ...parameters.item },
    TimestampsToReturn.Both, parameters.mode ?? MonitoringMode.Reporting,
  );
  found.heard[name] = [];
  item.on("changed", (fields) => found.heard[name].push(fields.map(plain)));
  if (item.statusCode && item.statusCode.isNotGood()) found.refused[name] = item.statusCode.name;
  return item;
}

const field = (...path) => new SimpleAttributeOperand({
  typeDefinitionId: resolveNodeId("BaseEventType"), browsePath: path.map((name) => ({ name })), attributeId: AttributeIds.Value,
});
const literal = (dataType, value) => new LiteralOperand({ value: new Variant({ dataType, value }) });
const element = (index) => new ElementOperand({ index });
const where = (...elements) => new ContentFilter({
  elements: elements.map(([operator, ...filterOperands]) => new ContentFilterElement({ filterOperator: FilterOperator[operator], filterOperands })),
});
const filter = (...elements) => new EventFilter({ selectClauses: [field("SourceName"), field("Severity")], whereClause: where(...elements) });
const type = (name) => literal(DataType.NodeId, resolveNodeId(name));
const severity = field("Severity"), source = field("SourceName");

const server = resolveNodeId("Server");
await listen("all", server, constructEventFilter(FIELDS));
await listen("alarms", server, constructEventFilter(["SourceName"], ofType("AlarmConditionType")));
await listen("oven", coerceNodeId("ns=2;s=line.oven"), constructEventFilter(["SourceName"]));
await listen("line", coerceNodeId("ns=2;s=line"), constructEventFilter(["SourceName"]));
await listen("root", coerceNodeId("ns=2;s=/"), constructEventFilter(["SourceName"]));
const clauses = {
  Equals: [["Equals", severity, literal(DataType.Int32, 400)]],
  EqualsText: [["Equals", severity, literal(DataType.String, "400")]],
  IsNull: [["IsNull", field("Nothing", "Such")]],
  NotNull: [["Not", element(1)], ["IsNull", field("ActiveState", "Id")]],
  GreaterThan: [["GreaterThan", severity, literal(DataType.Double, 399.5)]],
  LessThan: [["LessThan", severity, literal(DataType.UInt16, 400)]],
  GreaterThanOrEqual: [["GreaterThanOrEqual", severity, literal(DataType.UInt16, 400)]],
  LessThanOrEqual: [["LessThanOrEqual", severity, literal(DataType.UInt16, 400)]],
  Like: [["Like", source, literal(DataType.String, "line.[a-o]%")]],
  Between: [["Between", severity, literal(DataType.UInt16, 301), literal(DataType.UInt16, 499)]],
  InList: [["InList", source, literal(DataType.String, "hall"), literal(DataType.String, "line.oven.temp")]],
  And: [["And", element(1), element(2)], ["OfType", type("LimitAlarmType")], ["Like", source, literal(DataType.String, "hall")]],
  Or: [["Or", element(1), element(2)], ["Equals", source, literal(DataType.String, "hall")], ["Equals", severity, literal(DataType.Int32, 300)]],
  Cast: [["Equals", element(1), literal(DataType.String, "400")], ["Cast", severity, literal(DataType.NodeId, resolveNodeId("String"))]],
  BitwiseAnd: [["Equals", element(1), literal(DataType.Int32, 256)], ["BitwiseAnd", severity, literal(DataType.Int32, 256)]],
  BitwiseOr: [["Equals", element(1), literal(DataType.Int32, 401)], ["BitwiseOr", severity, literal(DataType.Int32, 1)]],
  OfType: [["OfType", type("NonExclusiveLevelAlarmType")]],
  OfOther: [["OfType", type("ExclusiveLimitAlarmType")]],
  InView: [["InView", literal(DataType.NodeId, resolveNodeId("Server"))]],
  Loop: [["Not", element(0)]],
};
for (const [name, elements] of Object.entries(clauses)) await listen(name, server, filter(...elements)).catch((error) => { found.refused[name] = error.message.replace(/.*(Bad\w+).*/s, "$1"); });
const sampling = await listen("sampling", server, filter(), { mode: MonitoringMode.Sampling, item: { queueSize: 10 } });
const lost = await listen("lost", server, constructEventFilter(["SourceName", "EventType"]), { mode: MonitoringMode.Sampling, item: { queueSize: 10 } });
for (const [name, node, attribute] of [["tag", "ns=2;s=line.oven.temp", 12], ["twin", "ns=2;s=Twin", 12]]) {
  await listen(name, coerceNodeId(node), constructEventFilter(["SourceName"])).catch((error) => { found.refused[name] = error.message.replace(/.*(Bad\w+).*/s, "$1"); });
}

// the plant is asked for three alarms
found.asked = (await session.write({ nodeId: "ns=2;s=go", attributeId: AttributeIds.Value, value: { value: { dataType: "Double", value: 1 } } })).name;
await within(15000, "alarms of all", (async () => { while (found.heard.all.length < 3 || found.heard.OfType.length < 3) await new Promise((go) => setTimeout(go, 20)); })())
  .catch((error) => { throw new Error(`${error.message}: ${JSON.stringify(found)}`); });

found.alarms = Object.fromEntries(Object.entries(found.heard).filter(([name]) => !(name in found.refused)).map(([name, events]) => [name, events.map((fields) => fields[0])]));

// twenty more, of which a queue of ten keeps the newest ten and one that says so
found.more = (await session.write({ nodeId: "ns=2;s=go", attributeId: AttributeIds.Value, value: { value: { dataType: "Double", value: 20 } } })).name;
await within(15000, "twenty more", (async () => { while (found.heard.all.length < 23) await new Promise((go) => setTimeout(go, 20)); })());
await lost.setMonitoringMode(MonitoringMode.Reporting);
await within(15000, "what a short queue kept", (async () => { while (found.heard.lost.length < 11) await new Promise((go) => setTimeout(go, 20)); })());

// refresh, for all items and for one
const refresh = async (method, ...numbers) => (await session.call({
  objectId: resolveNodeId("ConditionType"), methodId: resolveNodeId(`ConditionType_${method}`), inputArguments: numbers.map((value) => ({ dataType: DataType.UInt32, value })),
})).statusCode.name;
const before = found.heard.all.length;
found.refresh = await refresh("ConditionRefresh", subscription.subscriptionId);
await within(15000, "refresh", (async () => { while (found.heard.all.length < before + 5) await new Promise((go) => setTimeout(go, 20)); })())
  .catch((error) => { throw new Error(`${error.message}: ${JSON.stringify(found.heard.all.slice(before))}`); });
found.refreshed = found.heard.all.slice(before).map((fields) => fields[1]);
found.refresh2 = await refresh("ConditionRefresh2", subscription.subscriptionId, 4711);
found.refreshForeign = await refresh("ConditionRefresh", 4711);
found.first = Object.fromEntries(FIELDS.map((name, place) => [name, found.heard.all[0][place]]));
found.lost = found.heard.lost;
delete found.heard;
await session.close();
await client.disconnect();
console.log(JSON.stringify(found));
process.exit(0);
