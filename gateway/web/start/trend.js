"use strict";
// One tag over time: what was measured, and beyond now what is foreseen of it, with its band and its limits. Asked anew every five seconds.

const TREND_MS = 5000;
const PAST = "10min";
const BUCKETS = 300;
const BOX = { width: 800, height: 260, left: 8, right: 8, top: 12, bottom: 22 };
const SVG = "http://www.w3.org/2000/svg";
let watched = null;       // the tag that is shown
let trendTimer = 0;

function showTrend(tag) {
  watched = tag;
  at("trend-name").textContent = tag.name;
  at("trend-chart").replaceChildren();
  at("trend-table").replaceChildren();
  at("trend-said").textContent = "loading";
  if (!at("trend").open) at("trend").showModal();
  drawTrend();
}

async function drawTrend() {
  clearTimeout(trendTimer);
  const tag = watched;
  if (!tag) return;
  const name = encodeURIComponent(tag.name);
  try {
    const [past, ahead] = await Promise.all([
      ask(`/history?tag=${name}&from=now-${PAST}&buckets=${BUCKETS}`),
      ask(`/forecasts/${name}`).catch((error) => { if (error.status === 404) return { none: error.message }; throw error; }),
    ]);
    if (tag !== watched) return;
    chart(tag, past, ahead);
    at("trend-said").textContent = sentence(tag, ahead);
    table(tag, ahead);
  } catch (error) {
    if (tag === watched) at("trend-said").textContent = `${error.message}: what is drawn is old.`;
  }
  if (tag === watched) trendTimer = setTimeout(drawTrend, TREND_MS);
}

// --- in words -------------------------------------------------------------------------------------------------------------------------

