// A plant on node-opcua: the second implementation for the source driver. Commands come as lines on stdin, answers go as lines to stdout.
//   node server.mjs <port> <folder for its pki>
//   set <name> <json value>      a new value with its own source time (now)
//   sessions                     how many sessions and subscriptions there are
import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
const { OPCUAServer } = require("node-opcua-server");
const { DataType, Variant, VariantArrayType } = require("node-opcua-variant");
const { DataValue } = require("node-opcua-data-value");
const { StatusCodes } = require("node-opcua-status-code");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");

const server = new OPCUAServer({
  port: Number(process.argv[2]),
  hostname: "127.0.0.1",
  resourcePath: "/plant",
  allowAnonymous: true,
  isAuditing: false,
  serverCertificateManager: new OPCUACertificateManager({ automaticallyAcceptUnknownCertificate: true, rootFolder: process.argv[3] }),
  userManager: { isValidUser: (name, password) => name === "gw" && password === "secret" },
  serverCapabilities: { maxSubscriptionsPerSession: 50 },
});
await server.initialize();
const space = server.engine.addressSpace;
const namespace = space.registerNamespace("urn:test:plant");
const nodes = {};

const kinds = {
  double: [DataType.Double, 1.5],
  float: [DataType.Float, 2.5],
  int32: [DataType.Int32, -3],
  bool: [DataType.Boolean, true],
  text: [DataType.String, "warm"],
  when: [DataType.DateTime, new Date("2020-01-01T00:00:00Z")],
  timeless: [DataType.Double, 8.5],
};
for (const [name, [dataType, value]] of Object.entries(kinds)) {
  nodes[name] = namespace.addVariable({
    organizedBy: space.rootFolder.objects, browseName: name, nodeId: `s=${name}`, dataType, value: { dataType, value }, minimumSamplingInterval: 10,
  });
}
nodes.array = namespace.addVariable({
  organizedBy: space.rootFolder.objects, browseName: "array", nodeId: "s=array", dataType: DataType.Double, valueRank: 1, arrayDimensions: [4],
  value: { dataType: DataType.Double, arrayType: VariantArrayType.Array, value: new Float64Array([10, 11, 12, 13]) },
});
namespace.addAnalogDataItem({
  organizedBy: space.rootFolder.objects, browseName: "analog", nodeId: "s=analog", dataType: "Double", value: { dataType: DataType.Double, value: 21.5 },
  engineeringUnitsRange: { low: 0, high: 60 }, instrumentRange: { low: -50, high: 150 },
  engineeringUnits: { namespaceUri: "http://www.opcfoundation.org/UA/units/un/cefact", unitId: 4408652, displayName: "°C", description: "degree Celsius" },
});
nodes.timeless.bindVariable({
  timestamped_get: () => new DataValue({ value: new Variant({ dataType: DataType.Double, value: 8.5 }), statusCode: StatusCodes.Good }),
}, true);

await server.start();
console.log("ready");

for await (const line of createInterface({ input: process.stdin })) {
  const [verb, name, ...rest] = line.split(" ");
  if (verb === "set") {
    const node = nodes[name];
    const dataType = kinds[name]?.[0] ?? DataType.Double;
    const value = JSON.parse(rest.join(" "));
    const array = Array.isArray(value);
    node.setValueFromSource({ dataType, arrayType: array ? VariantArrayType.Array : VariantArrayType.Scalar, value: array ? new Float64Array(value) : value }, StatusCodes.Good, new Date());
    console.log(`set ${name}`);
  } else if (verb === "sessions") {
    console.log(`sessions ${server.engine.currentSessionCount} ${server.engine.currentSubscriptionCount}`);
  } else if (verb === "get") {
    console.log(`got ${JSON.stringify(Array.from([nodes[name].readValue().value.value].flat()))}`);
  }
}
await server.shutdown(100);
