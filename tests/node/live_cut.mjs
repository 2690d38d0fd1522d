// Subscriptions of the running gateway over a connection that is cut: taken up on a new channel, handed to a new session, republished.
//   node live_cut.mjs <url through the proxy> <url> <control port of the proxy> <operator's password>
import { connect as dial } from "node:net";
import * as nodeOpcua from "node-opcua-client";
import { Subscription, connect, done, id, publish, refused, republish, user, why, within, write } from "./live.mjs";

const { AttributeIds, OPCUAClient, TimestampsToReturn, TransferSubscriptionsRequest } = nodeOpcua;
const [cutUrl, url, control, password] = process.argv.slice(2);
const ola = user("ola", password);
const found = {};
const proxy = dial(Number(control), "127.0.0.1");
const tell = (word) => new Promise((go) => { proxy.once("data", go); proxy.write(`${word}\n`); });
const writer = await connect(url, ola);
await write(writer.session, "line.y", 0);

// a client that reconnects by itself: the same session on a new channel, nothing lost
const client = OPCUAClient.create({
  endpointMustExist: false, requestedSessionTimeout: 60000, connectionStrategy: { maxRetry: -1, initialDelay: 50, maxDelay: 200 },
});
let lost = 0;
client.on("connection_lost", () => lost++);
await within(10000, "connect", client.connect(cutUrl));
const session = await client.createSession(ola);
const sessionId = session.sessionId.toString();
const subscription = await session.createSubscription2({
  requestedPublishingInterval: 50, requestedLifetimeCount: 1000, requestedMaxKeepAliveCount: 10, maxNotificationsPerPublish: 10, publishingEnabled: true, priority: 1,
});
const heard = [], messages = new Map(), subscriptionId = subscription.subscriptionId;
subscription.on("raw_notification", (message) => {
  const values = (message.notificationData ?? []).flatMap((part) => (part.monitoredItems ?? []).map((one) => one.value.value.value));
  if (values.length) messages.set(message.sequenceNumber, values);
});
const item = await subscription.monitor({ nodeId: id("line.w"), attributeId: AttributeIds.Value }, { samplingInterval: 0, queueSize: 1000, discardOldest: true }, TimestampsToReturn.Both);
item.on("changed", (change) => heard.push(change.value.value));
const until = (what, test) => within(20000, what, (async () => { while (!test()) await new Promise((go) => setTimeout(go, 10)); })()).catch((error) => {
  throw new Error(`${error.message}: ${JSON.stringify({ heard: heard.slice(-5), lost, sequences: [...messages.keys()].slice(-5) })}`);
});
await until("the first value", () => heard.length);
let value = 0;
for (const way of ["cut", "mute", "mute"]) {
  for (const end = value + 50; value < end; ) {
    await write(writer.session, "line.y", ++value);
    if (value === end - 25) await tell(way);
  }
  if (way === "mute") await tell("cut");
  for (const cutAt = value; !heard.some((one) => one > cutAt); ) {
    await write(writer.session, "line.y", ++value);
    await new Promise((go) => setTimeout(go, 50));
    if (value > cutAt + 300) throw new Error(`nothing after ${cutAt}: ${JSON.stringify({ lost, heard: heard.slice(-5) })}`);
  }
}
await until("the last value", () => heard.includes(value));
found.last = value;
// this client's waiting Publish requests may overtake its Republish; what it missed by that it is still given by number
found.asked = 0;
for (let sequence = 1, most = Math.max(...messages.keys()); sequence <= most; sequence++) {
  if (messages.has(sequence)) continue;
  messages.set(sequence, (await republish(session, subscriptionId, sequence)).data.map(([, value]) => value));
  found.asked++;
}
found.sequences = [...messages.keys()].sort((one, other) => one - other);
found.heard = found.sequences.flatMap((sequence) => messages.get(sequence));
found.kept = [session.sessionId.toString() === sessionId, subscription.subscriptionId === subscriptionId];
found.lost = lost;
await session.close();
await client.disconnect();

// by hand: what was sent into the void is asked for again by another session of the same user
const first = await connect(cutUrl, ola);
const mine = await Subscription.open(first.session, { maxNotificationsPerPublish: 2 });
await mine.add({ w: ["line.w"] });
await mine.until("the first value", (all) => all.w.length);
const observer = await Subscription.open(writer.session);
await observer.add({ w: ["line.w"] });
const waiting = [1, 2, 3].map(() => publish(first.session).catch(why));
await new Promise((go) => setTimeout(go, 60)); // the requests are there before what is lost
await tell("mute");
for (let n = 1; n <= 5; n++) await write(writer.session, "line.y", 1000 + n);
await observer.until("the last value", (all) => all.w.at(-1) === 1005);
await publish(writer.session); // two more intervals
await tell("cut");
found.waiting = (await Promise.all(waiting)).length;
await refused(first.client.disconnect());

const second = await connect(url, ola);
const transfer = async (session, subscriptionIds) =>
  (await session.transferSubscriptions(new TransferSubscriptionsRequest({ subscriptionIds, sendInitialValues: false }))).results;
const [taken, unknown] = await transfer(second.session, [mine.id, 4711]);
found.transfer = [taken.statusCode.name, unknown.statusCode.name];
const again = [];
for (const sequence of taken.availableSequenceNumbers) again.push(await republish(second.session, mine.id, sequence));
found.again = again.map((one) => one.sequence);
found.republished = again.flatMap((one) => one.data.map(([, one]) => one));
mine.session = second.session;
mine.forget();
await write(writer.session, "line.y", 1006);
await mine.until("what comes next", (all) => all.w.at(-1) === 1006);
found.next = [mine.heard.w, mine.messages.filter((one) => one.data.length).map((one) => one.sequence)];
found.never = await republish(second.session, mine.id, 4711).catch(why);
await publish(second.session, found.again.map((sequenceNumber) => ({ subscriptionId: mine.id, sequenceNumber })));
found.acknowledged = await republish(second.session, mine.id, found.again[0]).catch(why);
const stranger = await connect(url, user("eve", password));
found.stranger = (await transfer(stranger.session, [mine.id])).map((one) => one.statusCode.name);
for (const one of [stranger, second, writer]) await one.close();
proxy.end();
done(found);
