// Subscriptions of the running gateway on node-opcua, driven by hand: filters, triggers, modes, queues, links, priority, 2 000 tags.
//   node live_subscriptions.mjs <url> <operator's password>     prints what it heard as one line of JSON
import * as nodeOpcua from "node-opcua-client";
import { Subscription, connect, done, id, publish, read, refused, user, write } from "./live.mjs";

const { AttributeIds, BrowseDirection, DataChangeFilter, MonitoringMode } = nodeOpcua;
const { Disabled, Sampling, Reporting } = MonitoringMode;
const [url, password] = process.argv.slice(2);
const { session, close } = await connect(url, user("ola", password));
const found = {};
const filter = (trigger, deadbandType = 0, deadbandValue = 0) => new DataChangeFilter({ trigger, deadbandType, deadbandValue });
const last = (list, value) => JSON.stringify(list.at(-1)) === JSON.stringify(value);

// each filter and trigger on one tag, beside an item without any
await write(session, "line.gate", 1);
await write(session, "line.x", 0);
await write(session, "line.y", 0);
const first = await Subscription.open(session);
await first.add({
  plain: ["line.v"], status: ["line.v", { filter: filter(0) }], value: ["line.v", { filter: filter(1) }], timestamp: ["line.v", { filter: filter(2) }],
  absolute: ["line.v", { filter: filter(1, 1, 5) }], percent: ["line.v", { filter: filter(1, 2, 10) }],
});
await first.until("first values", (heard) => Object.values(heard).every((list) => last(list, 0)));
for (const value of [3, 3, 6, 8, 20]) await write(session, "line.x", value);
await write(session, "line.gate", 0); // a division by zero
await write(session, "line.gate", 1);
await first.until("Bad and Good again", (heard) => heard.plain.length > 3 && last(heard.plain, 20) && Array.isArray(heard.plain.at(-2)));
found.filters = structuredClone(first.heard);
found.refusedFilters = await (await Subscription.open(session)).add({
  text: ["line.recipe", { filter: filter(1, 1, 5) }], noRange: ["line.w", { filter: filter(1, 2, 10) }], unknown: ["line.nothing"],
  attribute: ["line.v", { attribute: AttributeIds.Symmetric }],
});

// queues, while publishing is off; another subscription says when the last value is there
await write(session, "line.x", 0);
const witness = await Subscription.open(session), queues = await Subscription.open(session);
await witness.add({ x: ["line.v"] });
await queues.add({
  oldest: ["line.v", { size: 3 }], newest: ["line.v", { size: 3, oldest: false }], one: ["line.v", { size: 1 }], all: ["line.v"],
});
await queues.until("first values", (heard) => Object.values(heard).every((list) => list.length), [witness, first]);
queues.forget();
found.publishing = [await queues.publishing(false)];
for (const value of [1, 2, 3, 4, 5, 6]) await write(session, "line.x", value);
await witness.until("the last value", (heard) => last(heard.x, 6), [queues, first]);
found.silent = queues.heard.all.length;
found.publishing.push(await queues.publishing(true));
found.queues = structuredClone(await queues.until("what the queues kept", (heard) => Object.values(heard).every((list) => list.length), [witness, first]));

// modes
const modes = await Subscription.open(session);
const [, disabled, sampling] = await modes.add({
  reporting: ["line.v"], disabled: ["line.v", { mode: Disabled }], sampling: ["line.v", { mode: Sampling }],
});
for (const value of [10, 11]) await write(session, "line.x", value);
await modes.until("reported", (heard) => last(heard.reporting, 11), [witness, first, queues]);
found.modes = [modes.heard.disabled, modes.heard.sampling].map((list) => list.length);
found.setMode = [await modes.mode(Reporting, disabled, sampling), await modes.mode(Reporting, 4711).catch((error) => [error.message])];
await modes.until("woken up", (heard) => heard.disabled.length && heard.sampling.length >= 2, [witness, first, queues]);
found.woken = { disabled: [...modes.heard.disabled], sampling: modes.heard.sampling.slice(-2) };

