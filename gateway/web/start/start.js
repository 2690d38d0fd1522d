"use strict";
// The start page: values and alarms over /api/v1/stream, the gateway's state every five seconds.

const ROWS = 500;
const RETRY_MS = [500, 1000, 2000, 5000, 10000];
const STATUS_MS = 5000;
const SILENCE_MS = 15000;
const SIGNED_OUT_MS = 10000;
const SHELVES = [["10 min", 600], ["1 h", 3600]];

const at = (id) => document.getElementById(id);
const tags = new Map();       // tag_id -> {name, symbol, labels, type, value, status, time, row}
const named = new Map();      // name -> the same
const alarms = new Map();     // condition -> record
const alerts = new Map();     // condition -> record of a predicted limit: it is no alarm
const rows = new Map();       // condition -> the row it is drawn in
const ahead = new Map();      // the same of predicted limits
const opened = new Set();     // conditions whose details are open
const reasons = new Map();    // StatusCode -> its name
let attempt = 0;
let permissions = [];
let described = 0;            // how often units, ranges and labels were read
let unknown = "connecting";   // why the list of alarms says nothing of the present; empty while it does

function cell(row, text, name) {
  const made = row.insertCell();
  made.textContent = text;
  if (name) made.className = name;
  return made;
}

async function ask(path, options) {
  const answer = await fetch("/api/v1" + path, { ...options, signal: AbortSignal.timeout(10000) })
    .catch(() => { throw new Error("the gateway does not answer"); });
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

// As many digits as say something: a ten-thousandth of the range or three digits, five digits where there is none. Whole numbers are whole.
function number(value, range) {
  if (Number.isInteger(value)) return String(value);
  const span = range ? range[1] - range[0] : 0;
  const size = Math.floor(Math.log10(Math.abs(value)));
  const places = span > 0 && Number.isFinite(span) ? Math.max(4 - Math.ceil(Math.log10(span)), Math.min(2 - size, 4)) : 4 - size;
  if (size < -places || size < -4) return String(Number(value.toPrecision(2)));
  return String(Number(value.toFixed(Math.min(20, Math.max(0, places)))));
}

// A value as its tag would show it; tag may be undefined: then it is a number.
function shown(value, tag) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "string") return value;
  if (tag?.type === "bool" || tag?.type === "enum") return tag.labels?.[Number(value)] ?? (tag.type === "bool" ? String(Boolean(value)) : String(value));
  return number(value, tag?.range);
}

// The same with its unit; the whole number is what the cursor over it says.
function show(place, value, tag) {
  const known = value !== null && value !== undefined;
  place.textContent = [shown(value, tag), known ? symbol(tag) : ""].join(" ").trim();
  place.title = known && typeof value === "number" ? String(value) : "";
}

// A name that may be broken after its dots and slashes, and nowhere else.
function breakable(place, text) {
  for (const part of text.split(/(?<=[./_])/)) place.append(part, document.createElement("wbr"));
}

function symbol(tag) {
  const found = !tag || tag.unit === "1" ? "" : tag.symbol ?? tag.unit ?? "";
  return found === "1" ? "" : found;
}

// What has a trend.
const numeric = (tag) => tag.type === "float" || tag.type === "int";

function quality(status) {
  return ["good", "uncertain", "bad", "bad"][status >>> 30];
}

// The status of what a person entered in place of the measurement.
const BY_HAND = "GoodLocalOverride";

function draw(tag) {
  for (const place of tag.places ?? []) show(place, tag.value, tag);
  if (!tag.row) return;
  const [, value, , state, time] = tag.row.cells;
  const word = quality(tag.status);
  const reason = reasons.get(tag.status) ?? "", byHand = reason === BY_HAND;
  value.textContent = shown(tag.value, tag);
  value.title = typeof tag.value === "number" ? String(tag.value) : "";
  state.textContent = byHand ? "✎ by hand" : word;
  if (reason && reason.toLowerCase() !== word) state.append(" ", Object.assign(document.createElement("small"), { textContent: reason }));
  state.dataset.state = byHand ? "hand" : word;
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
    const name = cell(tag.row, "");
    if (numeric(tag)) name.append(button("", () => showTrend(tag)));
    breakable(name.firstChild ?? name, tag.name);
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
      if (tag) Object.assign(tag, { unit: row.unit, symbol: row.symbol, type: row.type, labels: row.labels, range: row.range });
    }
    offset += page.tags.length;
    if (!page.tags.length || offset >= page.total) break;
  }
  described += 1;
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

