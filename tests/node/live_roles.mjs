// Writes and Methods of the running gateway as a viewer, an operator and an engineer meet them; the PLC has the last word.
//   node live_roles.mjs <url> <password>     prints each answer as one line of JSON
import * as nodeOpcua from "node-opcua-client";
import { connect, done, id, read, refused, user, why, within, write } from "./live.mjs";

const { AttributeIds, DataType } = nodeOpcua;
const [url, password] = process.argv.slice(2);
const people = {};
for (const name of ["vic", "ola", "eve"]) people[name] = (await connect(url, user(name, password))).session;
people.nobody = (await connect(url)).session;
const found = { write: {}, level: {}, executable: {}, call: {} };
const text = (value) => ({ dataType: DataType.String, value });
const number = (value) => ({ dataType: DataType.Double, value });
const call = async (session, owner, method, ...inputArguments) => {
  const result = await session.call({ objectId: id(owner), methodId: id(`${owner}/${method}`), inputArguments });
  return [result.statusCode.name, (result.inputArgumentResults ?? []).map((one) => one.name), (result.outputArguments ?? []).map((one) => one.value)];
};

for (const [name, session] of Object.entries(people)) {
  found.write[name] = [await write(session, "plc.setpoint", 10), await write(session, "plc.limit", 10)];
  found.level[name] = [];
  for (const tag of ["plc.setpoint", "plc.limit"]) {
    found.level[name].push((await session.read({ nodeId: id(tag), attributeId: AttributeIds.UserAccessLevel })).value.value & 3);
  }
  found.executable[name] = (await session.read({ nodeId: id("Twin/Override"), attributeId: AttributeIds.UserExecutable })).value.value;
  found.call[name] = (await call(session, "Twin", "Override", text("line.x"), number(5), text("trial")))[0];
}
const { ola, eve } = people;
found.guard = {
  range: await write(ola, "plc.setpoint", 101),
  type: await write(ola, "plc.setpoint", "warm", DataType.String),
  notANumber: await write(ola, "plc.setpoint", NaN),
  readOnly: await write(eve, "plc.refused", 1, DataType.Double),
  plain: await write(eve, "line.v", 1),
  nothing: await write(eve, "line.nothing", 1),
  rate: [await write(ola, "plc.ramp", 1), await write(ola, "plc.ramp", 90)],
};
await write(ola, "line.estop", 1);
await within(5000, "the interlock", (async () => { while ((await read(ola, "line.stop")).value.value !== 1) await new Promise((go) => setTimeout(go, 20)); })());
found.guard.interlock = [await write(ola, "plc.guarded", 1)];
await write(ola, "line.estop", 0);
await within(5000, "the interlock", (async () => { while ((await read(ola, "line.stop")).value.value !== 0) await new Promise((go) => setTimeout(go, 20)); })());
found.guard.interlock.push(await write(ola, "plc.guarded", 2));
await within(5000, "what the PLC says", (async () => { while ((await read(ola, "plc.guarded")).value.value !== 2) await new Promise((go) => setTimeout(go, 20)); })());

found.methods = {
  commit: (await call(eve, "Twin", "Commit"))[0],
  released: await call(eve, "Twin", "Release", { dataType: DataType.String, arrayType: 1, value: ["line.x"] }),
  missing: (await call(eve, "Twin", "Override", text("line.x")))[0],
  types: (await call(eve, "Twin", "Override", number(1), number(1), text("why"))).slice(0, 2),
  unknown: (await call(eve, "Twin", "Override", text("line.none"), number(1), text("why")))[0],
};
const arguments_ = await eve.getArgumentDefinition(id("Twin/Override"));
found.methods.arguments = arguments_.inputArguments.map((one) => [one.name, one.description.locale]);
found.wrong = await connect(url, user("ola", "wrong")).then(() => "in", why);
found.unknown = await connect(url, user("nobody", password)).then(() => "in", why);
for (const session of Object.values(people)) await refused(session.close());
done(found);
