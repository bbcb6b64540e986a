/** The drawing of the graph: an SVG that is moved and scaled, of which only what is in sight is made. */

import { h, put, s } from "./dom.js";
import { curve, layout } from "./layout.js";
import { brief, some } from "./numbers.js";
import { Group, Tree } from "./tree.js";

const ALL = 500; // so many boxes are drawn whether in sight or not
const clip = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

export class View {
  /**
   * @param graph what Graph.to_dict gives
   * @param on {select(item, edge), changed()}: called when something is chosen, when something was folded
   */
  constructor(graph, on) {
    this.graph = graph;
    this.on = on;
    this.tree = new Tree(graph);
    this.selected = null;
    this.selectedEdge = null;
    this.lit = { nodes: new Set(), edges: new Set() };
    this.reached = null; // while stepping: {values, gradients}, sets of nodes' ids
    this.marks = new Map(); // id -> "error" or "warning", from findings
    this.canvas = s("g");
    this.svg = s("svg", {
      class: "graph", tabindex: "0", role: "application",
      "aria-label": "Computational graph. Arrow keys move along edges, Enter folds and unfolds, plus and minus scale, 0 shows all.",
    },
    s("defs", {}, s("marker", {
      id: "arrow", class: "arrow", viewBox: "0 0 8 8", refX: "7", refY: "4", markerWidth: "8", markerHeight: "8", markerUnits: "userSpaceOnUse", orient: "auto",
    }, s("path", { d: "M0 0L8 4L0 8z" }))),
    this.canvas);
    this.element = h("div", { class: "stage" }, this.svg);
    this.scale = 1;
    this.x = 0;
    this.y = 0;
    this.fitted = false;
    this.direction = null; // chosen with the first layout: the one that shows more
    this.listen();
    new ResizeObserver(() => (this.plan && !this.begun ? this.begin() : this.fitted ? this.fit() : this.paint())).observe(this.element);
  }

  // what a box says

  title(item) {
    if (item instanceof Group) {
      const kind = this.graph.classes?.[item.key];
      return kind ? `${item.name}: ${kind}` : item.name || "graph";
    }
    const node = this.graph.nodes[item];
    return node.label || node.op || node.name || `node ${item}`;
  }

  measure(item) {
    const lines = this.lines(item);
    const longest = Math.max(...lines.map((line) => line.text.length));
    return [Math.min(Math.max(longest * 7.2 + 22, 64), 250), 16 * lines.length + 14];
  }

  lines(item) {
    if (item instanceof Group) return [{ kind: "name", text: clip(`▸ ${item.name}`, 30) }, { kind: "note", text: some(item.size, "node") }];
    const node = this.graph.nodes[item];
    const lines = [{ kind: "name", text: clip(this.title(item), 30) }];
    const dimensions = node.shape?.length ? node.shape.join("×") : "";
    if (node.value) lines.push({ kind: "value", text: clip(`${dimensions ? `${dimensions}  ` : ""}${brief(node.value)}`, 30) });
    else if (dimensions) lines.push({ kind: "note", text: dimensions });
    if (node.gradient) lines.push({ kind: "gradient", text: clip(`∇ ${brief(node.gradient)}`, 30) });
    if (node.tangent) lines.push({ kind: "tangent", text: clip(`t ${brief(node.tangent)}`, 30) });
    return lines;
  }

  // placing and drawing

