"use strict";
// The start page: values and alarms over /api/v1/stream, the gateway's state every five seconds.

const ROWS = 500;
const RETRY_MS = [500, 1000, 2000, 5000, 10000];
const STATUS_MS = 5000;
const SILENCE_MS = 15000;
const SHELVES = [["10 min", 600], ["1 h", 3600]];

const at = (id) => document.getElementById(id);
const tags = new Map();       // tag_id -> {name, symbol, labels, type, value, status, time, row}
const named = new Map();      // name -> the same
const alarms = new Map();     // condition -> record
const reasons = new Map();    // StatusCode -> its name
let attempt = 0;
let permissions = [];
let unknown = "connecting";   // why the list of alarms says nothing of the present; empty while it does

function cell(row, text, name) {
  const made = row.insertCell();
  made.textContent = text;
  if (name) made.className = name;
  return made;
}

async function ask(path, options) {
  const answer = await fetch("/api/v1" + path, { ...options, signal: AbortSignal.timeout(10000) });
  const content = answer.status === 204 ? null : await answer.json();
  if (!answer.ok) throw Object.assign(new Error(content.detail), { status: answer.status });
  return content;
}

function notice(text) {
  at("notice").textContent = text;
  at("notice").hidden = !text;
}

function link(text, state) {
  at("link").textContent = text;
  at("link").dataset.state = state;
}

// What is shown is not, or no longer, the present: nothing here may look like an all-clear.
function lost(text, why) {
  link(text, "bad");
  document.body.dataset.live = "no";
  unknown = why;
  drawAlarms();
}

// --- values ---------------------------------------------------------------------------------------------------------------------------

function number(value) {
  return String(Number.isInteger(value) ? value : Number(value.toPrecision(12)));
}

// A value as its tag would show it; tag may be undefined: then it is a number.
function shown(value, tag) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "string") return value;
  if (tag?.type === "bool" || tag?.type === "enum") return tag.labels?.[Number(value)] ?? (tag.type === "bool" ? String(Boolean(value)) : String(value));
  return number(value);
}

function symbol(tag) {
  return !tag || tag.unit === "1" ? "" : tag.symbol ?? tag.unit ?? "";
}

function quality(status) {
  return ["good", "uncertain", "bad", "bad"][status >>> 30];
}

function draw(tag) {
  if (!tag.row) return;
  const [, value, , state, time] = tag.row.cells;
  const word = quality(tag.status);
  const reason = word === "good" ? "" : reasons.get(tag.status) ?? "";
  value.textContent = shown(tag.value, tag);
  state.textContent = word;
  if (reason && reason.toLowerCase() !== word) state.append(" ", Object.assign(document.createElement("small"), { textContent: reason }));
  state.dataset.state = word;
  time.textContent = tag.time > 0 ? new Date(tag.time).toISOString().slice(11, 23) : "–";
}

function list() {
  const wanted = at("find").value.trim().toLowerCase();
  const found = [...tags.values()].filter((tag) => tag.name.toLowerCase().includes(wanted));
  const body = at("tags");
  body.replaceChildren();
  for (const tag of tags.values()) tag.row = null;
  for (const tag of found.slice(0, ROWS)) {
    tag.row = body.insertRow();
    cell(tag.row, tag.name);
    cell(tag.row, "", "number");
    cell(tag.row, symbol(tag));
    cell(tag.row, "");
    cell(tag.row, "");
    draw(tag);
  }
  at("tag-count").textContent = `${found.length} of ${tags.size}`;
  at("more").hidden = found.length <= ROWS;
  at("more").textContent = `The first ${ROWS} are shown: type part of a name to see others.`;
}

function take(frame) {
  for (const [status, name] of Object.entries(frame.c ?? {})) reasons.set(Number(status), name);
  frame.i.forEach((id, n) => {
    let tag = tags.get(id);
    if (!tag) {
      if (!frame.n) return;
      tag = { name: frame.n[n], unit: "", type: "float", row: null };
      tags.set(id, tag);
      named.set(tag.name, tag);
    }
    tag.status = frame.s ? frame.s[n] : 0;
    tag.value = frame.x && id in frame.x ? frame.x[id] : frame.v[n];
    tag.time = frame.t + frame.d[n];
    draw(tag);
  });
}

