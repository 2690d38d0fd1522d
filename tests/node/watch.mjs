// A SCADA client that stays: subscribes to tags of the gateway and prints each change as a line of JSON until it is stopped.
//   node watch.mjs <url> <namespace uri> <tag> [<tag> ...]
import * as nodeOpcua from "node-opcua-client";

const { OPCUAClient, AttributeIds, TimestampsToReturn } = nodeOpcua;
const [url, uri, ...tags] = process.argv.slice(2);
const client = OPCUAClient.create({ endpointMustExist: false, requestedSessionTimeout: 60000 });
await client.connect(url);
const session = await client.createSession();
const ns = (await session.readNamespaceArray()).indexOf(uri);
const subscription = await session.createSubscription2({
  requestedPublishingInterval: 50, requestedLifetimeCount: 600, requestedMaxKeepAliveCount: 10, publishingEnabled: true,
});
for (const tag of tags) {
  const item = await subscription.monitor(
    { nodeId: `ns=${ns};s=${tag}`, attributeId: AttributeIds.Value }, { samplingInterval: 0, queueSize: 1000, discardOldest: true }, TimestampsToReturn.Both,
  );
  item.on("changed", (change) => console.log(JSON.stringify({ tag, value: change.value.value, status: change.statusCode.name, at: Date.now() })));
}
console.log(JSON.stringify({ ready: true }));