function lasting(seconds) {
  return seconds < 90 ? `${Math.round(seconds)} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

const said = (value, tag) => [shown(value, tag), value === null ? "" : symbol(tag)].join(" ").trim();

function sentence(tag, ahead) {
  const parts = [`now ${said(tag.value, tag)}`];
  if (ahead.none) return `${parts[0]}. No forecast: ${ahead.none}`;
  if (ahead.p50 === null) return `${parts[0]}. No forecast yet: it waits for values.`;
  parts.push(`in ${lasting(ahead.lead_s)} ${said(ahead.p50, tag)}, 90 % between ${shown(ahead.p05, tag)} and ${shown(ahead.p95, tag)}`);
  for (const limit of ahead.limits.filter((one) => one.probability >= 0.01)) {
    const when = limit.time_s.p50 === null ? "" : ` in about ${lasting(limit.time_s.p50)}`;
    parts.push(`${limit.limit} (${said(limit.threshold, tag)})${when}, probability ${Math.round(limit.probability * 100)} %`);
  }
  const skill = ahead.skill === null ? "not scored yet" : `skill ${ahead.skill.toFixed(2)}`;
  return `${parts.join("; ")}. Model ${ahead.model}, ${skill}.`;
}

function table(tag, ahead) {
  const body = at("trend-table"), columns = ahead.trajectory;
  body.replaceChildren();
  at("trend-values").hidden = !columns?.t_ms.length;
  if (!columns?.t_ms.length) return;
  const last = columns.t_ms.length - 1;
  for (const n of new Set([0, 0.25, 0.5, 0.75, 1].map((share) => Math.round(share * last)))) {
    const row = body.insertRow();
    cell(row, new Date(columns.t_ms[n]).toISOString().slice(11, 19));
    for (const word of ["p05", "p50", "p95"]) cell(row, shown(columns[word][n], tag), "number");
  }
}

// --- drawn ----------------------------------------------------------------------------------------------------------------------------

function drawn(kind, attributes, text) {
  const made = document.createElementNS(SVG, kind);
  for (const [word, value] of Object.entries(attributes)) made.setAttribute(word, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// A line that ends where a value is missing, and begins anew after it.
function path(times, values, x, y, longest = Infinity) {
  let text = "", last = null;
  times.forEach((time, n) => {
    if (values[n] === null) { last = null; return; }
    text += `${last === null || time - last > longest ? "M" : "L"}${x(time).toFixed(1)} ${y(values[n]).toFixed(1)}`;
    last = time;
  });
  return text;
}

// Milliseconds of an ISO 8601 text, which may have more digits than a Date takes.
const instant = (text) => Date.parse(text.replace(/(\.\d{3})\d+/, "$1"));

function scale(from, to, low, high) {
  return (value) => low + ((value - from) / (to - from || 1)) * (high - low);
}

function chart(tag, past, ahead) {
  const series = past.series[0], band = ahead.trajectory ?? { t_ms: [], p05: [], p50: [], p95: [] };
  const begin = instant(past.from), now = instant(past.to), end = Math.max(now, band.t_ms.at(-1) ?? now);
  const seen = [...(series.min ?? []), ...(series.max ?? []), ...band.p05, ...band.p95].filter((value) => typeof value === "number");
  const limits = (ahead.limits ?? []).filter((one) => one.threshold !== null);
  const place = at("trend-chart");
  place.replaceChildren();
  if (!seen.length) return;
  let [low, high] = [Math.min(...seen), Math.max(...seen)];
  const span = high - low || Math.abs(high) / 100 || 1;
  for (const { threshold } of limits)  // a limit that is near belongs into the picture
    if (threshold > low - span && threshold < high + span) { low = Math.min(low, threshold); high = Math.max(high, threshold); }
  const x = scale(begin, end, BOX.left, BOX.width - BOX.right), y = scale(low - span * 0.08, high + span * 0.08, BOX.height - BOX.bottom, BOX.top);
  const named = limits.map((limit) => y(limit.threshold));
  for (const value of [low, high])
    if (named.every((height) => Math.abs(height - y(value)) > 14)) place.append(drawn("text", { x: BOX.left + 2, y: y(value) + 4 }, shown(value, tag)));
  const whole = band.t_ms.map((time, n) => [time, n]).filter(([, n]) => band.p05[n] !== null && band.p95[n] !== null);
  const edge = (word) => whole.map(([time, n]) => `${x(time).toFixed(1)},${y(band[word][n]).toFixed(1)}`);
  place.append(drawn("polygon", { class: "band", points: [...edge("p05"), ...edge("p95").reverse()].join(" ") }));
  for (const limit of limits) {
    if (limit.threshold < low || limit.threshold > high) continue;
    place.append(drawn("line", { class: "limit", x1: BOX.left, x2: BOX.width - BOX.right, y1: y(limit.threshold), y2: y(limit.threshold) }));
    place.append(drawn("text", { x: BOX.left + 2, y: y(limit.threshold) - 3 }, `${limit.limit} ${shown(limit.threshold, tag)}`));
  }
  place.append(drawn("path", { class: "measured", d: path(series.t_ms, series.mean ?? [], x, y, (past.bucket_s ?? 1) * 5000) }));
  place.append(drawn("path", { class: "foreseen", d: path(band.t_ms, band.p50, x, y) }));
  place.append(drawn("line", { class: "now", x1: x(now), x2: x(now), y1: BOX.top, y2: BOX.height - BOX.bottom }));
  const foot = BOX.height - 6, clockOf = (time) => new Date(time).toISOString().slice(11, 19);
  place.append(drawn("text", { x: BOX.left, y: foot }, clockOf(begin)), drawn("text", { x: x(now), y: foot, "text-anchor": "end" }, `${clockOf(now)} UTC `));
  if (end > now) place.append(drawn("text", { x: BOX.width - BOX.right, y: foot, "text-anchor": "end" }, clockOf(end)));
}

at("trend").addEventListener("close", () => {
  if (at("trend").open) return;  // opened again before this event came
  watched = null;
  clearTimeout(trendTimer);
});
at("trend-close").addEventListener("click", () => at("trend").close());
