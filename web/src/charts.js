/** Curves over time and depth (uPlot), and histograms. */

import uPlot from "uplot";
import { h, put, s } from "./dom.js";
import { count, short } from "./numbers.js";

// Okabe and Ito's colours, told apart by everybody; lines differ in dashes, too.
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f7f7f", "#9a8c00"];
const DASHES = [[], [8, 4], [2, 3], [8, 3, 2, 3]];
const charts = new Set();

const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const finite = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);

/**
 * Curves over one axis.
 *
 * @param options {title, x: [], xLabel, labels: [] for x instead of numbers, lines: [{name, y: [], dashed, points}], log}
 */
export function curves({ title, x, xLabel, labels, lines, log, height = 260 }) {
  const element = h("figure", { class: "chart" });
  const body = h("div");
  put(element, h("figcaption", {}, title), body);
  const data = [x, ...lines.map((line) => line.y.map((v) => (log ? (finite(v) > 0 ? v : null) : finite(v))))];
  const draw = () => {
    body.replaceChildren();
    const axis = { stroke: ink("--ink"), grid: { stroke: ink("--rule"), width: 1 }, ticks: { stroke: ink("--rule") } };
    const chart = new uPlot({
      width: Math.max(Math.min(element.clientWidth - 24, 900), 220),
      height,
      scales: { x: { time: false }, y: log ? { distr: 3 } : {} },
      legend: { live: true },
      cursor: { points: { size: 6 } },
      axes: [
        { ...axis, label: xLabel, labelSize: 22, ...(labels ? { values: (_, at) => at.map((v) => labels[v] ?? "") , splits: () => spread(labels.length) } : {}) },
        { ...axis, ...(log ? { grid: { ...axis.grid, filter: decades }, ticks: { ...axis.ticks, filter: decades } } : {}), size: 64, values: (_, at) => at.map((v) => (v === null ? "" : short(v, 3))) },
      ],
      series: [
        { label: xLabel, ...(labels ? { value: (_, v) => labels[v] ?? "" } : {}) },
        ...lines.map((line, i) => ({
          label: line.name, stroke: COLOURS[i % COLOURS.length], width: line.dashed ? 1.5 : 2, spanGaps: true,
          dash: line.dashed ? [4, 4] : DASHES[Math.floor(i / COLOURS.length) % DASHES.length],
          points: { show: line.points ?? x.length < 40 }, value: (_, v) => short(v),
        })),
      ],
    }, data, body);
    charts.add(chart);
  };
  new ResizeObserver(() => element.clientWidth && draw()).observe(element);
  return element;
}

/** Lines at powers of ten only, where an axis spans many of them. */
function decades(_, splits) {
  const known = splits.filter((v) => v > 0);
  if (known.length < 2 || Math.max(...known) / Math.min(...known) < 1e3) return splits;
  return splits.map((v) => (v > 0 && Math.abs(Math.log10(v) - Math.round(Math.log10(v))) < 1e-6 ? v : null));
}

function spread(length) {
  const step = Math.max(1, Math.ceil(length / 12));
  return Array.from({ length: Math.ceil(length / step) }, (_, i) => i * step);
}

/** A histogram as bars; what is not finite stands in words. */
export function histogram({ name, step, edges, counts, note }) {
  const most = Math.max(...counts, 1);
  const width = 260;
  const height = 90;
  const bar = width / counts.length;
  return h("figure", { class: "histogram" },
    h("figcaption", {}, name, step === undefined || step === null ? "" : h("span", { class: "note" }, ` step ${step}`)),
    s("svg", { viewBox: `0 0 ${width} ${height + 16}`, role: "img", "aria-label": `histogram of ${name}` },
      ...counts.map((n, i) => s("rect", { class: "bar", x: (i * bar).toFixed(2), y: (height - (height * n) / most).toFixed(2), width: Math.max(bar - 0.5, 0.5).toFixed(2), height: ((height * n) / most).toFixed(2) },
        s("title", {}, `${short(edges[i])} to ${short(edges[i + 1])}: ${count(n)}`))),
      s("text", { x: 0, y: height + 13 }, short(edges[0], 3)),
      s("text", { x: width, y: height + 13, "text-anchor": "end" }, short(edges[edges.length - 1], 3))),
    note ? h("p", { class: "note" }, note) : null);
}