const SHAPES = { critical: "\u25a0", error: "\u25b2", warning: "\u25c6", info: "\u25cb" };

// Severity by shape, word and number, and by colour last.
function badge(place, alarm) {
  const made = document.createElement("span");
  made.className = "severity";
  made.dataset.severity = alarm.severity;
  made.textContent = `${SHAPES[alarm.severity] ?? ""} ${alarm.severity} ${alarm.level}`.trim();
  place.append(made);
}

// What it is, and once it is opened: why it comes, what follows, what to do, and who did what last.
function explain(place, alarm) {
  const made = document.createElement("details"), list = document.createElement("dl");
  const title = document.createElement("summary");
  if (alarm.message) title.textContent = alarm.message;
  else breakable(title, alarm.condition);
  const said = alarm.comment ? [alarm.comment, alarm.comment_user && `(${alarm.comment_user}, ${clock(alarm.comment_time)})`].filter(Boolean).join(" ") : "";
  const facts = [["condition", alarm.condition], ["cause", alarm.cause], ["consequence", alarm.consequence], ["action", alarm.action],
    ["last change", changed(alarm)], ["comment", said], ["limit", alarm.threshold === null ? "" : shown(alarm.threshold, named.get(alarm.tag))]];
  for (const [word, text] of facts) {
    if (!text) continue;
    const fact = document.createElement("dd");
    breakable(fact, text);
    list.append(Object.assign(document.createElement("dt"), { textContent: word }), fact);
  }
  made.open = opened.has(alarm.condition);
  made.addEventListener("toggle", () => (made.open ? opened.add(alarm.condition) : opened.delete(alarm.condition)));
  made.append(title, list);
  place.append(made);
}

// The last transition: which, when, by whom.
function changed(alarm) {
  return `${(alarm.change ?? "changed").replaceAll("_", " ")} ${clock(alarm.since)}${alarm.user ? " by " + alarm.user : ""}`;
}

// One button for what is next, one menu for the rest.
function control(place, alarm) {
  const made = actions(alarm).map(([text, verb, args]) => [verb, button(text, (one) => operate(one, alarm.condition, verb, args))]);
  const menu = made.filter(([verb]) => verb === "shelve").map(([, one]) => one);
  place.append(...made.filter(([verb]) => verb !== "shelve").map(([, one]) => one));
  if (!menu.length) return;
  const more = document.createElement("details"), choices = document.createElement("div");
  more.className = "menu";
  choices.append(...menu);
  more.append(Object.assign(document.createElement("summary"), { textContent: "Shelve" }), choices);
  place.append(more);
}

// The row of an alarm: the same one until the alarm, or what may be done to it, is another.
function rowOf(alarm) {
  const key = [unknown, described, ...permissions].join();
  const last = rows.get(alarm.condition);
  const tag = named.get(alarm.tag);
  if (last && last.alarm === alarm && last.key === key && last.tag === tag) return last;
  tag?.places?.delete(last?.place);
  const row = Object.assign(document.createElement("tr"), { alarm, key, tag });
  badge(cell(row, ""), alarm);
  explain(cell(row, ""), alarm);
  const words = cell(row, state(alarm));
  words.dataset.state = alarm.active && !silenced(alarm) ? "bad" : "";
  if (alarm.user || alarm.change !== "active") words.append(" ", Object.assign(document.createElement("small"), { textContent: changed(alarm) }));
  show(cell(row, "", "number"), alarm.value, tag);
  row.place = cell(row, "", "number");
  if (tag) {
    (tag.places ??= new Set()).add(row.place);
    show(row.place, tag.value, tag);
  }
  cell(row, clock(alarm.raised ?? alarm.since)).title = alarm.raised ?? "";
  const last_cell = cell(row, "", "do");
  if (!unknown) control(last_cell, alarm);
  rows.set(alarm.condition, row);
  return row;
}

// Rows that stay where they are are not touched: neither focus nor an open menu is lost.
function place(body, list) {
  const wanted = list.map(rowOf);
  if (wanted.length !== body.rows.length || wanted.some((row, n) => row !== body.rows[n])) body.replaceChildren(...wanted);
}

