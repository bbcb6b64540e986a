/** What is known of the chosen node, edge or module, in words and numbers. */

import temml from "temml";
import { h, s } from "./dom.js";
import { brief, bytes, count, precise, shape, short, single } from "./numbers.js";
import { Group } from "./tree.js";

/** A formula as MathML; as text where it cannot be read. */
export function formula(latex, text) {
  if (!latex) return text ? h("code", {}, text) : null;
  const element = h("span", { class: "formula" });
  try {
    temml.render(latex, element, { throwOnError: true, trust: false, maxExpand: 200, maxSize: [20, 20] });
  } catch {
    element.replaceChildren(text || latex);
  }
  return element;
}

/** A grid of colours for a matrix of numbers; blue below zero, orange above. */
export function heat(grid, label) {
  const rows = grid.length;
  const columns = Math.max(...grid.map((row) => row.length));
  const size = Math.max(2, Math.min(14, Math.floor(260 / Math.max(columns, 1))));
  const most = Math.max(...grid.flat().map((v) => (Number.isFinite(v) ? Math.abs(v) : 0))) || 1;
  const cells = grid.flatMap((row, i) => row.map((value, j) => s("rect", {
    x: j * size, y: i * size, width: size, height: size,
    class: !Number.isFinite(value) ? "bad" : value < 0 ? "below" : "above",
    "fill-opacity": Number.isFinite(value) ? (Math.abs(value) / most).toFixed(3) : 1,
  }, s("title", {}, `[${i}, ${j}] ${short(value)}`))));
  return s("svg", { class: "heat", width: columns * size, height: rows * size, role: "img", "aria-label": label }, ...cells);
}

function matrix(full) {
  const rows = Array.isArray(full[0]) ? full : [full];
  return h("div", { class: "scroll" }, h("table", { class: "matrix" }, rows.map((row) => h("tr", {}, row.map((v) => h("td", {}, Array.isArray(v) ? JSON.stringify(v) : short(v)))))));
}

/** An array: its number, all of its numbers, or what sums it up. */
export function numbers(data, kind, name) {
  if (!data) return null;
  const one = single(data);
  if (one !== undefined && one !== null) return h("span", { class: `number ${kind}` }, precise(one));
  const parts = [h("span", { class: "note" }, `${shape(data.shape)} ${data.dtype ?? ""}`)];
  if (Array.isArray(data.full) && data.full.length) parts.push(matrix(data.full.length && Array.isArray(data.full[0]?.[0]) ? data.full.flat() : data.full));
  const facts = [["mean", data.mean], ["std", data.std], ["min", data.min], ["max", data.max], ["norm", data.norm]].filter(([, v]) => v !== null && v !== undefined);
  if (facts.length && !Array.isArray(data.full)) {
    parts.push(h("dl", { class: "facts" }, facts.map(([k, v]) => h("div", {}, h("dt", {}, k), h("dd", {}, short(v))))));
  }
  const odd = [["zeros", data.zeros], ["NaN", data.nan], ["infinite", data.inf]].filter(([, v]) => v);
  if (odd.length) parts.push(h("p", { class: data.nan || data.inf ? "alarm" : "note" }, odd.map(([k, v]) => `${count(v)} ${k}`).join(", ")));
  if (data.heat?.length) parts.push(heat(data.heat, `${name}: means over blocks`));
  return h("div", { class: `array ${kind}` }, parts);
}

const row = (name, ...content) => (content.some((c) => c !== null && c !== undefined && c !== "") ? [h("dt", {}, name), h("dd", {}, ...content)] : []);

function jacobian(data) {
  if (!data) return null;
  return h("details", { class: "jacobian" },
    h("summary", {}, `Jacobian: ${data.structure}, ${count(data.rows)}×${count(data.columns)}`),
    h("p", {}, data.note),
    h("p", { class: "note" }, `formed it would take ${bytes(data.formed_bytes)} and ${count(data.formed_flops)} operations a product; implied: ${count(data.implicit_flops)}`),
    data.matrix ? matrix(data.matrix) : null);
}

function edgeCard(graph, edge, go, chosen) {
  const source = graph.nodes[edge.source];
  const parts = [
    h("h4", {}, h("button", { class: "link", onclick: () => go(edge.source) }, source.label || source.op || `node ${edge.source}`), edge.role ? h("span", { class: "note" }, ` as ${edge.role}`) : null),
    h("dl", { class: "rows product" },
      row("upstream", numbers(edge.upstream, "gradient", "upstream")),
      row("local", edge.local ? numbers(edge.local, "local", "local derivative") : edge.jacobian ? h("span", {}, `${edge.jacobian.structure} Jacobian`) : ""),
      row("downstream", numbers(edge.downstream, "gradient", "downstream")),
      row("share", edge.share === null || edge.share === undefined ? "" : h("span", {}, typeof edge.share === "number" ? `${short(100 * edge.share, 3)} %` : short(edge.share), meter(edge.share))),
      row("tangent", numbers(edge.tangent, "tangent", "tangent"))),
    edge.rule || edge.rule_latex ? h("p", { class: "rule" }, formula(edge.rule_latex, edge.rule)) : null,
    edge.filled || edge.filled_latex ? h("p", { class: "rule filled" }, formula(edge.filled_latex, edge.filled)) : null,
    jacobian(edge.jacobian),
  ];
  return h("article", { class: `card${chosen ? " chosen" : ""}`, "data-card": edge.id }, parts);
}

