// Methods to node-opcua: what a generic client shows before it calls, and what it is answered.
//   node methods.mjs <url>     prints what it found as one line of JSON
import * as nodeOpcua from "node-opcua-client";

const { OPCUAClient, AttributeIds, DataType, NodeClass, VariantArrayType, resolveNodeId, TimestampsToReturn } = nodeOpcua;

const url = process.argv[2];
const within = (ms, what, promise) =>
  Promise.race([promise, new Promise((_, no) => setTimeout(() => no(new Error(`not within ${ms} ms: ${what}`)), ms).unref())]);

const client = OPCUAClient.create({ endpointMustExist: false, connectionStrategy: { maxRetry: 0 }, requestedSessionTimeout: 60000 });
await within(10000, "connect", client.connect(url));
const session = await within(10000, "session", client.createSession());
const id = (name) => resolveNodeId(`ns=2;s=${name}`);
const found = { methods: {}, statuses: {} };

for (const owner of ["Twin", "Gateway"]) {
  const { references } = await session.browse({ nodeId: id(owner), referenceTypeId: "HasComponent", includeSubtypes: true, resultMask: 63 });
  for (const reference of references.filter((one) => one.nodeClass === NodeClass.Method)) {
    const { inputArguments, outputArguments } = await session.getArgumentDefinition(reference.nodeId);
    const told = (list) => list.map((one) => [one.name, DataType[one.dataType.value] ?? one.dataType.value, one.valueRank, one.description.text.length > 5]);
    const value = async (attributeId) => (await session.read({ nodeId: reference.nodeId, attributeId })).value.value;
    found.methods[`${owner}/${reference.browseName.name}`] = {
      inputs: told(inputArguments ?? []), outputs: told(outputArguments ?? []),
      executable: await value(AttributeIds.Executable), user: await value(AttributeIds.UserExecutable),
    };
  }
}

const call = async (owner, method, ...inputArguments) => {
  const result = await session.call({ objectId: id(owner), methodId: id(`${owner}/${method}`), inputArguments });
  return [result.statusCode.name, (result.inputArgumentResults ?? []).map((one) => one.name)];
};
const text = (value) => ({ dataType: DataType.String, value });
found.statuses.denied = await call("Twin", "Override", text("line.temp"), { dataType: DataType.Double, value: 1.5 }, text("why"));
const hi = "line.temp/Alarms/HI";
const comment = { dataType: DataType.LocalizedText, value: { text: "x", locale: "en" } };
found.statuses.missing = await call(hi, "AddComment", comment);
found.statuses.many = await call(hi, "AddComment", comment, comment, comment);
found.statuses.types = await call(hi, "AddComment", text("no ByteString"), comment);
found.statuses.rank = await call(hi, "AddComment", { dataType: DataType.ByteString, arrayType: VariantArrayType.Array, value: [Buffer.from("x")] }, comment);
found.statuses.nothing = await call("Twin", "Nothing");

// what the server itself can do
const subscription = await session.createSubscription2({
  requestedPublishingInterval: 50, requestedLifetimeCount: 600, requestedMaxKeepAliveCount: 5, maxNotificationsPerPublish: 0, publishingEnabled: true, priority: 1,
});
let heard = 0;
const item = await subscription.monitor({ nodeId: id("line.temp"), attributeId: AttributeIds.Value }, { samplingInterval: 0, queueSize: 10 }, TimestampsToReturn.Both);
item.on("changed", () => heard++);
const until = (what, test) => within(10000, what, (async () => { while (!test()) await new Promise((go) => setTimeout(go, 10)); })());
await until("the first value", () => heard >= 1);
const { clientHandles, serverHandles } = await session.getMonitoredItems(subscription.subscriptionId);
found.items = [[...clientHandles].length, [...serverHandles].includes(item.monitoredItemId)];
const server = resolveNodeId("i=2253");
const number = { dataType: DataType.UInt32, value: subscription.subscriptionId };
found.statuses.resend = (await session.call({ objectId: server, methodId: resolveNodeId("i=12873"), inputArguments: [number] })).statusCode.name;
await until("the same value again", () => heard >= 2);
const shutdown = [0, 1, 2, 3, 4].map((value) => ({ dataType: DataType.UInt32, value }));
found.statuses.shutdown = (await session.call({ objectId: server, methodId: resolveNodeId("i=12886"), inputArguments: shutdown })).statusCode.name;

await session.close();
await client.disconnect();
console.log(JSON.stringify(found));
process.exit(0);