function drawAlarms() {
  const all = [...alarms.values()].sort((a, b) => b.level - a.level || ((a.raised ?? "") < (b.raised ?? "") ? 1 : -1));
  const present = all.filter((alarm) => !silenced(alarm)), apart = all.filter(silenced);
  for (const [condition, row] of rows)
    if (!alarms.has(condition)) { row.tag?.places?.delete(row.place); rows.delete(condition); opened.delete(condition); }
  place(at("alarms"), present);
  place(at("silenced-alarms"), apart);
  at("silenced").hidden = !apart.length;
  at("silenced-count").textContent = String(apart.length);
  at("alarm-count").textContent = present.length ? String(present.length) : "";
  const known = at("alarms-known");
  known.hidden = !unknown && present.length > 0;
  known.dataset.state = unknown ? "bad" : "";
  known.textContent = unknown ? "unknown: " + unknown : present.length ? "" : "No alarm is active or waits for acknowledgement.";
  drawAlerts();
}

// --- predicted limits -----------------------------------------------------------------------------------------------------------------

// How long it is until a limit is expected to be passed, from now; "later": beyond the forecast's horizon, "over": it is expected no more.
function until({ active, prediction }) {
  if (!active) return "over";
  if (!prediction?.time) return "later";
  const seconds = (Date.parse(prediction.time) - Date.now()) / 1000;
  return seconds < 1 ? "now" : `≈ ${lasting(seconds)}`;
}

// As rowOf; what changes with each forecast is written into the row that is there.
function alertRow(alert) {
  const tag = named.get(alert.tag), key = [unknown, described, alert.serial, state(alert), ...permissions].join();
  let row = ahead.get(alert.condition);
  if (!row || row.key !== key || row.tag !== tag) {
    row?.tag?.places?.delete(row.place);
    row = Object.assign(document.createElement("tr"), { key, tag });
    cell(row, "");
    explain(cell(row, ""), alert);
    cell(row, state(alert));
    cell(row, "", "number");
    row.place = cell(row, "", "number");
    if (tag) {
      (tag.places ??= new Set()).add(row.place);
      show(row.place, tag.value, tag);
    }
    const last = cell(row, "", "do");
    if (!unknown) control(last, alert);
    ahead.set(alert.condition, row);
  }
  row.cells[0].textContent = `\u2b21 ${until(alert)}`;
  row.cells[3].textContent = alert.active && alert.prediction ? `${Math.round(alert.prediction.probability * 100)} %` : "–";
  return row;
}

function drawAlerts() {
  const due = (alert) => (alert.active && alert.prediction?.time) || "~";
  const all = [...alerts.values()].sort((a, b) => silenced(a) - silenced(b) || (due(a) < due(b) ? -1 : 1));
  for (const [condition, row] of ahead)
    if (!alerts.has(condition)) { row.tag?.places?.delete(row.place); ahead.delete(condition); opened.delete(condition); }
  const wanted = all.map(alertRow), body = at("alerts");
  if (wanted.length !== body.rows.length || wanted.some((row, n) => row !== body.rows[n])) body.replaceChildren(...wanted);
  at("foreseen").hidden = !all.length;
  at("alert-count").textContent = String(all.length || "");
}

function alerted(alert) {
  if (alert.retained || silenced(alert)) alerts.set(alert.condition, alert);
  else alerts.delete(alert.condition);
  drawAlerts();
}

// A newer forecast is no transition: while an alert stands, what it rests on is asked for.
async function foresee() {
  if (!alerts.size || unknown) return;
  for (const row of (await ask("/alerts")).alarms) if (alerts.has(row.condition)) alerts.set(row.condition, row);
  drawAlerts();
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
  alarms: (frame) => {
    for (const [kept, told] of [[alarms, frame.conditions], [alerts, frame.alerts ?? []]]) {
      kept.clear();
      for (const row of told) kept.set(row.condition, row);
    }
    drawAlarms();
  },
  al: change,
  alert: alerted,
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
      forget();
      setTimeout(start, SIGNED_OUT_MS);  // who signs in beside this page is signed in here too
      return;
    }
    lost("the gateway does not answer", "the gateway does not answer");
    setTimeout(start, RETRY_MS[Math.min(attempt++, RETRY_MS.length - 1)]);
  }
}

// Nobody is signed in (any more): nothing of what was seen stays.
function forget() {
  if (at("sign-in").hidden) notice(tags.size ? "The session has ended, or the gateway was restarted: sign in again." : "");
  permissions = [];
  tags.clear();
  named.clear();
  alarms.clear();
  alerts.clear();
  list();
  at("status").replaceChildren();
  lost("not signed in", "not signed in");
  known(null);
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
    at("status").textContent = error.status === 401 ? "" : error.message;
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
setInterval(() => foresee().catch(() => {}), STATUS_MS);  // status() and the stream say what is wrong
