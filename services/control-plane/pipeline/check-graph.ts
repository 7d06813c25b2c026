import { findCycles, type Graph } from "./find-cycles.ts";
import type { Finding, Place } from "./finding.ts";
import { haveAncestor } from "./have-ancestor.ts";
import { nearest } from "./nearest.ts";
import { childOf, entriesOf, itemsOf, type Tree, textOf } from "./tree.ts";

/** Finds what is wrong between steps: needs that are not there, twice, of themselves or in a circle, and inputs. */
export function checkGraph(steps: Tree | undefined, findings: Finding[]): void {
  const names = entriesOf(steps).map(({ key }) => key);
  const positions = new Map(names.map((name, position) => [name, position]));
  const graph = entriesOf(steps).map(({ key, value }) => readNeeds(key, childOf(value, "needs"), positions, findings));
  const cycles = findCycles(graph);
  for (const { path, place } of cycles) {
    const shown = path.length > 12 ? [...path.slice(0, 6), -1, ...path.slice(-5)] : path;
    const words = shown.map((position) => names[position] ?? "…").join(" -> ");
    const message = `these steps need one another: ${words}`;
    findings.push({ code: "cycle", message, fix: "remove one of these needs", place });
  }
  if (cycles.length === 0) checkInputs(steps, graph, positions, findings);
}

function readNeeds(
  self: string,
  needs: Tree | undefined,
  positions: ReadonlyMap<string, number>,
  findings: Finding[],
): Graph[number] {
  const found = new Map<number, Place>();
  for (const item of itemsOf(needs)) {
    const name = textOf(item);
    const position = name === undefined ? undefined : positions.get(name);
    if (name === undefined) continue;
    if (name === self) {
      findings.push({
        code: "self-need",
        message: `step \`${name}\` needs itself`,
        fix: "remove it",
        place: item.place,
      });
    } else if (position === undefined)
      findings.push(unknownStep("unknown-need", name, positions, item.place, findings));
    else if (found.has(position)) {
      const message = `\`${name}\` is needed twice here`;
      findings.push({ code: "duplicate-need", message, fix: "remove one of them", place: item.place });
    } else found.set(position, item.place);
  }
  return [...found].map(([to, place]) => ({ to, place }));
}

// Ten thousand names that are not there, each compared with ten thousand that are, would take minutes.
const MAX_COMPARED = 100;

function unknownStep(
  code: string,
  name: string,
  positions: ReadonlyMap<string, number>,
  place: Place,
  findings: readonly Finding[],
): Finding {
  const likely = findings.length < MAX_COMPARED ? nearest(name, positions.keys()) : undefined;
  const fix = likely ? `did you mean \`${likely}\`?` : "add that step, or remove this";
  return { code, message: `there is no step \`${name}\``, fix, place };
}

function checkInputs(
  steps: Tree | undefined,
  graph: Graph,
  positions: ReadonlyMap<string, number>,
  findings: Finding[],
): void {
  const asked: { from: number; to: number; place: Place; name: string }[] = [];
  entriesOf(steps).forEach(({ value }, from) => {
    for (const input of itemsOf(childOf(value, "inputs"))) {
      const wanted = childOf(input, "artifacts");
      const name = textOf(wanted);
      if (!wanted || name === undefined) continue;
      const to = positions.get(name);
      if (to === undefined) findings.push(unknownStep("unknown-input", name, positions, wanted.place, findings));
      else asked.push({ from, to, place: wanted.place, name });
    }
  });
  const all = entriesOf(steps);
  const reached = haveAncestor(graph, asked);
  asked.forEach(({ to, place, name }, index) => {
    if (!reached[index]) {
      const message = `\`${name}\` may not be over when this step starts, since this step does not need it`;
      findings.push({ code: "input-not-needed", message, fix: `add \`${name}\` to \`needs\``, place });
    } else if (itemsOf(childOf(all[to]?.value, "artifacts")).length === 0) {
      const message = `\`${name}\` keeps no artifacts`;
      findings.push({ code: "input-empty", message, fix: `add \`artifacts\` to \`${name}\``, place, warning: true });
    }
  });
}
