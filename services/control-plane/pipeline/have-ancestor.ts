import type { Graph } from "./find-cycles.ts";

/**
 * For each pair: whether `from` needs `to`, directly or through others. The graph must have no cycle. One bit per pair
 * of steps, so ten thousand steps take 12 MiB and a moment, however they are woven.
 */
export function haveAncestor(graph: Graph, pairs: readonly { from: number; to: number }[]): boolean[] {
  const direct = pairs.map(({ from, to }) => graph[from]?.some((need) => need.to === to) ?? false);
  if (direct.every(Boolean)) return direct;
  const words = Math.ceil(graph.length / 32);
  const bits = new Uint32Array(words * graph.length);
  for (const at of inOrder(graph)) {
    for (const { to } of graph[at] ?? []) {
      for (let i = 0; i < words; i++) bits[at * words + i] = (bits[at * words + i] ?? 0) | (bits[to * words + i] ?? 0);
      bits[at * words + (to >>> 5)] = (bits[at * words + (to >>> 5)] ?? 0) | (1 << (to & 31));
    }
  }
  return pairs.map(({ from, to }) => (((bits[from * words + (to >>> 5)] ?? 0) >>> (to & 31)) & 1) === 1);
}

/** Positions such that what a step needs comes before it (Kahn). */
function inOrder(graph: Graph): number[] {
  const neededBy: number[][] = graph.map(() => []);
  const missing = graph.map((needs) => needs.length);
  graph.forEach((needs, from) => {
    for (const { to } of needs) neededBy[to]?.push(from);
  });
  const order = missing.flatMap((count, position) => (count === 0 ? [position] : []));
  for (const position of order) {
    for (const from of neededBy[position] ?? []) {
      missing[from] = (missing[from] ?? 0) - 1;
      if (missing[from] === 0) order.push(from);
    }
  }
  return order;
}
