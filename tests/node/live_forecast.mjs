// Forecasts, a what-if and a predicted limit of the running gateway on node-opcua, as a SCADA client has them.
//   node live_forecast.mjs <url> <tag> <setpoint=value> [<slope per second> <limit>]     prints what it found as one line of JSON
// With a slope it drives the tag itself, up to the limit, and acknowledges what is predicted of it.
import * as nodeOpcua from "node-opcua-client";
import { Subscription, connect, done, id, plain, read, refused, within, write } from "./live.mjs";

const { AttributeIds, DataType, HistoryReadRequest, ReadRawModifiedDetails, TimestampsToReturn, VariantArrayType, constructEventFilter, ofType, resolveNodeId } = nodeOpcua;
const [url, tag, setpoint, slope, limit] = process.argv.slice(2);
const { session, close } = await connect(url);
const found = {};
const pause = (ms) => new Promise((go) => setTimeout(go, ms));
const part = (name) => read(session, `${tag}/Forecast/${name}`);
const until = (ms, what, test) => within(ms, what, (async () => { let last; while (!(last = await test())) await pause(50); return last; })());

const list = await Subscription.open(session);
await list.add({
  median: [`${tag}/Forecast/P50`, { size: 100 }],
  alerts: [resolveNodeId("Server"), { attribute: AttributeIds.EventNotifier, size: 100,
    filter: constructEventFilter(["EventId", "SourceName", "2:PredictedLimit", "Severity", "ActiveState.Id", "AckedState.Id", "ConditionName"], ofType(id("PredictedLimitAlarmType"))) }],
  model: [resolveNodeId("Server"), { attribute: AttributeIds.EventNotifier, size: 100, filter: constructEventFilter(["Changes"], ofType("GeneralModelChangeEventType")) }],
});

// drives the tag, where it is ours to drive
let driving = Boolean(slope);
const began = Date.now();
const drive = (async () => { while (driving) { await write(session, tag, Math.min(Number(limit), ((Date.now() - began) / 1000) * Number(slope))); await pause(50); } })();

// the scalars, the arrays, and the forecast's own history ahead of now
const p50 = await until(40000, "a forecast", async () => { const one = await part("P50"); return one.statusCode.name === "UncertainSimulatedValue" && one; });
found.scalar = [p50.value.dataType === DataType.Double, p50.statusCode.value, p50.sourceTimestamp.getTime() > Date.now()];
const [low, high] = [await part("P05"), await part("P95")];
found.ordered = low.value.value <= high.value.value;
const [times, band] = [await part("Times"), await part("Band")];
found.arrays = [times.value.arrayType === VariantArrayType.Array, band.value.value.length === 3 * times.value.value.length, times.value.value.at(-1).getTime() > Date.now()];
found.model = typeof (await part("Model")).value.value;
const history = async (startTime, endTime, numValuesPerNode, continuationPoint) => (await session.historyRead(new HistoryReadRequest({
  historyReadDetails: new ReadRawModifiedDetails({ isReadModified: false, startTime, endTime, numValuesPerNode, returnBounds: false }),
  nodesToRead: [{ nodeId: id(`${tag}/Forecast/P50`), continuationPoint }], timestampsToReturn: TimestampsToReturn.Source,
}))).results[0];
const now = new Date(), far = new Date(Date.now() + 3600000);
const whole = (await history(now, far, 0)).historyData.dataValues;
found.ahead = [whole.length > 10, whole.every((one) => one.sourceTimestamp >= now && one.statusCode.name === "UncertainSimulatedValue")];
const pages = [];
for (let answer = await history(now, far, 7), n = 0; n < 1000; n++) {
  pages.push(...answer.historyData.dataValues.map((one) => one.sourceTimestamp.getTime()));
  if (!answer.continuationPoint?.length) break;
  answer = await history(now, far, 7, answer.continuationPoint);
}
found.pages = [pages.length > 10, pages.every((at, n) => n === 0 || at > pages[n - 1])];
const browse = async (nodeId) => (await session.browse({ nodeId, referenceTypeId: "HierarchicalReferences", includeSubtypes: true, browseDirection: 0, resultMask: 63 })).references;
found.below = (await browse(id(`${tag}/Forecast`))).map((one) => one.browseName.name).filter((name) => /^P\d\d$/.test(name));
found.fromTag = (await browse(id(tag))).map((one) => one.browseName.name).includes("Forecast");
found.data = await list.until("a data change", (heard) => heard.median.some((one) => Array.isArray(one) && one[0] !== null)).then(() => true);

// what would happen if
const call = (inputs) => session.call({ objectId: id("Simulation"), methodId: id("Simulation/WhatIf"), inputArguments: inputs });
const inputs = (...setpoints) => [
  { dataType: DataType.String, arrayType: VariantArrayType.Array, value: setpoints }, { dataType: DataType.Double, value: 60 }, { dataType: DataType.Double, value: 1 },
  { dataType: DataType.UInt32, value: 100 }, { dataType: DataType.Int64, arrayType: VariantArrayType.Scalar, value: [0, 7] },
];
const declared = await session.getArgumentDefinition(id("Simulation/WhatIf"));
found.arguments = [declared.inputArguments.map((one) => one.name), declared.outputArguments.map((one) => one.name)];
const answer = await call(inputs(setpoint));
const run = answer.outputArguments[0].value;
found.called = answer.statusCode.name;
found.state = await until(20000, "the run's end", async () => { const { value } = await read(session, `Simulation/Runs/${run}/State`); return value.value !== "running" && value.value; });
found.listed = (await browse(id("Simulation/Runs"))).some((one) => one.browseName.name === run);
const outputs = (await browse(id(`Simulation/Runs/${run}/Outputs`))).map((one) => one.browseName.name);
found.outputs = outputs.includes(tag);
const of = async (name) => (await read(session, `Simulation/Runs/${run}/Outputs/${tag}/${name}`)).value.value;
const quantiles = [await of("P05"), await of("P50"), await of("P95"), await of("Delta"), await of("DeltaHalfWidth")];
found.lengths = [...new Set(quantiles.map((one) => one.length))];
found.moved = quantiles[3].at(-1) > 0;
found.setpoints = [...(await read(session, `Simulation/Runs/${run}/Setpoints`)).value.value];
await list.until("the model change", (heard) => heard.model.some((fields) => JSON.stringify(fields).includes(run)));
found.wrong = await call(inputs("no equals sign")).then((one) => [one.statusCode.name, one.inputArgumentResults.map((code) => code.name)]);

// a limit that is predicted, and who has seen it
if (slope) {
  await list.until("a predicted limit", (heard) => heard.alerts.some((one) => one[4]));
  const [eventId, source, predicted, severity, active] = list.heard.alerts.find((one) => one[4]);
  found.alert = [source, predicted, severity <= 300, active];
  found.before = (await read(session, tag)).value.value < Number(limit);
  const condition = id(`${tag}/Forecast/${predicted}`);
  found.acknowledged = await refused(session.call({ objectId: condition, methodId: resolveNodeId("i=9111"), inputArguments: [
    { dataType: DataType.ByteString, value: Buffer.from(eventId, "hex") }, { dataType: DataType.LocalizedText, value: { text: "seen", locale: "en" } },
  ] }).then((one) => one.statusCode));
  await list.until("its acknowledgement", (heard) => heard.alerts.some((one) => one[5]));
  found.acked = plain((await read(session, `${tag}/Forecast/${predicted}/AckedState/Id`)).value?.value);
}
driving = false;
await drive;
await close();
done(found);
