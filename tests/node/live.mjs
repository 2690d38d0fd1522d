// What the clients of the live tests share: a session on node-opcua, and subscriptions driven by hand, one Publish at a time.
import * as nodeOpcua from "node-opcua-client";

const {
  OPCUAClient, AttributeIds, CreateMonitoredItemsRequest, CreateSubscriptionRequest, DataType, MonitoringMode, PublishRequest,
  RepublishRequest, SetMonitoringModeRequest, SetPublishingModeRequest, SetTriggeringRequest, TimestampsToReturn, UserTokenType, resolveNodeId,
} = nodeOpcua;

export const within = (ms, what, promise) =>
  Promise.race([promise, new Promise((_, no) => setTimeout(() => no(new Error(`not within ${ms} ms: ${what}`)), ms).unref())]);
export const id = (name) => resolveNodeId(`ns=2;s=${name}`);
export const user = (userName, password) => ({ type: UserTokenType.UserName, userName, password });
/** The StatusCode's name in what a service answered or threw. */
export const why = (error) => (/Bad[A-Za-z]+/.exec(`${error.response?.responseHeader?.serviceResult?.name ?? ""} ${error.message}`) ?? [error.message])[0];
export const refused = (promise) => promise.then((answer) => answer?.name ?? "Good", why);
export const plain = (value) => value?.text ?? (Buffer.isBuffer(value) ? value.toString("hex") : value?.namespace !== undefined ? value.toString() : value);

export async function connect(url, identity, options = {}) {
  const client = OPCUAClient.create({ endpointMustExist: false, connectionStrategy: { maxRetry: 0 }, requestedSessionTimeout: 60000, ...options });
  await within(10000, "connect", client.connect(url));
  const session = await within(10000, "session", client.createSession(identity));
  return { client, session, close: async () => { await session.close(); await client.disconnect(); } };
}

export const write = async (session, name, value, dataType = DataType.Double) =>
  (await session.write({ nodeId: id(name), attributeId: AttributeIds.Value, value: { value: { dataType, value } } })).name;
export const read = async (session, name) => session.read({ nodeId: id(name), attributeId: AttributeIds.Value });

/** One command of the gateway through its web door, as its administrator. */
export async function command(web, kind, args) {
  const answer = await fetch(`${web}/api/v1/commands`, {
    method: "POST", headers: { "content-type": "application/json", origin: web }, body: JSON.stringify({ command: kind, args }),
  });
  if (!answer.ok) throw new Error(`${kind}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

/** Publish once: {subscription, sequence, more, data: [[handle, value, status]], events: [[handle, fields]], status, available}. */
export function publish(session, acknowledgements = []) {
  const request = new PublishRequest({ subscriptionAcknowledgements: acknowledgements });
  return within(15000, "publish", new Promise((yes, no) =>
    session.publish(request, (error, answer) => (error ? no(error) : yes(message(answer.notificationMessage, answer))))));
}

export function republish(session, subscriptionId, retransmitSequenceNumber) {
  const request = new RepublishRequest({ subscriptionId, retransmitSequenceNumber });
  return new Promise((yes, no) => session.republish(request, (error, answer) => (error ? no(error) : yes(message(answer.notificationMessage, answer)))));
}

function message(told, answer) {
  const found = {
    subscription: answer.subscriptionId, sequence: told.sequenceNumber, more: answer.moreNotifications,
    available: [...(answer.availableSequenceNumbers ?? [])], data: [], events: [], status: null,
  };
  for (const part of told.notificationData ?? []) {
    for (const one of part.monitoredItems ?? []) found.data.push([one.clientHandle, one.value.value.value, one.value.statusCode.value]);
    for (const one of part.events ?? []) found.events.push([one.clientHandle, one.eventFields.map((field) => plain(field.value))]);
    if (part.status) found.status = part.status.name;
  }
  found.keepAlive = !found.data.length && !found.events.length && !found.status;
  return found;
}

/** A subscription without an engine: nothing is published but what the test asks for. */
export class Subscription {
  static handles = 0;

  static async open(session, parameters = {}) {
    const answer = await session.createSubscription(new CreateSubscriptionRequest({
      requestedPublishingInterval: 50, requestedLifetimeCount: 1000, requestedMaxKeepAliveCount: 2, maxNotificationsPerPublish: 0,
      publishingEnabled: true, priority: 0, ...parameters,
    }));
    const made = new Subscription();
    Object.assign(made, { session, id: answer.subscriptionId, heard: {}, names: {}, messages: [] });
    return made;
  }

  /** Items by name: {name: [node, {mode, size, oldest, filter, attribute}]}; their server's ids. */
  async add(items) {
    const entries = Object.entries(items);
    const answer = await this.session.createMonitoredItems(new CreateMonitoredItemsRequest({
      subscriptionId: this.id, timestampsToReturn: TimestampsToReturn.Both,
      itemsToCreate: entries.map(([name, [node, asked = {}]]) => {
        const clientHandle = ++Subscription.handles;
        this.names[clientHandle] = name;
        this.heard[name] = [];
        return {
          itemToMonitor: { nodeId: typeof node === "string" ? id(node) : node, attributeId: asked.attribute ?? AttributeIds.Value },
          monitoringMode: asked.mode ?? MonitoringMode.Reporting,
          requestedParameters: { clientHandle, samplingInterval: 0, queueSize: asked.size ?? 100, discardOldest: asked.oldest ?? true, filter: asked.filter },
        };
      }),
    }));
    return answer.results.map((one) => (one.statusCode.name === "Good" ? one.monitoredItemId : one.statusCode.name));
  }

  /** Publishes until the test is true of what was heard; what of it belongs to other subscriptions of the session is theirs. */
  async until(what, test, others = []) {
    const owners = [this, ...others];
    for (let turn = 0; !test(this.heard); turn++) {
      if (turn > 400) throw new Error(`never: ${what}: ${JSON.stringify(this.heard)}`);
      const told = await publish(this.session);
      owners.find((one) => one.id === told.subscription)?.take(told);
    }
    return this.heard;
  }

  take(told) {
    this.messages.push(told);
    for (const [handle, value, status] of told.data) this.heard[this.names[handle]].push(status ? [value, status] : value);
    for (const [handle, fields] of told.events) this.heard[this.names[handle]].push(fields);
  }

  forget() {
    for (const name of Object.keys(this.heard)) this.heard[name] = [];
    this.messages = [];
  }

  async mode(monitoringMode, ...monitoredItemIds) {
    const answer = await this.session.setMonitoringMode(new SetMonitoringModeRequest({ subscriptionId: this.id, monitoringMode, monitoredItemIds }));
    return answer.results.map((one) => one.name);
  }

  async publishing(publishingEnabled) {
    return (await this.session.setPublishingMode(publishingEnabled, [this.id])).map((one) => one.name);
  }

  async link(triggeringItemId, linksToAdd, linksToRemove = []) {
    const answer = await this.session.setTriggering(new SetTriggeringRequest({ subscriptionId: this.id, triggeringItemId, linksToAdd, linksToRemove }));
    return [...(answer.addResults ?? []), ...(answer.removeResults ?? [])].map((one) => one.name);
  }
}

export function done(found) {
  console.log(JSON.stringify(found));
  process.exit(0);
}