async function describe() {
  for (let offset = 0; ; ) {
    const page = await ask(`/tags?limit=1000&offset=${offset}`);
    for (const row of page.tags) {
      const tag = tags.get(row.tag_id);
      if (tag) Object.assign(tag, { unit: row.unit, symbol: row.symbol, type: row.type, labels: row.labels });
    }
    offset += page.tags.length;
    if (!page.tags.length || offset >= page.total) break;
  }
  list();
  drawAlarms();
}

// --- alarms ---------------------------------------------------------------------------------------------------------------------------

const silenced = (alarm) => alarm.shelving !== "unshelved" || alarm.suppressed || alarm.out_of_service || !alarm.enabled;

// The state in words: never by colour alone.
function state(alarm) {
  const words = [alarm.latched ? "latched" : alarm.active ? "active" : "returned"];
  if (!alarm.acknowledged) words.push("not acknowledged");
  else if (!alarm.confirmed) words.push("not confirmed");
  if (alarm.shelving === "timed") words.push(`shelved until ${clock(alarm.unshelve_at)}`);
  if (alarm.shelving === "one_shot") words.push("shelved until it returns");
  if (alarm.suppressed) words.push("suppressed");
  if (alarm.out_of_service) words.push("out of service");
  if (!alarm.enabled) words.push("disabled");
  return words.join(", ");
}

function clock(time) {
  return time ? time.slice(11, 19) + " UTC" : "–";
}

// What this person may do to it now: label, verb, arguments.
function actions(alarm) {
  const found = [];
  if (permissions.includes("alarm:ack")) {
    if (!alarm.acknowledged) found.push(["Acknowledge", "acknowledge", { serial: alarm.serial }]);
    else if (!alarm.confirmed) found.push(["Confirm", "confirm", { serial: alarm.serial }]);
  }
  if (permissions.includes("alarm:shelve")) {
    if (alarm.shelving !== "unshelved") found.push(["Unshelve", "unshelve", {}]);
    else if (alarm.retained && !silenced(alarm))
      for (const [word, duration] of SHELVES) if (duration <= alarm.shelve_max_s) found.push([`Shelve ${word}`, "shelve", { duration }]);
  }
  return found;
}

function drawAlarm(body, alarm) {
  const row = body.insertRow();
  cell(row, `${alarm.severity} ${alarm.level}`);
  cell(row, alarm.message || alarm.condition).title = alarm.condition;
  cell(row, state(alarm)).dataset.state = alarm.active && !silenced(alarm) ? "bad" : "";
  const tag = named.get(alarm.tag);
  cell(row, [shown(alarm.value, tag), alarm.value === null ? "" : symbol(tag)].join(" ").trim(), "number");
  cell(row, clock(alarm.since));
  const last = cell(row, "");
  if (!unknown) for (const [text, verb, args] of actions(alarm)) last.append(button(text, (made) => operate(made, alarm.condition, verb, args)), " ");
}

function drawAlarms() {
  const all = [...alarms.values()].sort((a, b) => b.level - a.level || (a.since < b.since ? 1 : -1));
  const rows = all.filter((alarm) => !silenced(alarm)), apart = all.filter(silenced);
  at("alarms").replaceChildren();
  for (const alarm of rows) drawAlarm(at("alarms"), alarm);
  at("silenced-alarms").replaceChildren();
  for (const alarm of apart) drawAlarm(at("silenced-alarms"), alarm);
  at("silenced").hidden = !apart.length;
  at("silenced-count").textContent = String(apart.length);
  at("alarm-count").textContent = rows.length ? String(rows.length) : "";
  const known = at("alarms-known");
  known.hidden = !unknown && rows.length > 0;
  known.dataset.state = unknown ? "bad" : "";
  known.textContent = unknown ? "unknown: " + unknown : rows.length ? "" : "No alarm is active or waits for acknowledgement.";
}

function button(text, action) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.addEventListener("click", () => action(made));
  return made;
}

// The row changes when the transition arrives, not before.
async function operate(made, condition, verb, args) {
  made.disabled = true;
  try {
    const path = `/alarms/${condition.split("/").map(encodeURIComponent).join("/")}/${verb}`;
    await ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(args) });
    notice("");
  } catch (error) {
    notice(error.message);
  }
  made.disabled = false;
}

function change(alarm) {
  if (alarm.retained || silenced(alarm)) alarms.set(alarm.condition, alarm);
  else alarms.delete(alarm.condition);
  drawAlarms();
}

// --- the stream -----------------------------------------------------------------------------------------------------------------------

