// History of the running gateway on node-opcua: raw with bounds and in pages, values at times, each aggregate, events.
//   node live_history.mjs <url> <operator's password>     prints what it found as one line of JSON
import * as nodeOpcua from "node-opcua-client";
import { connect, done, id, plain, user, within, write } from "./live.mjs";

const {
  AggregateFunction, HistoryReadRequest, ReadAtTimeDetails, ReadEventDetails, ReadRawModifiedDetails, TimestampsToReturn, constructEventFilter, resolveNodeId,
} = nodeOpcua;
const [url, password] = process.argv.slice(2);
const { session, close } = await connect(url, user("ola", password));
const found = {};
const nodeId = id("line.level");
const begin = new Date(Date.now() - 1000);
for (const value of [10, 60, 20, 30, 40]) {
  await write(session, "line.level", value);
  await new Promise((go) => setTimeout(go, 40)); // apart from each other by more than a clock's tick
}
const ask = async (historyReadDetails, more = {}, node = nodeId) => {
  const { continuationPoint, ...rest } = more;
  const answer = await session.historyRead(new HistoryReadRequest({
    historyReadDetails, nodesToRead: [{ nodeId: node, continuationPoint }], timestampsToReturn: TimestampsToReturn.Source, ...rest,
  }));
  return answer.results[0];
};
const raw = (more = {}) => new ReadRawModifiedDetails({ isReadModified: false, startTime: begin, endTime: new Date(), numValuesPerNode: 0, returnBounds: false, ...more });
const rows = (answer) => answer.historyData.dataValues.map((one) => [one.value?.value ?? null, one.statusCode.name, one.sourceTimestamp.getTime()]);
const values = (answer) => rows(answer).map(([value]) => value);
await within(10000, "all values are kept", (async () => { while ((await ask(raw())).historyData.dataValues.length < 5) await new Promise((go) => setTimeout(go, 50)); })());
const all = rows(await ask(raw())), times = all.map(([, , at]) => at), start = new Date(times[0] + 1), end = new Date(times[4]);
// (a Date has whole milliseconds: all but the first and the last value lie between start and end)
found.raw = all.map(([value]) => value);
found.ascending = times.every((at, n) => n === 0 || at > times[n - 1]);
found.backward = values(await ask(raw({ startTime: new Date(), endTime: begin })));
found.newest = values(await ask(raw({ startTime: new Date(Date.now() + 1000), endTime: new Date(0), numValuesPerNode: 2 })));
found.bounds = rows(await ask(raw({ startTime: new Date(times[1] + 1), endTime: new Date(times[3] - 1), returnBounds: true }))).map(([value, status]) => [value, status]);
found.noBound = rows(await ask(raw({ startTime: new Date(times[0] - 500), endTime: new Date(times[0] + 1), returnBounds: true }))).map(([value, status]) => [value, status]);

// pages, a point given back, one used twice
found.pages = [];
for (let answer = await ask(raw({ numValuesPerNode: 2 })), n = 0; n < 9; n++) {
  found.pages.push(values(answer));
  const continuationPoint = answer.continuationPoint;
  if (!continuationPoint?.length) break;
  answer = await ask(raw({ numValuesPerNode: 2 }), { continuationPoint });
  found.twice ??= (await ask(raw({ numValuesPerNode: 2 }), { continuationPoint })).statusCode.name;
}
const { continuationPoint } = await ask(raw({ numValuesPerNode: 2 }));
found.released = [
  (await ask(raw({ numValuesPerNode: 2 }), { continuationPoint, releaseContinuationPoints: true })).statusCode.name,
  (await ask(raw({ numValuesPerNode: 2 }), { continuationPoint })).statusCode.name,
];

// at times: on a value, between two, before the first
const middle = new Date(Math.round((times[1] + times[2]) / 2));
found.atTime = rows(await ask(new ReadAtTimeDetails({ reqTimes: [start, middle, new Date(times[0] - 60000)], useSimpleBounds: true }))).map(([value, status]) => [value, status]);
found.share = (middle.getTime() - times[1]) / (times[2] - times[1]);

// each aggregate that the server says it has, over the whole
const folder = await session.browse({ nodeId: resolveNodeId("Server_ServerCapabilities_AggregateFunctions"), referenceTypeId: "Organizes", includeSubtypes: true, resultMask: 63 });
found.aggregates = {};
for (const reference of folder.references) {
  const name = reference.browseName.name;
  const answer = await session.readAggregateValue({ nodeId }, start, end, AggregateFunction[name] ?? reference.nodeId.value, end - start);
  found.aggregates[name] = [answer.statusCode.name, ...(answer.historyData?.dataValues ?? []).map((one) => plain(one.value?.value ?? null))];
}
found.unsupported = (await session.readAggregateValue({ nodeId }, start, end, AggregateFunction.WorstQuality, 1000)).statusCode.name;

// events of the folder, with a filter, in pages
const filter = constructEventFilter(["SourceName", "ActiveState.Id", "Message"]);
const events = (more = {}) => new ReadEventDetails({ startTime: begin, endTime: new Date(Date.now() + 1000), numValuesPerNode: 0, filter, ...more });
const told = (answer) => answer.historyData.events.map((one) => one.eventFields.slice(0, 3).map((field) => plain(field.value))).filter(([source]) => source === "line.level");
await within(10000, "both events", (async () => { while (told(await ask(events(), {}, id("line"))).length < 2) await new Promise((go) => setTimeout(go, 50)); })());
found.events = told(await ask(events(), {}, id("line")));
const one = await ask(events({ numValuesPerNode: 1 }), {}, id("line"));
found.eventPage = [one.historyData.events.length, !!one.continuationPoint?.length];
found.modified = (await ask(raw({ isReadModified: true }))).statusCode.name;
await close();
done(found);
