// The peer of `edgetwin bench opcua`: plain node-opcua with COUNT doubles, all of them set anew each PERIOD_MS.
//   node node_plant.cjs PORT COUNT PERIOD_MS FOLDER
const { OPCUAServer } = require("node-opcua-server");
const { DataType } = require("node-opcua-variant");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");

const [port, count, periodMs] = process.argv.slice(2, 5).map(Number);

(async () => {
  const server = new OPCUAServer({
    port, hostname: "127.0.0.1", resourcePath: "/plant", allowAnonymous: true, isAuditing: false,
    serverCertificateManager: new OPCUACertificateManager({ automaticallyAcceptUnknownCertificate: true, rootFolder: process.argv[5] }),
    serverCapabilities: { maxMonitoredItems: 100000, maxMonitoredItemsPerSubscription: 100000, operationLimits: { maxMonitoredItemsPerCall: 10000, maxNodesPerRead: 10000, maxNodesPerBrowse: 1000 } },
  });
  await server.initialize();
  const space = server.engine.addressSpace;
  const namespace = space.registerNamespace("urn:edgetwin:node");
  const folders = [];
  const variables = [];
  for (let k = 0; k < count; k++) {
    if (k % 100 === 0) folders.push(namespace.addFolder(space.rootFolder.objects, { browseName: `area${k / 100}`, nodeId: `s=area${k / 100}` }));
    variables.push(namespace.addVariable({
      componentOf: folders[folders.length - 1], browseName: `t${k}`, nodeId: `s=area${Math.floor(k / 100)}.t${k}`,
      dataType: DataType.Double, value: { dataType: DataType.Double, value: 0 }, minimumSamplingInterval: 10,
    }));
  }
  await server.start();
  console.log("ready");
  let round = 0;
  setInterval(() => {
    round += 1;
    for (let k = 0; k < variables.length; k++) variables[k].setValueFromSource({ dataType: DataType.Double, value: round + k });
  }, periodMs);
})().catch((error) => { console.error(error); process.exit(1); });