const take_by_type = {
  snap: (frame) => { tags.clear(); named.clear(); take(frame); list(); drawAlarms(); describe().catch((error) => notice(error.message)); },
  d: take,
  alarms: (frame) => { alarms.clear(); for (const row of frame.conditions) alarms.set(row.condition, row); drawAlarms(); },
  al: change,
  gone: (frame) => notice(frame.why),
};

function connect() {
  const socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/api/v1/stream");
  let watchdog = 0, over = false;
  const end = () => {  // once, also where the goodbye of the other side never comes
    if (over) return;
    over = true;
    clearTimeout(watchdog);
    socket.close();
    lost("no connection: the values below are old", alarms.size ? "no connection, the alarms above are old" : "no connection");
    const wait = RETRY_MS[Math.min(attempt++, RETRY_MS.length - 1)];
    setTimeout(start, wait * (0.8 + 0.4 * Math.random()));
  };
  const alive = () => {
    clearTimeout(watchdog);
    watchdog = setTimeout(end, SILENCE_MS);
  };
  alive();
  socket.addEventListener("open", () => socket.send(JSON.stringify({ subscribe: { tags: "*", alarms: true, hz: 4 } })));
  socket.addEventListener("message", (message) => {
    if (over) return;
    alive();
    const frame = JSON.parse(message.data);
    if (frame.type === "snap") { attempt = 0; unknown = ""; document.body.dataset.live = "yes"; link("live", "good"); notice(""); }
    take_by_type[frame.type]?.(frame);
  });
  socket.addEventListener("close", end);
}

async function start() {
  try {
    const who = await ask("/session");
    permissions = who.permissions;
    known(who);
    connect();
  } catch (error) {
    if (error.status === 401) {
      lost("not signed in", "not signed in");
      permissions = [];
      known(null);
      return;
    }
    lost("the gateway does not answer", "the gateway does not answer");
    setTimeout(start, RETRY_MS[Math.min(attempt++, RETRY_MS.length - 1)]);
  }
}

// Who is looking: null = nobody, until somebody signs in.
function known(who) {
  const person = who && who.user !== "anonymous" && !who.user.startsWith("local:");
  at("who").textContent = who ? `${who.user} (${who.role})` : "";
  at("leave").hidden = !person;
  at("enter").hidden = !who || who.user !== "anonymous";
  at("sign-in").hidden = Boolean(who);
}

async function enter(event) {
  event.preventDefault();
  const form = event.target;
  const [user, password] = [form.elements.user.value, form.elements.password.value];
  form.elements.password.value = "";
  try {
    await ask("/session", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ user, password }) });
    location.replace("/");
  } catch (error) {
    notice(error.message);
    form.elements.password.focus();
  }
}

async function leave() {
  try {
    await ask("/session", { method: "DELETE" });
  } finally {
    location.replace("/");
  }
}

// How well the alarms serve (ISA-18.2): over a day, without the silenced ones.
function served(figures) {
  const words = [`${figures.last_10_min} in 10 minutes`, `${figures.last_day} in a day`, `${figures.standing} standing`, `${figures.stale} stale`];
  if (figures.chattering.length) words.push(`${figures.chattering.length} chattering: ${figures.chattering.slice(0, 5).join(", ")}`);
  if (figures.flood_now) words.unshift("FLOOD");
  return words.join(", ");
}

async function status() {
  try {
    const state = await ask("/status");
    document.title = at("name").textContent = `Edgetwin ${state.name}`;
    const rows = [["version", state.version], ["ready", state.ready ? "yes" : "no: " + state.reasons.join("; ")]];
    if (state.alarms?.performance) rows.push(["alarms", served(state.alarms.performance)]);
    for (const kind of ["sources", "sinks"])
      for (const [name, unit] of Object.entries(state[kind] ?? {}))
        rows.push([`${kind.slice(0, -1)} ${name}`, [unit.state, unit.reason].filter(Boolean).join(": ")]);
    const body = at("status");
    body.replaceChildren();
    for (const [name, text] of rows) {
      body.append(Object.assign(document.createElement("dt"), { textContent: name }), Object.assign(document.createElement("dd"), { textContent: text ?? "" }));
    }
  } catch (error) {
    if (error.status !== 401) at("status").textContent = error.message;
  }
}

at("find").addEventListener("input", list);
at("sign-in").addEventListener("submit", enter);
at("enter").addEventListener("click", () => { at("sign-in").hidden = false; at("enter").hidden = true; });
at("leave").addEventListener("click", leave);
drawAlarms();
start();
status();
setInterval(status, STATUS_MS);
