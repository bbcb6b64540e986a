/** The graph as a tree of modules that fold: what is drawn, and the edges between what is drawn. */

const MOST = 48; // children of one group; more are put into runs, so that no layout is ever of thousands
const RUN = 24;

export class Group {
  constructor(key, name, parent) {
    this.key = key; // unique: a path, or a path with the run's first node
    this.name = name;
    this.parent = parent;
    this.children = []; // nodes' ids and Groups, in forward order
    this.open = false;
    this.size = 0; // nodes below
    this.first = Infinity;
    this.last = -1;
  }
}

/** Put runs of children under groups of their own until no group has more than MOST. */
function shorten(group) {
  for (const child of group.children) if (child instanceof Group) shorten(child);
  while (group.children.length > MOST) {
    const runs = [];
    for (let at = 0; at < group.children.length; at += RUN) {
      const part = group.children.slice(at, at + RUN);
      const first = part[0] instanceof Group ? part[0].first : part[0];
      const tail = part[part.length - 1];
      const last = tail instanceof Group ? tail.last : tail;
      const run = new Group(`${group.key}#${first}-${last}`, `${first} … ${last}`, group);
      run.run = true;
      run.children = part;
      for (const child of part) {
        if (child instanceof Group) child.parent = run;
        run.size += child instanceof Group ? child.size : 1;
      }
      run.first = first;
      run.last = last;
      runs.push(run);
    }
    group.children = runs;
  }
}

export class Tree {
  /** @param graph what Graph.to_dict of retrograd.glass gives */
  constructor(graph) {
    this.graph = graph;
    this.root = new Group("", graph.title ?? "", null);
    this.root.open = true;
    const groups = new Map([["", this.root]]);
    const find = (path) => {
      const known = groups.get(path);
      if (known) return known;
      const cut = path.lastIndexOf(".");
      const parent = find(cut < 0 ? "" : path.slice(0, cut));
      const made = new Group(path, path.slice(cut + 1), parent);
      parent.children.push(made);
      groups.set(path, made);
      return made;
    };
    // A leaf is drawn where it is used, if that is one module only; its own module counts where operations are in it.
    const busy = new Set(graph.nodes.filter((node) => node.inputs.length && node.module).map((node) => node.module));
    const home = graph.nodes.map((node) => (node.inputs.length || busy.has(node.module) ? node.module || "" : ""));
    for (const node of graph.nodes) {
      if (node.inputs.length || home[node.id]) continue;
      const places = new Set(node.uses.map((edge) => home[graph.edges[edge].target]));
      if (places.size === 1) home[node.id] = [...places][0];
    }
    for (const node of graph.nodes) {
      const group = find(home[node.id]);
      group.children.push(node.id);
      for (let up = group; up; up = up.parent) {
        up.size += 1;
        up.first = Math.min(up.first, node.id);
        up.last = Math.max(up.last, node.id);
      }
    }
    shorten(this.root);
    this.parent = new Array(graph.nodes.length);
    const walk = [this.root];
    while (walk.length) {
      const group = walk.pop();
      for (const child of group.children) {
        if (child instanceof Group) walk.push(child);
        else this.parent[child] = group;
      }
    }
    // What is small is shown whole.
    if (graph.nodes.length <= MOST) for (const group of this.groups()) group.open = true;
    else {
      let only = this.root;
      while (only.children.length === 1 && only.children[0] instanceof Group) [only] = only.children;
      for (let up = only; up; up = up.parent) up.open = true;
    }
  }

  *groups() {
    const walk = [this.root];
    while (walk.length) {
      const group = walk.pop();
      yield group;
      for (const child of group.children) if (child instanceof Group) walk.push(child);
    }
  }

  /** What stands for a node at present: its id, or the outermost folded group around it. */
  visible(id) {
    let shown = id;
    for (let up = this.parent[id]; up; up = up.parent) if (!up.open) shown = up;
    return shown;
  }

  /** Unfold all that hides a node. */
  reveal(id) {
    let changed = false;
    for (let up = this.parent[id]; up; up = up.parent) {
      changed ||= !up.open;
      up.open = true;
    }
    return changed;
  }

  /** The edges between what is visible: one for all that join the same pair. */
  edges() {
    const shown = this.graph.nodes.map((node) => this.visible(node.id));
    const name = (item) => (item instanceof Group ? item.key : `n${item}`);
    const found = new Map();
    for (const edge of this.graph.edges) {
      const from = shown[edge.source];
      const to = shown[edge.target];
      if (from === to) continue;
      const key = `${name(from)}>${name(to)}`;
      const known = found.get(key);
      if (known) known.ids.push(edge.id);
      else found.set(key, { key, from, to, ids: [edge.id] });
    }
    return [...found.values()];
  }

  /** Groups from the root down to an item. */
  chain(item) {
    const up = [];
    for (let group = item instanceof Group ? item.parent : this.parent[item]; group; group = group.parent) up.push(group);
    return up.reverse();
  }
}
