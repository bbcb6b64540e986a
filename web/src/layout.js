/** Places for what is visible: each open group is laid out by dagre on its own, the innermost first. */

import dagre from "@dagrejs/dagre";
import { Group } from "./tree.js";

const PAD = 14;
const HEAD = 24; // room for an open group's name

/** The group's child that holds an item. */
function under(group, chain, item) {
  const at = chain.indexOf(group);
  return at + 1 < chain.length ? chain[at + 1] : item;
}

/**
 * @param tree a Tree
 * @param measure item -> [width, height] of a node or folded group
 * @param direction "LR" or "TB"
 * @returns {boxes: Map item -> {x, y, w, h} (centre), paths: [{edge, points}], width, height}
 */
export function layout(tree, measure, direction) {
  const edges = tree.edges();
  const chains = new Map();
  const chainOf = (item) => {
    if (!chains.has(item)) chains.set(item, tree.chain(item));
    return chains.get(item);
  };
  const inside = new Map(); // group -> edges whose lowest common group it is
  for (const edge of edges) {
    const a = chainOf(edge.from);
    const b = chainOf(edge.to);
    let depth = 0;
    while (depth + 1 < Math.min(a.length, b.length) && a[depth + 1] === b[depth + 1]) depth += 1;
    edge.group = a[depth];
    if (!inside.has(edge.group)) inside.set(edge.group, []);
    inside.get(edge.group).push(edge);
  }
  const places = new Map(); // item -> place relative to its group's corner
  const sizes = new Map();
  const routes = new Map();

  const open = [...tree.groups()].filter((group) => group.open && (group === tree.root || chainOf(group).every((up) => up.open)));
  open.sort((a, b) => chainOf(b).length - chainOf(a).length);
  for (const group of open) {
    const g = new dagre.graphlib.Graph({ multigraph: false });
    g.setGraph({ rankdir: direction, nodesep: 18, ranksep: direction === "LR" ? 64 : 36, edgesep: 8, marginx: PAD, marginy: PAD });
    g.setDefaultEdgeLabel(() => ({}));
    const names = new Map();
    group.children.forEach((child, index) => {
      const [w, h] = child instanceof Group && child.open ? sizes.get(child) : measure(child);
      sizes.set(child, [w, h]);
      names.set(child, String(index));
      g.setNode(String(index), { width: w, height: h });
    });
    for (const edge of inside.get(group) ?? []) {
      edge.a = names.get(under(group, chainOf(edge.from), edge.from));
      edge.b = names.get(under(group, chainOf(edge.to), edge.to));
      if (edge.a !== edge.b) g.setEdge(edge.a, edge.b);
    }
    dagre.layout(g);
    group.children.forEach((child, index) => {
      const { x, y } = g.node(String(index));
      places.set(child, { x, y: y + HEAD });
    });
    for (const edge of inside.get(group) ?? []) routes.set(edge, g.edge(edge.a, edge.b)?.points ?? []);
    const { width, height } = g.graph();
    sizes.set(group, [Math.max(width || 0, 9 * group.name.length + 40), (height || 0) + HEAD]);
  }

  const boxes = new Map();
  const [width, height] = sizes.get(tree.root);
  boxes.set(tree.root, { x: width / 2, y: height / 2, w: width, h: height });
  const corner = new Map([[tree.root, [0, 0]]]);
  for (const group of open.slice().reverse()) {
    const [left, top] = corner.get(group);
    for (const child of group.children) {
      const place = places.get(child);
      const [w, h] = sizes.get(child);
      boxes.set(child, { x: left + place.x, y: top + place.y, w, h });
      if (child instanceof Group && child.open) corner.set(child, [left + place.x - w / 2, top + place.y - h / 2]);
    }
  }
  const paths = edges.map((edge) => {
    const [left, top] = corner.get(edge.group);
    const middle = (routes.get(edge) ?? []).slice(1, -1).map((p) => [left + p.x, top + p.y + HEAD]);
    const a = boxes.get(edge.from);
    const b = boxes.get(edge.to);
    const ends = direction === "LR"
      ? [[a.x + a.w / 2, a.y], [b.x - b.w / 2, b.y]]
      : [[a.x, a.y + a.h / 2], [b.x, b.y - b.h / 2]];
    return { edge, points: [ends[0], ...middle, ends[1]] };
  });
  return { boxes, paths, width, height, open };
}

/** An SVG path through points, leaving and entering along the flow. */
export function curve(points, direction) {
  const along = direction === "LR" ? 0 : 1;
  let text = `M${points[0][0].toFixed(1)} ${points[0][1].toFixed(1)}`;
  for (let i = 1; i < points.length; i += 1) {
    const [from, to] = [points[i - 1], points[i]];
    const reach = (to[along] - from[along]) / 2;
    const [c, d] = along === 0
      ? [[from[0] + reach, from[1]], [to[0] - reach, to[1]]]
      : [[from[0], from[1] + reach], [to[0], to[1] - reach]];
    text += `C${[...c, ...d, ...to].map((v) => v.toFixed(1)).join(" ")}`;
  }
  return text;
}
