// Walks everything below the Server object of the running gateway and reads every Variable, by browsing in pages.
//   node live_server.mjs <url> <password>     prints what was not Good, and what the namespace's metadata say, as one line of JSON
import * as nodeOpcua from "node-opcua-client";
import { connect, done, plain, user } from "./live.mjs";

const { AttributeIds, BrowseDirection, NodeClass, resolveNodeId } = nodeOpcua;
const [url, password] = process.argv.slice(2);
const { session, close } = await connect(url, user("ola", password));
session.requestedMaxReferencesPerNode = 50;
const found = { bad: {}, metadata: {}, profiles: [] };
const seen = new Map([["ns=0;i=2253", { name: "Server", nodeClass: NodeClass.Object }]]);
for (let wave = ["ns=0;i=2253"]; wave.length; ) {
  const next = [];
  const answers = await session.browse(wave.map((nodeId) => ({
    nodeId, browseDirection: BrowseDirection.Forward, includeSubtypes: true, referenceTypeId: "HierarchicalReferences", resultMask: 63,
  })));
  for (let answer of answers) {
    const references = [...answer.references];
    while (answer.continuationPoint?.length) {
      answer = await session.browseNext(answer.continuationPoint, false);
      references.push(...answer.references);
    }
    for (const one of references) {
      const key = one.nodeId.toString();
      if (seen.has(key) || key.startsWith("ns=2;s=cell.")) continue;
      seen.set(key, { name: one.browseName.name, nodeClass: one.nodeClass });
      if (!key.startsWith("ns=2;s=cell")) next.push(key);
    }
  }
  wave = next.slice(0, 10_000);
}
const variables = [...seen].filter(([, one]) => one.nodeClass === NodeClass.Variable).map(([key]) => key);
const values = await session.read(variables.map((nodeId) => ({ nodeId, attributeId: AttributeIds.Value })));
values.forEach((one, at) => { if (one.statusCode.value >= 0x80000000) found.bad[variables[at]] = one.statusCode.name; });
found.walked = [seen.size, variables.length];
const [, , ours] = await session.readNamespaceArray();
variables.forEach((key, at) => { if (key.startsWith(`ns=2;s=Namespaces/${ours}/`)) found.metadata[seen.get(key).name] = plain(values[at].value?.value); });
found.ours = ours;
for (const [name, number] of [["profiles", 2269], ["locales", 2271]]) {
  found[name] = (await session.read({ nodeId: resolveNodeId(`i=${number}`), attributeId: AttributeIds.Value })).value.value;
}
delete found.metadata.DefaultUserRolePermissions;
await close();
done(found);
