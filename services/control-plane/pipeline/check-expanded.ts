import type { Finding } from "./finding.ts";
import { childOf, entriesOf, type Tree } from "./tree.ts";

// A build's steps are sent and stored one by one, each with its whole environment.
const MAX_PIPELINE_BYTES = 8 * 1024 * 1024;
const NODE_BYTES = 8;

/** Finds a pipeline that is small as it is written and large once its env and aliases stand in every step. */
export function checkExpanded(tree: Tree): Finding[] {
  const known = new Map<Tree, number>();
  const steps = entriesOf(childOf(tree, "steps"));
  const env = childOf(tree, "env");
  const own = steps.reduce((sum, { key, value }) => sum + key.length + weigh(value, known), 0);
  const total = own + steps.length * (env ? weigh(env, known) : 0);
  if (total <= MAX_PIPELINE_BYTES) return [];
  const message = `with \`env\` and aliases written into each step this pipeline has ${Math.round(total / 2 ** 20)} MiB; at most 8 MiB are allowed`;
  return [
    {
      code: "too-large",
      message,
      fix: "share less, or make fewer steps",
      place: childOf(tree, "steps")?.place ?? [0, 0],
    },
  ];
}

/** Aliased parts are one and the same object, so each is looked at once. */
function weigh(tree: Tree, known: Map<Tree, number>): number {
  const before = known.get(tree);
  if (before !== undefined) return before;
  let weight = NODE_BYTES;
  if (tree.kind === "text") weight += tree.text.length;
  else if (tree.kind === "list") for (const item of tree.items) weight += weigh(item, known);
  else if (tree.kind === "map")
    for (const { key, value } of tree.entries.values()) weight += key.length + weigh(value, known);
  known.set(tree, weight);
  return weight;
}