// links: what is sampled is reported when its trigger reports
const links = await Subscription.open(session);
const [trigger, linked] = await links.add({ trigger: ["line.v"], linked: ["line.w", { mode: Sampling }] });
await links.until("the trigger's first value", (heard) => heard.trigger.length, [witness, first, queues, modes]);
links.forget();
found.linked = [await links.link(trigger, [linked]), await links.link(trigger, [4711])];
for (const value of [1, 2, 3]) await write(session, "line.y", value);
await write(session, "line.x", 50);
await links.until("both", (heard) => last(heard.trigger, 50) && last(heard.linked, 3), [witness, first, queues, modes]);
found.triggered = links.heard.linked.slice(-3);
found.unlinked = await links.link(trigger, [], [linked]);
links.forget();
await write(session, "line.y", 4);
await write(session, "line.x", 51);
await links.until("the trigger alone", (heard) => last(heard.trigger, 51), [witness, first, queues, modes]);
found.afterUnlink = links.heard.linked;
await Promise.all([first, witness, queues, modes, links].map((one) => session.deleteSubscriptions({ subscriptionIds: [one.id] })));

// priority: of two that have something to say the more urgent one speaks first, each time
const low = await Subscription.open(session, { priority: 1 }), high = await Subscription.open(session, { priority: 200 });
for (const one of [low, high]) await one.add({ x: ["line.v"] });
for (const one of [low, high]) await one.until("first values", (heard) => heard.x.length, [low, high]);
const observer = await connect(url, user("ola", password));
const late = await Subscription.open(observer.session, { requestedPublishingInterval: 200 });
await late.add({ x: ["line.v"] });
await late.until("its first value", (heard) => heard.x.length);
found.priority = [];
for (const value of [61, 62, 63]) {
  await write(session, "line.x", value);
  await late.until("seen", (heard) => last(heard.x, value));
  await publish(observer.session); // a keep-alive: eight intervals of theirs
  found.priority.push((await publish(session)).subscription === high.id, (await publish(session)).subscription === low.id);
}
await observer.close();
await session.deleteSubscriptions({ subscriptionIds: [low.id, high.id] });

// 2 000 tags: browsed in pages, read at once, subscribed in messages of 500
session.requestedMaxReferencesPerNode = 300;
let page = await session.browse({ nodeId: id("cell"), browseDirection: BrowseDirection.Forward, referenceTypeId: "HasComponent", includeSubtypes: true, resultMask: 63 });
const references = [...page.references], pages = [page.references.length];
while (page.continuationPoint?.length) {
  const point = page.continuationPoint;
  page = await session.browseNext(point, false);
  references.push(...page.references);
  pages.push(page.references.length);
  found.usedPoint ??= (await session.browseNext(point, false)).statusCode.name;
}
const held = await session.browse({ nodeId: id("cell"), browseDirection: BrowseDirection.Forward, referenceTypeId: "HasComponent", includeSubtypes: true, resultMask: 63 });
found.released = [(await session.browseNext(held.continuationPoint, true)).statusCode.name, (await session.browseNext(held.continuationPoint, false)).statusCode.name];
const names = references.map((one) => one.nodeId.value);
found.browsed = { pages, distinct: new Set(names).size };
const values = await session.read(names.map((name) => ({ nodeId: id(name), attributeId: AttributeIds.Value })));
found.read = values.filter((one) => one.statusCode.name === "Good" && one.value.value === 1000).length;
const many = await Subscription.open(session, { maxNotificationsPerPublish: 500 });
const ids = await many.add(Object.fromEntries(names.map((name) => [name, [name]])));
found.items = ids.filter((one) => typeof one === "number").length;
await many.until("2 000 first values", (heard) => Object.values(heard).every((list) => list.length));
found.messages = many.messages.filter((one) => one.data.length).map((one) => [one.data.length, one.more]);
many.forget();
await write(session, "line.base", 7);
await many.until("2 000 changes", (heard) => Object.values(heard).every((list) => list.length));
found.changed = Object.values(many.heard).filter((list) => list.length === 1 && list[0] === 1007).length;
const sequences = many.messages.filter((one) => one.data.length).map((one) => one.sequence);
found.sequences = sequences.every((one, at) => at === 0 || one === sequences[at - 1] + 1);
found.base = (await read(session, "line.base")).value.value;
found.tooMany = await refused(session.read(Array.from({ length: 10001 }, () => ({ nodeId: id("line.x"), attributeId: AttributeIds.Value }))));
await close();
done(found);
