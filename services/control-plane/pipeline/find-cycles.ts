import type { Place } from "./finding.ts";

/** By position of the step: which positions it needs, and where that is written. */
export type Graph = { to: number; place: Place }[][];

export interface Cycle {
  /** Positions from a step back to itself. */
  path: number[];
  place: Place;
}

const MAX_CYCLES = 10;

/** Cycles of a graph, one for each need that closes one, ten at most; none means that the graph has none. */
export function findCycles(graph: Graph): Cycle[] {
  const cycles: Cycle[] = [];
  const state = new Uint8Array(graph.length);
  for (let start = 0; start < graph.length && cycles.length < MAX_CYCLES; start++) {
    if (state[start] === UNSEEN) walk(graph, start, state, cycles);
  }
  return cycles;
}

const UNSEEN = 0;
const OPEN = 1;
const DONE = 2;

/** Depth first with a stack of its own: ten thousand steps in a row are deeper than the machine's. */
function walk(graph: Graph, start: number, state: Uint8Array, cycles: Cycle[]): void {
  const stack = [{ at: start, next: 0 }];
  state[start] = OPEN;
  for (let top = stack.at(-1); top; top = stack.at(-1)) {
    const need = graph[top.at]?.[top.next++];
    if (!need) {
      state[top.at] = DONE;
      stack.pop();
    } else if (state[need.to] === UNSEEN) {
      state[need.to] = OPEN;
      stack.push({ at: need.to, next: 0 });
    } else if (state[need.to] === OPEN && cycles.length < MAX_CYCLES) {
      const path = stack.map(({ at }) => at);
      cycles.push({ path: [...path.slice(path.indexOf(need.to)), need.to], place: need.place });
    }
  }
}
