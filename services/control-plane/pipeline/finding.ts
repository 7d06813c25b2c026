import { create } from "@bufbuild/protobuf";
import { type Diagnostic, DiagnosticSchema, Severity } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";

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
export function toDiagnostics(findings: readonly Finding[], text: string, file: string): Diagnostic[] {
  const sorted = findings.toSorted((a, b) => a.place[0] - b.place[0] || a.place[1] - b.place[1]);
  const shown = sorted.length > MAX_DIAGNOSTICS ? sorted.slice(0, MAX_DIAGNOSTICS - 1) : sorted;
  const rest = sorted.slice(shown.length);
  const first = rest.find((one) => !one.warning) ?? rest[0];
  if (first) shown.push({ ...first, code: "too-many-findings", message: `and ${rest.length} more`, fix: undefined });
  const lineStarts = [0, ...[...text.matchAll(/\n/g)].map(({ index }) => index + 1)];
  return shown.map((finding) => toDiagnostic(finding, lineStarts, text.length, file));
}

function toDiagnostic(
  { code, message, fix, place, warning }: Finding,
  lineStarts: readonly number[],
  length: number,
  file: string,
): Diagnostic {
  const start = positionOf(lineStarts, Math.min(place[0], length));
  const end = positionOf(lineStarts, Math.min(Math.max(place[0], place[1]), length));
  return create(DiagnosticSchema, {
    severity: warning ? Severity.WARNING : Severity.ERROR,
    code,
    message,
    fix: fix ?? "",
    file,
    line: start.line,
    column: start.column,
    endLine: end.line,
    endColumn: end.column,
  });
}

/** Line and column from 1, by bisection over where lines start. */
function positionOf(lineStarts: readonly number[], offset: number): { line: number; column: number } {
  let [low, high] = [0, lineStarts.length - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((lineStarts[middle] as number) <= offset) low = middle;
    else high = middle - 1;
  }
  return { line: low + 1, column: offset - (lineStarts[low] as number) + 1 };
}