  arrange() {
    const measure = (item) => this.measure(item);
    if (this.direction) this.plan = layout(this.tree, measure, this.direction);
    else {
      const both = ["LR", "TB"].map((direction) => [direction, layout(this.tree, measure, direction)]);
      const [best] = both.sort((a, b) => this.scaleOf(b[1]) - this.scaleOf(a[1]));
      [this.direction, this.plan] = best;
    }
    for (const path of this.plan.paths) {
      const xs = path.points.map((p) => p[0]);
      const ys = path.points.map((p) => p[1]);
      path.d = curve(path.points, this.direction);
      path.box = [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
    }
    this.items = [...this.plan.boxes.entries()].filter(([item]) => !(item instanceof Group && item.open));
    this.made = new Map();
    this.groupLayer = s("g");
    this.edgeLayer = s("g");
    this.nodeLayer = s("g");
    this.textLayer = s("g");
    put(this.canvas, this.groupLayer, this.edgeLayer, this.nodeLayer, this.textLayer);
    for (const group of this.plan.open) {
      if (group === this.tree.root) continue;
      const box = this.plan.boxes.get(group);
      this.groupLayer.append(s("g", { class: "group", "data-group": group.key },
        s("rect", { x: box.x - box.w / 2, y: box.y - box.h / 2, width: box.w, height: box.h, rx: 10 }),
        s("text", { x: box.x - box.w / 2 + 10, y: box.y - box.h / 2 + 17 }, `▾ ${clip(group.name, Math.max(Math.floor(box.w / 8), 6))}`),
        s("title", {}, `${group.key}: click to fold`)));
    }
    if (this.begun) this.paint();
    else this.begin();
  }

  scaleOf(plan) {
    const { clientWidth: w, clientHeight: t } = this.element;
    return Math.min(w / plan.width, t / plan.height, 1.4);
  }

  /** The first view: everything, if it can be read then; otherwise where the graph begins. */
  begin() {
    const { clientWidth: w, clientHeight: t } = this.element;
    if (!w) return;
    this.begun = true;
    if (this.scaleOf(this.plan) >= 0.55) {
      this.fit();
      return;
    }
    this.scale = 0.8;
    this.x = this.direction === "LR" ? 16 : (w - this.plan.width * this.scale) / 2;
    this.y = this.direction === "LR" ? (t - this.plan.height * this.scale) / 2 : 8;
    this.paint();
  }

  fit() {
    this.fitted = true;
    const { clientWidth: w, clientHeight: t } = this.element;
    if (!w || !this.plan) return;
    this.scale = Math.min(Math.max(Math.min(w / this.plan.width, t / this.plan.height), 0.02), 1.4);
    this.x = (w - this.plan.width * this.scale) / 2;
    this.y = (t - this.plan.height * this.scale) / 2;
    this.paint();
  }

  zoom(factor, at) {
    this.fitted = false;
    const [cx, cy] = at ?? [this.element.clientWidth / 2, this.element.clientHeight / 2];
    const next = Math.min(Math.max(this.scale * factor, 0.02), 4);
    this.x = cx - ((cx - this.x) * next) / this.scale;
    this.y = cy - ((cy - this.y) * next) / this.scale;
    this.scale = next;
    this.paint();
  }

  show(item) {
    const box = this.plan.boxes.get(item);
    if (!box) return;
    const { clientWidth: w, clientHeight: t } = this.element;
    const [px, py] = [this.x + box.x * this.scale, this.y + box.y * this.scale];
    const near = 60;
    if (px > near && px < w - near && py > near && py < t - near && this.scale > 0.4) return;
    this.fitted = false;
    this.scale = Math.max(this.scale, 0.75);
    this.x = w / 2 - box.x * this.scale;
    this.y = t / 2 - box.y * this.scale;
    this.paint();
  }

  paint() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.draw();
    });
  }

  draw() {
    if (!this.plan) return;
    this.canvas.setAttribute("transform", `translate(${this.x.toFixed(2)} ${this.y.toFixed(2)}) scale(${this.scale.toFixed(4)})`);
    this.svg.classList.toggle("far", this.scale < 0.3);
    const { clientWidth: w, clientHeight: t } = this.element;
    const margin = 80 / this.scale;
    const left = -this.x / this.scale - margin;
    const top = -this.y / this.scale - margin;
    const right = (w - this.x) / this.scale + margin;
    const bottom = (t - this.y) / this.scale + margin;
    const whole = this.items.length <= ALL;
    const wanted = new Set();
    for (const [item, box] of this.items) {
      const out = box.x + box.w / 2 < left || box.x - box.w / 2 > right || box.y + box.h / 2 < top || box.y - box.h / 2 > bottom;
      if (out && !whole) continue;
      wanted.add(item);
      if (!this.made.has(item)) {
        const element = this.box(item, box);
        this.made.set(item, element);
        this.nodeLayer.append(element);
      }
    }
    for (const path of this.plan.paths) {
      const [a, b, c, d] = path.box;
      if (!whole && (c < left || a > right || d < top || b > bottom)) continue;
      wanted.add(path);
      if (!this.made.has(path)) {
        const element = this.line(path);
        this.made.set(path, element);
        this.edgeLayer.append(element);
        if (element.along) this.textLayer.append(element.along);
      }
    }
    for (const [key, element] of this.made) {
      if (wanted.has(key)) continue;
      element.remove();
      element.along?.remove();
      this.made.delete(key);
    }
    this.dress();
  }

  box(item, { x, y, w, h: t }) {
    const group = item instanceof Group;
    const node = group ? null : this.graph.nodes[item];
    const element = s("g", {
      class: `node ${group ? "folded" : node.kind}`, transform: `translate(${x - w / 2} ${y - t / 2})`,
      ...(group ? { "data-group": item.key } : { "data-node": item }),
    }, s("rect", { width: w, height: t, rx: group || !node.inputs.length ? 12 : 5 }),
    ...this.lines(item).map((line, i) => s("text", { class: line.kind, x: w / 2, y: 20 + 16 * i }, line.text)),
    s("title", {}, group ? `${[item.key, this.graph.classes?.[item.key]].filter(Boolean).join(": ")}, ${some(item.size, "node")}, click to unfold` : `${node.expression || this.title(item)}${node.module ? `\n${node.module}` : ""}`));
    const mark = group ? null : this.marks.get(item);
    if (mark) element.append(s("circle", { class: `mark ${mark}`, cx: w - 4, cy: 4, r: 6 }));
    return element;
  }

  line(path) {
    const { edge } = path;
    const element = s("g", { class: "edge", "data-edge": edge.ids[0] },
      s("path", { class: "touch", d: path.d }),
      s("path", { class: "stroke", d: path.d, "marker-end": "url(#arrow)" }));
    const known = this.graph.edges[edge.ids[0]];
    if (edge.ids.length === 1 && known.downstream) {
      const [mx, my] = path.points.length > 2 ? path.points[Math.floor(path.points.length / 2)] : [0, 1].map((i) => (path.points[0][i] + path.points[1][i]) / 2);
      element.along = s("text", { class: "gradient along", x: mx, y: my - 5 }, clip(brief(known.downstream), 12));
    } else if (edge.ids.length > 1) {
      const [mx, my] = path.points[Math.floor(path.points.length / 2)];
      element.along = s("text", { class: "note along", x: mx, y: my - 4 }, `×${edge.ids.length}`);
    }
    return element;
  }

  /** Classes that change without a new layout: selection, the step, what was reached. */
  dress() {
    const chosen = this.selected instanceof Group ? this.selected : this.selected === null ? null : this.tree.visible(this.selected);
    const shown = new Set([...this.lit.nodes].map((id) => this.tree.visible(id)));
    for (const [key, element] of this.made) {
      if (key.edge) {
        const ids = key.edge.ids;
        const lit = ids.some((id) => this.lit.edges.has(id));
        element.classList.toggle("selected", this.selectedEdge !== null && ids.includes(this.selectedEdge));
        element.classList.toggle("lit", lit);
        element.classList.toggle("back", lit && this.lit.phase === "backward");
        const unseen = Boolean(this.reached) && !ids.some((id) => this.reached.gradients.has(this.graph.edges[id].target));
        element.along?.classList.toggle("unseen", unseen);
        continue;
      }
      element.classList.toggle("selected", key === chosen);
      element.classList.toggle("lit", shown.has(key));
      element.classList.toggle("back", shown.has(key) && this.lit.phase === "backward");
      if (!(key instanceof Group)) {
        element.classList.toggle("no-value", Boolean(this.reached) && !this.reached.values.has(key));
        element.classList.toggle("no-gradient", Boolean(this.reached) && !this.reached.gradients.has(key));
      }
    }
  }

  // choosing, folding

  select(item, edge = null, reveal = false) {
    if (reveal && !(item instanceof Group) && item !== null && this.tree.reveal(item)) this.arrange();
    this.selected = item;
    this.selectedEdge = edge;
    this.dress();
    this.on.select(item, edge);
    if (reveal && item !== null) this.show(item instanceof Group ? item : this.tree.visible(item));
  }

  toggle(group) {
    const before = this.plan.boxes.get(group);
    group.open = !group.open;
    this.arrange();
    const after = this.plan.boxes.get(group);
    if (before && after && !this.fitted) {
      this.x += (before.x - after.x) * this.scale;
      this.y += (before.y - after.y) * this.scale;
      this.paint();
    } else if (this.fitted) this.fit();
    this.on.changed();
  }

  openAll(open) {
    for (const group of this.tree.groups()) if (group !== this.tree.root) group.open = open;
    this.begun = false;
    this.arrange();
    this.on.changed();
  }

  turn() {
    this.direction = this.direction === "LR" ? "TB" : "LR";
    this.arrange();
    this.fit();
  }

  // events

  find(event) {
    const node = event.target.closest("[data-node]");
    if (node) return { item: Number(node.dataset.node) };
    const group = event.target.closest("[data-group]");
    if (group) return { group: [...this.tree.groups()].find((g) => g.key === group.dataset.group) };
    const edge = event.target.closest("[data-edge]");
    if (edge) return { edge: Number(edge.dataset.edge) };
    return {};
  }

  listen() {
    const pointers = new Map();
    let moved = 0;
    let spread = 0;
    this.svg.addEventListener("pointerdown", (event) => {
      pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
      moved = 0;
    });
    this.svg.addEventListener("pointermove", (event) => {
      if (!pointers.has(event.pointerId)) return;
      const [px, py] = pointers.get(event.pointerId);
      const [dx, dy] = [event.offsetX - px, event.offsetY - py];
      moved += Math.abs(dx) + Math.abs(dy);
      if (moved > 6 && !this.svg.hasPointerCapture(event.pointerId)) this.svg.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
      if (pointers.size === 2) {
        const [[ax, ay], [bx, by]] = [...pointers.values()];
        const now = Math.hypot(ax - bx, ay - by);
        if (spread) this.zoom(now / spread, [(ax + bx) / 2, (ay + by) / 2]);
        spread = now;
      } else if (moved > 6) {
        this.fitted = false;
        this.x += dx;
        this.y += dy;
        this.paint();
      }
    });
    const end = (event) => {
      pointers.delete(event.pointerId);
      spread = 0;
    };
    this.svg.addEventListener("pointerup", end);
    this.svg.addEventListener("pointercancel", end);
    this.svg.addEventListener("click", (event) => {
      if (moved > 6) return;
      const found = this.find(event);
      if (found.item !== undefined) this.select(found.item);
      else if (found.group) {
        this.select(found.group);
        this.toggle(found.group);
      } else if (found.edge !== undefined) this.select(this.graph.edges[found.edge].target, found.edge);
    });
    this.svg.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : 0.0015)), [event.offsetX, event.offsetY]);
    }, { passive: false });
    this.svg.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    const { key } = event;
    const along = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[key];
    if (along) {
      event.preventDefault();
      const across = (this.direction === "LR") === (key === "ArrowUp" || key === "ArrowDown");
      this.step(along, across);
    } else if ((key === "Enter" || key === " ") && this.selected !== null) {
      event.preventDefault();
      const item = this.selected instanceof Group ? this.selected : this.tree.parent[this.selected];
      if (item !== this.tree.root) {
        this.toggle(item);
        this.select(item);
        this.show(item);
      }
    } else if (key === "+" || key === "=") this.zoom(1.25);
    else if (key === "-") this.zoom(0.8);
    else if (key === "0") this.fit();
    else if (key === "Escape") this.select(null);
  }

  /** Move the selection to the next box along the flow, or across it. */
  step(sign, across) {
    const here = this.selected === null ? null : this.selected instanceof Group ? this.selected : this.tree.visible(this.selected);
    const from = here === null ? null : this.plan.boxes.get(here);
    if (!from) {
      const first = this.items[0]?.[0];
      if (first !== undefined) this.select(first);
      return;
    }
    const main = (this.direction === "LR") !== across ? "x" : "y";
    const other = main === "x" ? "y" : "x";
    let candidates = [];
    if (!across) {
      candidates = this.plan.paths
        .filter(({ edge }) => (sign > 0 ? edge.from : edge.to) === here)
        .map(({ edge }) => (sign > 0 ? edge.to : edge.from));
    }
    if (!candidates.length) candidates = this.items.map(([item]) => item).filter((item) => item !== here && sign * (this.plan.boxes.get(item)[main] - from[main]) > 4);
    let best = null;
    let cost = Infinity;
    for (const item of candidates) {
      const box = this.plan.boxes.get(item);
      const away = Math.abs(box[main] - from[main]) + 2.5 * Math.abs(box[other] - from[other]);
      if (away < cost) [best, cost] = [item, away];
    }
    if (best !== null) {
      this.select(best);
      this.show(best);
    }
  }
}
