// A SCADA client on node-opcua that signs in with name and password, and asks what it may do; prints it as one line of JSON.
//   node roles.mjs <url> <user> <password>
import * as nodeOpcua from "node-opcua-client";

const { OPCUAClient, AttributeIds, UserTokenType } = nodeOpcua;
const [url, userName, password] = process.argv.slice(2);
const client = OPCUAClient.create({ endpointMustExist: false, connectionStrategy: { maxRetry: 0 } });
await client.connect(url);
const identity = userName ? { type: UserTokenType.UserName, userName, password } : undefined;
const found = {};
let session;
try {
  session = await client.createSession(identity);
} catch (error) {
  found.refused = error.message;
}
if (session) {
  const ns = (await session.readNamespaceArray()).indexOf("urn:edgetwin:line1");
  const id = (name) => `ns=${ns};s=${name}`;
  const read = (nodeId, attributeId) => session.read({ nodeId, attributeId });
  const write = async (name) =>
    (await session.write({ nodeId: id(name), attributeId: AttributeIds.Value, value: { value: { dataType: "Double", value: 21.5 } } })).name;
  const table = (answer) =>
    answer.statusCode.name === "Good" ? Object.fromEntries(answer.value.value.map((row) => [row.roleId.value, row.permissions])) : answer.statusCode.name;
  found.level = (await read(id("line.setpoint"), AttributeIds.AccessLevel)).value.value & 3;
  for (const name of ["line.setpoint", "line.limit"]) {
    found[name] = { level: (await read(id(name), AttributeIds.UserAccessLevel)).value.value & 3, write: await write(name) };
  }
  found.all = table(await read(id("line.limit"), AttributeIds.RolePermissions));
  found.own = table(await read(id("line.limit"), AttributeIds.UserRolePermissions));
  found.security = (await read("i=3708", AttributeIds.Value)).statusCode.name;
  await session.close();
}
await client.disconnect();
console.log(JSON.stringify(found));
process.exit(0);
