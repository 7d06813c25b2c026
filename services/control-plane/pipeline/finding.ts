import { create } from "@bufbuild/protobuf";
import { type Diagnostic, DiagnosticSchema, Severity } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import type { LineCounter } from "yaml";

/** Offsets into the text, in UTF-16 code units; the end is exclusive. */
export type Place = readonly [start: number, end: number];

/** Something about the text, before it has a line and a column. */
export interface Finding {
  code: string;
  message: string;
  fix?: string | undefined;
  place: Place;
  /** True: the pipeline can run all the same. */
  warning?: boolean;
}

const MAX_DIAGNOSTICS = 100;

/** Findings in the order of their places, as the contract has them; at most a hundred, the last one saying so. */
export function toDiagnostics(findings: readonly Finding[], lines: LineCounter, file: string): Diagnostic[] {
  const sorted = findings.toSorted((a, b) => a.place[0] - b.place[0] || a.place[1] - b.place[1]);
  const shown = sorted.length > MAX_DIAGNOSTICS ? sorted.slice(0, MAX_DIAGNOSTICS - 1) : sorted;
  const rest = sorted.slice(shown.length);
  const first = rest.find((one) => !one.warning) ?? rest[0];
  if (first) shown.push({ ...first, code: "too-many-findings", message: `and ${rest.length} more`, fix: undefined });
  return shown.map((finding) => toDiagnostic(finding, lines, file));
}

function toDiagnostic({ code, message, fix, place, warning }: Finding, lines: LineCounter, file: string): Diagnostic {
  const start = positionOf(lines, place[0]);
  const end = positionOf(lines, Math.max(place[0], place[1]));
  return create(DiagnosticSchema, {
    severity: warning ? Severity.WARNING : Severity.ERROR,
    code,
    message,
    fix: fix ?? "",
    file,
    line: start.line,
    column: start.col,
    endLine: end.line,
    endColumn: end.col,
  });
}

function positionOf(lines: LineCounter, offset: number): { line: number; col: number } {
  const { line, col } = lines.linePos(offset);
  return line === 0 ? { line: 1, col: offset + 1 } : { line, col };
}
