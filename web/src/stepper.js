/** Walking through the forward pass and then the backward pass, one node at a time. */

import { h, put } from "./dom.js";

export class Stepper {
  constructor(graph, view) {
    this.steps = graph.steps ?? [];
    this.graph = graph;
    this.view = view;
    this.at = -1; // before the first
    this.text = h("output", { class: "told", "aria-live": "polite" });
    this.where = h("span", { class: "note" });
    this.slider = h("input", { type: "range", min: -1, max: this.steps.length - 1, value: -1, "aria-label": "step", oninput: () => this.go(Number(this.slider.value)) });
    this.playing = h("button", { title: "Play", "aria-label": "Play", onclick: () => this.play() }, "▶");
    const button = (label, name, action) => h("button", { title: name, "aria-label": name, onclick: action }, label);
    this.element = h("div", { class: "stepper", role: "group", "aria-label": "Steps" },
      button("|◀", "Before the first step", () => this.go(-1)),
      button("◀", "Back", () => this.go(this.at - 1)),
      button("Step", "Next step", () => this.go(this.at + 1)),
      this.playing,
      button("▶|", "To the end", () => this.go(this.steps.length - 1)),
      button("✕", "Leave", () => this.leave()),
      this.slider, this.where, this.text);
    this.element.hidden = !this.steps.length;
    this.tell();
  }

  go(at) {
    if (!this.steps.length) return;
    this.at = Math.max(-1, Math.min(at, this.steps.length - 1));
    const values = new Set();
    const gradients = new Set();
    // What is given is there from the start.
    for (const node of this.graph.nodes) if (!node.inputs.length) values.add(node.id);
    for (const step of this.steps.slice(0, this.at + 1)) (step.phase === "forward" ? values : gradients).add(step.node);
    const step = this.steps[this.at];
    for (const done of this.steps.slice(0, this.at + 1)) {
      if (done.phase !== "backward") continue;
      for (const edge of done.edges) if (!this.graph.nodes[this.graph.edges[edge].source].inputs.length) gradients.add(this.graph.edges[edge].source);
    }
    this.view.reached = { values, gradients };
    this.view.lit = step ? { nodes: new Set([step.node]), edges: new Set(step.edges), phase: step.phase } : { nodes: new Set(), edges: new Set() };
    if (step) {
      this.view.select(step.node);
      this.view.show(this.view.tree.visible(step.node));
    }
    this.view.dress();
    this.tell();
  }

  tell() {
    const step = this.steps[this.at];
    this.slider.value = String(this.at);
    this.where.textContent = step ? `${step.phase} ${this.at + 1} of ${this.steps.length}` : `${this.steps.length} steps`;
    put(this.text, step?.text ?? "");
    this.element.classList.toggle("back", step?.phase === "backward");
  }

  play() {
    if (this.timer) {
      clearInterval(this.timer);
      this.timer = null;
      this.playing.textContent = "▶";
      return;
    }
    this.playing.textContent = "❚❚";
    if (this.at >= this.steps.length - 1) this.go(-1);
    this.timer = setInterval(() => {
      this.go(this.at + 1);
      if (this.at >= this.steps.length - 1) this.play();
    }, 700);
  }

  leave() {
    if (this.timer) this.play();
    this.at = -1;
    this.view.reached = null;
    this.view.lit = { nodes: new Set(), edges: new Set() };
    this.view.dress();
    this.tell();
  }
}
