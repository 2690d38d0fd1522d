// Reads history on node-opcua: raw with continuation points, aggregates, values at times, events. Prints what it found as one line of JSON.
//   node history.mjs <url> <start, ms since 1970> <end>
import * as nodeOpcua from "node-opcua-client";

const {
  OPCUAClient, AttributeIds, AggregateFunction, HistoryReadRequest, ReadRawModifiedDetails, ReadAtTimeDetails, ReadEventDetails,
  TimestampsToReturn, constructEventFilter, StatusCodes,
} = nodeOpcua;

const [url, first, last] = process.argv.slice(2);
const start = new Date(Number(first));
const end = new Date(Number(last));
const client = OPCUAClient.create({ endpointMustExist: false, connectionStrategy: { maxRetry: 0 } });
await client.connect(url);
const session = await client.createSession();
const nodeId = "ns=2;s=line.temp";
const found = {};
const plain = (values) => values.map((one) => [one.sourceTimestamp.getTime(), one.value?.value ?? null, one.statusCode.value]);
const bytes = (point) => (point && point.length ? point.toString("hex") : "");

// the simple way
const raw = await session.readHistoryValue({ nodeId }, start, end);
found.raw = plain(raw.historyData.dataValues);
found.rawMore = bytes(raw.continuationPoint);

// pages by hand
async function page(continuationPoint, release = false) {
  const request = new HistoryReadRequest({
    historyReadDetails: new ReadRawModifiedDetails({ isReadModified: false, startTime: start, endTime: end, numValuesPerNode: 7, returnBounds: false }),
    nodesToRead: [{ nodeId, continuationPoint }],
    releaseContinuationPoints: release,
    timestampsToReturn: TimestampsToReturn.Both,
  });
  const response = await session.historyRead(request);
  return response.results[0];
}
found.pages = [];
for (let answer = await page(); ; answer = await page(answer.continuationPoint)) {
  found.pages.push(plain(answer.historyData.dataValues));
  if (!bytes(answer.continuationPoint)) break;
}
const dropped = await page();
found.released = (await page(dropped.continuationPoint, true)).statusCode.name;
found.afterRelease = (await page(dropped.continuationPoint)).statusCode.name;

// aggregates
found.aggregates = {};
for (const name of ["Average", "Minimum", "Maximum", "Count", "Interpolative", "TimeAverage", "PercentGood", "DurationGood", "Start", "End", "Delta", "Range"]) {
  const answer = await session.readAggregateValue({ nodeId }, start, end, AggregateFunction[name], 20000);
  found.aggregates[name] = { status: answer.statusCode.name, values: plain(answer.historyData.dataValues) };
}
found.unsupported = (await session.readAggregateValue({ nodeId }, start, end, AggregateFunction.WorstQuality, 20000)).statusCode.name;

// at times
const times = await session.historyRead(new HistoryReadRequest({
  historyReadDetails: new ReadAtTimeDetails({ reqTimes: [new Date(start.getTime() + 15000), start], useSimpleBounds: false }),
  nodesToRead: [{ nodeId }],
  timestampsToReturn: TimestampsToReturn.Source,
}));
found.times = plain(times.results[0].historyData.dataValues);

// events
const events = await session.historyRead(new HistoryReadRequest({
  historyReadDetails: new ReadEventDetails({
    startTime: start, endTime: end, numValuesPerNode: 0, filter: constructEventFilter(["EventType", "SourceName", "Message", "Severity", "Time"]),
  }),
  nodesToRead: [{ nodeId: "i=2253" }],
  timestampsToReturn: TimestampsToReturn.Source,
}));
found.events = events.results[0].historyData.events.map((one) => [one.eventFields[1].value, one.eventFields[2].value.text, one.eventFields[3].value]);

// attributes
const said = await session.read([AttributeIds.Historizing, AttributeIds.AccessLevel, AttributeIds.UserAccessLevel].map((attributeId) => ({ nodeId, attributeId })));
found.attributes = said.map((one) => one.value.value);
found.neither = await session.historyRead(new HistoryReadRequest({
  historyReadDetails: new ReadRawModifiedDetails({ startTime: start, endTime: end }), nodesToRead: [{ nodeId }], timestampsToReturn: TimestampsToReturn.Neither,
})).then((response) => response.responseHeader.serviceResult.name, (error) => error.message);

await session.close();
await client.disconnect();
console.log(JSON.stringify(found));
process.exit(0);
