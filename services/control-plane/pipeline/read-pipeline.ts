import type { Diagnostic, Pipeline } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import { checkExpanded } from "./check-expanded.ts";
import { checkForm } from "./check-form.ts";
import { checkGraph } from "./check-graph.ts";
import { checkText, MAX_TEXT_BYTES } from "./check-text.ts";
import { type Finding, toDiagnostics } from "./finding.ts";
import { readTree } from "./read-tree.ts";
import { toPipeline } from "./to-pipeline.ts";
import { childOf, type Tree } from "./tree.ts";
import { writeCanonical } from "./write-canonical.ts";
import { MAX_STEPS, pipelineForm } from "./written-form.ts";

export interface ReadPipeline {
  /** In the order of their places; none is an error where there is a pipeline. */
  diagnostics: Diagnostic[];
  pipeline?: Pipeline;
  /** The same pipeline as text that reads to itself; absent where that is longer than a pipeline's text may be. */
  canonicalText?: string;
}

/** Reads a pipeline as people write it, YAML 1.2 or JSON. Text that is wrong is an answer: what, where, and the fix. */
export function readPipeline(text: string, file = ".ritmo.yaml"): ReadPipeline {
  const { tree, findings, shownText } = findAll(text);
  const pipeline = tree && !hasError(findings) ? toPipeline(tree) : undefined;
  const diagnostics = toDiagnostics(findings, shownText, file);
  if (!pipeline) return { diagnostics };
  const canonicalText = writeCanonical(pipeline);
  return { diagnostics, pipeline, ...(Buffer.byteLength(canonicalText) <= MAX_TEXT_BYTES && { canonicalText }) };
}

interface Found {
  tree?: Tree;
  findings: Finding[];
}

function findAll(original: string): Found & { shownText: string } {
  const { text, findings } = checkText(original);
  return { shownText: text, ...(findings.length > 0 ? { findings } : findInText(text)) };
}

function findInText(text: string): Found {
  const { tree, findings: found } = readTree(text);
  // What is too large is not looked at more closely.
  if (!tree || found.some(({ code }) => code === "expansion-limit")) return { findings: found };
  const start = [0, Math.max(0, text.indexOf("\n"))] as const;
  if (tree.kind === "nothing") {
    const fix = "begin with `version: 1` and `steps:`";
    return { findings: [...found, { code: "empty", message: "the pipeline is empty", fix, place: [0, 0] }] };
  }
  checkForm(tree, pipelineForm, "the pipeline", start, found);
  const steps = childOf(tree, "steps");
  if (steps?.kind === "map" && steps.entries.size === 0) {
    found.push({ code: "empty", message: "`steps` has no step", fix: "add one", place: steps.place });
  }
  if (steps?.kind === "map" && steps.entries.size <= MAX_STEPS) checkGraph(steps, found);
  if (!hasError(found)) found.push(...checkExpanded(tree));
  return { tree, findings: found };
}

function hasError(findings: readonly Finding[]): boolean {
  return findings.some((finding) => !finding.warning);
}
