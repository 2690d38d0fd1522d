"use strict";
// The start page: values and alarms over /api/v1/stream, the gateway's state every five seconds.

const ROWS = 500;
const RETRY_MS = [500, 1000, 2000, 5000, 10000];
const STATUS_MS = 5000;

const at = (id) => document.getElementById(id);
const tags = new Map();       // tag_id -> {name, unit, labels, type, value, status, time, row}
const alarms = new Map();     // condition -> record
let attempt = 0;

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

// --- values ---------------------------------------------------------------------------------------------------------------------------

function shown(tag) {
  if (tag.value === null || tag.value === undefined) return "–";
  if (typeof tag.value === "string") return tag.value;
  if (tag.type === "bool" || tag.type === "enum") return tag.labels?.[tag.value] ?? (tag.type === "bool" ? String(Boolean(tag.value)) : String(tag.value));
  if (tag.type === "float") return Number(tag.value.toPrecision(6)).toLocaleString("en", { useGrouping: false, maximumFractionDigits: 10 });
  return String(tag.value);
}

function quality(status) {
  return ["good", "uncertain", "bad", "bad"][status >>> 30];
}

function draw(tag) {
  if (!tag.row) return;
  const [, value, , state, time] = tag.row.cells;
  const word = quality(tag.status);
  value.textContent = shown(tag);
  state.textContent = word;
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
    cell(tag.row, tag.unit);
    cell(tag.row, "");
    cell(tag.row, "");
    draw(tag);
  }
  at("tag-count").textContent = `${found.length} of ${tags.size}`;
  at("more").hidden = found.length <= ROWS;
  at("more").textContent = `The first ${ROWS} are shown: type part of a name to see others.`;
}

function take(frame) {
  frame.i.forEach((id, n) => {
    let tag = tags.get(id);
    if (!tag) {
      if (!frame.n) return;
      tag = { name: frame.n[n], unit: "", type: "float", row: null };
      tags.set(id, tag);
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
      if (tag) Object.assign(tag, { unit: row.unit, type: row.type, labels: row.labels });
    }
    offset += page.tags.length;
    if (!page.tags.length || offset >= page.total) break;
  }
  list();
}

// --- alarms ---------------------------------------------------------------------------------------------------------------------------

function drawAlarms() {
  const rows = [...alarms.values()].sort((a, b) => b.level - a.level || (a.since < b.since ? 1 : -1));
  const body = at("alarms");
  body.replaceChildren();
  for (const alarm of rows) {
    const row = body.insertRow();
    cell(row, `${alarm.severity} ${alarm.level}`);
    cell(row, alarm.message || alarm.condition).title = alarm.condition;
    cell(row, (alarm.active ? "active" : "returned") + (alarm.acknowledged ? "" : ", not acknowledged")).dataset.state = alarm.active ? "bad" : "";
    cell(row, alarm.value === null ? "–" : String(Number(alarm.value.toPrecision(6))), "number");
    cell(row, alarm.since ? alarm.since.slice(11, 19) + " UTC" : "–");
    const last = cell(row, "");
    if (!alarm.acknowledged) last.append(button("Acknowledge", () => acknowledge(alarm.condition)));
  }
  at("alarm-count").textContent = rows.length ? String(rows.length) : "";
  at("no-alarms").hidden = rows.length > 0;
}

function button(text, action) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.addEventListener("click", action);
  return made;
}

async function acknowledge(condition) {
  try {
    await ask(`/alarms/${condition.split("/").map(encodeURIComponent).join("/")}/acknowledge`, { method: "POST" });
    notice("");
  } catch (error) {
    notice(error.message);
  }
}

function change(alarm) {
  if (alarm.retained) alarms.set(alarm.condition, alarm);
  else alarms.delete(alarm.condition);
  drawAlarms();
}

// --- the stream -----------------------------------------------------------------------------------------------------------------------

const take_by_type = {
  snap: (frame) => { tags.clear(); take(frame); list(); describe().catch((error) => notice(error.message)); },
  d: take,
  alarms: (frame) => { alarms.clear(); for (const row of frame.conditions) alarms.set(row.condition, row); drawAlarms(); },
  al: change,
  gone: (frame) => notice(frame.why),
};

function connect() {
  const socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/api/v1/stream");
  let watchdog = 0;
  socket.addEventListener("open", () => socket.send(JSON.stringify({ subscribe: { tags: "*", alarms: true, hz: 4 } })));
  socket.addEventListener("message", (message) => {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => socket.close(), 15000);
    const frame = JSON.parse(message.data);
    if (frame.type === "snap") { attempt = 0; link("live", "good"); }
    take_by_type[frame.type]?.(frame);
  });
  socket.addEventListener("close", () => {
    clearTimeout(watchdog);
    link("no connection: the values below are old", "bad");
    const wait = RETRY_MS[Math.min(attempt++, RETRY_MS.length - 1)];
    setTimeout(start, wait * (0.8 + 0.4 * Math.random()));
  });
}

async function start() {
  try {
    await ask("/session");
    connect();
  } catch (error) {
    if (error.status === 401) {
      link("not signed in", "bad");
      notice("Open the one-time link that the gateway printed, or make one on this machine: edgetwin user link");
      return;
    }
    link("the gateway does not answer", "bad");
    setTimeout(start, RETRY_MS[Math.min(attempt++, RETRY_MS.length - 1)]);
  }
}

async function status() {
  try {
    const state = await ask("/status");
    document.title = at("name").textContent = `Edgetwin ${state.name}`;
    const rows = [["version", state.version], ["ready", state.ready ? "yes" : "no: " + state.reasons.join("; ")]];
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
start();
status();
setInterval(status, STATUS_MS);
