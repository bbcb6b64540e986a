/** The page: reads its data, makes the sections that have any, and follows a running training if it is served live. */

import "uplot/dist/uPlot.min.css";
import "./style.css";
import { afterPaint, h, put } from "./dom.js";
import { graphPanel, groupPanel, nodePanel } from "./panel.js";
import * as sections from "./sections.js";
import { Stepper } from "./stepper.js";
import { Group } from "./tree.js";
import { View } from "./view.js";

const app = document.getElementById("app");

function graphSection(graph, kernels, marks) {
  const panel = h("aside", { class: "panel", "aria-live": "polite", tabindex: "0", "aria-label": "What is chosen" });
  const runs = new Map(); // node -> the kernels that run it
  for (const kernel of kernels ?? []) for (const id of kernel.nodes ?? []) runs.set(id, [...(runs.get(id) ?? []), kernel]);
  const view = new View(graph, {
    select: (item, edge) => {
      if (item === null) return put(panel, graphPanel(graph));
      if (item instanceof Group) return put(panel, groupPanel(graph, item));
      const own = runs.get(item);
      const extra = own ? h("p", { class: "note" }, `compiled: ${own.map((kernel) => kernel.name).join(", ")}`) : null;
      put(panel, nodePanel(graph, item, edge, (id, along) => view.select(id, along ?? null, true), extra));
      panel.scrollTop = 0;
      panel.querySelector(".card.chosen")?.scrollIntoView({ block: "nearest" });
      return undefined;
    },
    changed: () => {},
  });
  view.marks = marks;
  put(panel, graphPanel(graph));
  const stepper = new Stepper(graph, view);
  const list = h("datalist", { id: "names" });
  const search = h("input", {
    type: "search", placeholder: "find a node", "aria-label": "Find a node", list: "names",
    onfocus: () => list.childElementCount || list.append(...graph.nodes.slice(0, 2000).map((node) => h("option", { value: `${node.id}: ${node.label || node.op}${node.module ? ` in ${node.module}` : ""}` }))),
    onchange: () => {
      const text = search.value.trim().toLowerCase();
      const number = /^(\d+)(:|$)/.exec(text);
      const found = number ? graph.nodes[Number(number[1])] : graph.nodes.find((node) => `${node.label} ${node.op} ${node.module} ${node.expression}`.toLowerCase().includes(text));
      if (text && found) view.select(found.id, null, true);
    },
  });
  const button = (label, name, action) => h("button", { title: name, "aria-label": name, onclick: action }, label);
  const bar = h("div", { class: "bar" }, search, list,
    button("Unfold all", "Unfold every module", () => view.openAll(true)),
    button("Fold all", "Fold every module", () => view.openAll(false)),
    button("⤢", "Show all (0)", () => view.fit()), button("+", "Larger (+)", () => view.zoom(1.3)), button("−", "Smaller (-)", () => view.zoom(1 / 1.3)),
    button("⇄", "Turn the direction", () => view.turn()));
  const element = h("div", { class: "graphs" }, h("div", { class: "left" }, bar, view.element, stepper.element), panel);
  return { element, view };
}

function build(report, live) {
  const marks = new Map();
  for (const found of report.findings ?? []) if (found.node !== null && found.node !== undefined) marks.set(found.node, found.severity);
  const tabs = [];
  let view = null;
  const go = (id) => {
    open("graph");
    view?.select(id, null, true);
  };
  const light = (ids) => {
    open("graph");
    if (!view) return;
    for (const id of ids) view.tree.reveal(id);
    view.lit = { nodes: new Set(ids), edges: new Set() };
    view.arrange();
    view.fit();
  };
  if (report.graph?.nodes?.length) {
    const made = graphSection(report.graph, report.kernels, marks);
    view = made.view;
    tabs.push(["graph", "Graph", made.element]);
  }
  const add = (name, title, element) => element && tabs.push([name, title, element]);
  add("findings", report.findings?.length ? `Findings (${report.findings.length})` : "Findings", sections.findings(report.findings, go));
  add("training", "Training", sections.training(report.record));
  add("layers", "Layers", sections.layers(report.record));
  add("summary", "Summary", sections.summary(report.summary));
  add("memory", "Memory", sections.memory(report.memory));
  add("kernels", "Kernels", sections.kernels(report.kernels, go, light));
  const buttons = tabs.map(([name, title]) => h("button", { role: "tab", id: `tab-${name}`, "aria-controls": `part-${name}`, onclick: () => open(name) }, title));
  const parts = tabs.map(([name, , element]) => h("div", { role: "tabpanel", id: `part-${name}`, class: "part", "aria-labelledby": `tab-${name}` }, element));
  let current = null;
  function open(name) {
    tabs.forEach(([key], i) => {
      buttons[i].setAttribute("aria-selected", String(key === name));
      buttons[i].tabIndex = key === name ? 0 : -1;
      parts[i].hidden = key !== name;
    });
    current = name;
    if (name === "graph" && view && !view.plan) view.arrange();
  }
  const bar = h("div", {
    role: "tablist", class: "tabs",
    onkeydown: (event) => {
      const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!move) return;
      const at = (tabs.findIndex(([name]) => name === current) + move + tabs.length) % tabs.length;
      open(tabs[at][0]);
      buttons[at].focus();
    },
  }, buttons);
  const status = h("span", { class: "status", role: "status" }, live ? "live" : "");
  put(app, h("header", {}, h("h1", {}, report.title || "retrograd"), bar, status), ...parts,
    tabs.length ? null : h("p", { class: "empty" }, live ? "Nothing is recorded yet." : "This report is empty."));
  document.title = report.title || "retrograd";
  if (tabs.length) open(tabs.some(([name]) => name === "graph") ? "graph" : tabs[0][0]);
  return { open, status, current: () => current, view: () => view };
}

async function follow() {
  let page = null;
  const load = async () => {
    const response = await fetch("data.json");
    if (!response.ok) throw new Error(`data.json: ${response.status}`);
    const kept = page?.current();
    page = build(await response.json(), true);
    if (kept && document.getElementById(`tab-${kept}`)) page.open(kept);
  };
  await load();
  const events = new EventSource("events");
  let busy = false;
  events.addEventListener("changed", async () => {
    if (busy) return;
    busy = true;
    try {
      await load();
    } finally {
      busy = false;
    }
  });
  events.onerror = () => { page.status.textContent = "not connected"; };
  events.onopen = () => { page.status.textContent = "live"; };
}

if (document.body.dataset.live) follow().catch((error) => put(app, h("p", { class: "alarm" }, `The data could not be read: ${error.message}`)));
else {
  const page = build(JSON.parse(document.getElementById("data").textContent), false);
  window.glass = page; // for the console, and for tests
  afterPaint(() => { document.documentElement.dataset.painted = performance.now().toFixed(0); });
}