function meter(share) {
  if (typeof share !== "number" || !Number.isFinite(share)) return null;
  return h("span", { class: "meter", "aria-hidden": "true" }, h("span", { style: `width:${Math.max(0, Math.min(1, share)) * 100}%` }));
}

/** Everything of a node. */
export function nodePanel(graph, id, edge, go, extra) {
  const node = graph.nodes[id];
  const uses = node.uses.map((use) => graph.edges[use]);
  return [
    h("h3", {}, node.label || node.op || node.name || `node ${id}`),
    h("p", { class: "note" }, [node.kind, node.name && node.name !== node.op ? node.name : node.op, node.module && `in ${node.module}`].filter(Boolean).join(" · ")),
    node.pattern ? h("p", { class: "pattern" }, node.pattern) : null,
    node.advice ? h("p", {}, node.advice) : null,
    node.rule || node.rule_latex ? h("p", { class: "rule" }, formula(node.rule_latex, node.rule)) : null,
    h("dl", { class: "rows" },
      row("value", numbers(node.value, "value", "value")),
      row("gradient", numbers(node.gradient, "gradient", "gradient")),
      row("tangent", numbers(node.tangent, "tangent", "tangent")),
      row("expression", node.expression && node.expression !== node.label ? h("code", {}, node.expression) : ""),
      row("order", [node.forward !== null && node.forward !== undefined ? `forward ${node.forward + 1}` : "", node.backward !== null && node.backward !== undefined ? `backward ${node.backward + 1} of ${graph.backward.length}` : ""].filter(Boolean).join(", ")),
      row("kept for backward", node.kept?.length ? `${node.kept.join(", ")}: ${bytes(node.kept_bytes)}${node.new_bytes !== node.kept_bytes ? ` (${bytes(node.new_bytes)} of it new here)` : ""}` : ""),
      Object.entries(node.attributes ?? {}).map(([k, v]) => row(k, h("code", {}, String(v)))),
      row("your line", node.place ? h("code", { class: "place" }, node.place) : ""),
      row("members", node.members?.length ? `${node.members.length} nodes folded into this one` : "")),
    extra,
    node.edges.length ? h("h4", { class: "head" }, "To its inputs: upstream × local = downstream") : null,
    node.edges.map((k) => edgeCard(graph, graph.edges[k], go, k === edge)),
    uses.length ? h("h4", { class: "head" }, uses.length > 1 ? `Used ${uses.length} times: the gradients that come back add up` : "Used by") : null,
    uses.slice(0, 200).map((use) => {
      const target = graph.nodes[use.target];
      return h("p", { class: "use" }, h("button", { class: "link", onclick: () => go(use.target, use.id) }, target.label || target.op || `node ${use.target}`),
        use.downstream ? h("span", { class: "gradient" }, ` ∇ ${brief(use.downstream)}`) : null,
        typeof use.share === "number" && uses.length > 1 ? h("span", { class: "note" }, ` ${short(100 * use.share, 3)} %`) : null);
    }),
  ];
}

/** A module, or a run of nodes. */
export function groupPanel(graph, group) {
  const inside = graph.nodes.filter((node) => node.id >= group.first && node.id <= group.last);
  const kinds = new Map();
  for (const node of inside) if (node.op) kinds.set(node.op, (kinds.get(node.op) ?? 0) + 1);
  const kept = inside.reduce((sum, node) => sum + (node.new_bytes || 0), 0);
  return [
    h("h3", {}, group.name || "graph"),
    h("p", { class: "note" }, group.run ? "a run of nodes, in forward order" : [graph.classes?.[group.key], group.key].filter(Boolean).join(" · ")),
    h("dl", { class: "rows" }, row("nodes", String(group.size)), row("kept for backward", kept ? bytes(kept) : ""),
      row("operations", [...kinds].sort((a, b) => b[1] - a[1]).slice(0, 12).map(([op, n]) => `${op} ${n}`).join(", "))),
    h("p", { class: "note" }, "Enter or a click folds and unfolds it."),
  ];
}

/** The whole graph, while nothing is chosen. */
export function graphPanel(graph) {
  return [
    h("h3", {}, graph.title || "graph"),
    h("dl", { class: "rows" },
      row("nodes", String(graph.nodes.length)), row("edges", String(graph.edges.length)),
      row("kept for backward", graph.kept_bytes ? bytes(graph.kept_bytes) : ""),
      row("view", graph.mode),
      row("seed", numbers(graph.seed, "gradient", "seed"))),
    graph.convention ? h("p", { class: "note" }, graph.convention) : null,
    (graph.notes ?? []).map((note) => h("p", {}, note)),
    h("p", { class: "note" }, "Values are green, gradients are red and marked ∇. Choose a node or an edge; step through the passes below."),
  ];
}

export { Group };
