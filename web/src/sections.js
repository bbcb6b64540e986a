/** The page's other sections: findings, training, layers, summary, memory, kernels. Each gives null where its data is missing. */

import { curves, histogram } from "./charts.js";
import { h, put } from "./dom.js";
import { bytes, count, short } from "./numbers.js";

const card = (...content) => h("section", { class: "card" }, ...content);

/** A table with a head; cells that are functions are made when the table is. */
export function table(columns, rows, options = {}) {
  const body = h("tbody");
  const fill = (list) => put(body, list.map((row) => h("tr", {}, row.map((cell, i) => h(i === 0 ? "th" : "td", i === 0 ? { scope: "row" } : {}, typeof cell === "function" ? cell() : cell ?? "")))));
  fill(rows.slice(0, options.most ?? 500));
  const more = rows.length > (options.most ?? 500)
    ? h("button", { onclick: (event) => { fill(rows); event.target.remove(); } }, `show all ${rows.length} rows`) : null;
  return h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, columns.map((c) => h("th", { scope: "col" }, c)))), body), more);
}

export function findings(list, go) {
  if (!list) return null;
  if (!list.length) return h("div", {}, card(h("h3", {}, "Nothing found"), h("p", {}, "The doctor looked and has nothing to say.")));
  return h("div", { class: "findings" }, list.map((found) => card(
    h("h3", {}, h("span", { class: `badge ${found.severity}` }, found.severity), " ", found.title ?? found.kind),
    h("p", {}, found.text ?? ""),
    found.evidence ? h("p", { class: "evidence" }, h("b", {}, "Evidence: "), String(found.evidence)) : null,
    found.repair ? h("p", {}, h("b", {}, "Repair: "), String(found.repair)) : null,
    h("p", { class: "note" }, [found.module && `module ${found.module}`, found.place].filter(Boolean).join(" · ")),
    found.node !== null && found.node !== undefined ? h("button", { onclick: () => go(found.node) }, "show it in the graph") : null,
  )));
}

export function training(record) {
  if (!record?.losses?.length && !record?.series?.length) return null;
  const parts = [];
  if (record.losses?.length) {
    parts.push(curves({ title: "Loss", x: record.losses.map(([step]) => step), xLabel: "step", lines: [{ name: "loss", y: record.losses.map(([, loss]) => loss), points: false }], log: record.losses.every(([, loss]) => loss > 0) }));
  }
  const groups = new Map();
  for (const line of record.series ?? []) {
    if (!groups.has(line.group)) groups.set(line.group, []);
    groups.get(line.group).push(line);
  }
  for (const [group, lines] of groups) parts.push(seriesChart(group, lines));
  return h("div", { class: "charts" }, parts);
}

/** Many curves of one kind: a choice of those to show, the first eight to begin with. */
function seriesChart(group, lines) {
  const box = h("div");
  const chosen = new Set(lines.slice(0, 8));
  const draw = () => {
    const shown = lines.filter((line) => chosen.has(line));
    const xs = [...new Set(shown.flatMap((line) => line.x))].sort((a, b) => a - b);
    const place = new Map(xs.map((x, i) => [x, i]));
    put(box, curves({
      title: group, x: xs, xLabel: "step", log: shown.every((line) => line.y.every((v) => typeof v !== "number" || v >= 0)) && group !== "mean",
      lines: shown.map((line) => {
        const y = new Array(xs.length).fill(null);
        line.x.forEach((x, i) => { y[place.get(x)] = line.y[i]; });
        return { name: line.name, y, points: xs.length < 40 };
      }),
    }));
  };
  draw();
  if (lines.length <= 8) return box;
  const list = h("div", { class: "choices" }, lines.map((line) => h("label", {}, h("input", {
    type: "checkbox", ...(chosen.has(line) ? { checked: true } : {}),
    onchange: (event) => { if (event.target.checked) chosen.add(line); else chosen.delete(line); draw(); },
  }), line.name)));
  return h("div", {}, box, h("details", {}, h("summary", {}, `${lines.length} curves: choose`), list));
}

export function layers(record) {
  const profiles = record?.profiles ?? [];
  const histograms = record?.histograms ?? [];
  if (!profiles.length && !histograms.length) return null;
  return h("div", { class: "charts" },
    profiles.map((profile) => {
      const many = profile.values.length > 4;
      const pick = many ? [0, Math.floor(profile.values.length / 3), Math.floor((2 * profile.values.length) / 3), profile.values.length - 1] : profile.values.map((_, i) => i);
      const lines = [...new Set(pick)].map((i) => ({ name: profile.steps ? `step ${profile.steps[i]}` : "measured", y: profile.values[i] }));
      if (profile.predicted) lines.push({ name: "predicted", y: profile.predicted, dashed: true });
      return curves({ title: profile.name, x: profile.layers.map((_, i) => i), labels: profile.layers, xLabel: "layer", lines, log: profile.log ?? false });
    }),
    histograms.length ? h("div", { class: "histograms" }, histograms.map(histogram)) : null);
}

export function summary(data) {
  if (!data?.rows?.length) return null;
  return h("div", {}, card(data.title ? h("h3", {}, data.title) : null,
    table(data.columns, data.rows.map((row) => row.map((cell) => (typeof cell === "number" ? count(cell) : cell)))),
    (data.notes ?? []).map((note) => h("p", {}, note))));
}

export function memory(data) {
  if (!data) return null;
  return h("div", {},
    data.timeline ? curves({ title: "Memory over the step", x: data.timeline.map((_, i) => i), xLabel: "operation", lines: [{ name: "bytes", y: data.timeline, points: false }] }) : null,
    data.rows ? card(table(["what", "bytes"], data.rows.map(([name, size]) => [name, bytes(size)]))) : null);
}

export function kernels(list, go, light) {
  if (!list?.length) return null;
  const total = list.reduce((sum, kernel) => sum + (kernel.us ?? 0), 0);
  return h("div", {}, card(
    h("p", { class: "note" }, `${list.length} kernels${total ? `, ${short(total)} µs together` : ""}`),
    table(["kernel", "what it does", "time", "share", "arithmetic", "memory", "nodes"], list.map((kernel) => [
      kernel.name,
      () => h("details", {}, h("summary", {}, kernel.loops || kernel.kind || ""), (kernel.statements ?? []).map((line) => h("code", { class: "block" }, line)), (kernel.lines ?? []).map((line) => h("p", { class: "note" }, line))),
      kernel.us === undefined || kernel.us === null ? "" : `${short(kernel.us)} µs`,
      total && kernel.us ? `${short((100 * kernel.us) / total, 2)} %` : "",
      kernel.flops ? `${count(kernel.flops)} flop` : "",
      bytes(kernel.bytes),
      () => h("span", {}, (kernel.nodes ?? []).slice(0, 12).map((id) => h("button", { class: "link", onclick: () => go(id) }, String(id))),
        (kernel.nodes ?? []).length ? h("button", { class: "link", onclick: () => light(kernel.nodes) }, "show") : null),
    ]))));
}
