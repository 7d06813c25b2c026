import {
  type Diagnostic,
  DiagnosticSchema,
  PipelineService,
  Severity,
} from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import type { Cli } from "../cli.ts";
import { EXIT } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { neutralise } from "../neutralise.ts";
import { openServer } from "../open-client.ts";
import { paint } from "../paint.ts";
import { pick, printJson, readFields } from "../print-json.ts";
import { readText } from "../read-text.ts";

interface Options {
  canonical?: boolean;
  json?: string | true;
}

/** Prints what is wrong with a pipeline and where; answers 1 when it can't run. */
export async function lintPipeline(cli: Cli, options: Options, [file = ".ritmo.yaml"]: string[]): Promise<number> {
  const fields = readFields(options.json, DiagnosticSchema);
  const server = openServer(cli);
  const text = await readText(cli.io, file);
  const shown = file === "-" ? "<stdin>" : file;
  const { diagnostics, canonicalText, pipeline } = await server
    .client(PipelineService)
    .validatePipeline({ text, file: shown });
  const errors = diagnostics.filter((d) => d.severity !== Severity.WARNING).length;
  if (fields)
    await printJson(
      cli.io,
      diagnostics.map((d) => pick(DiagnosticSchema, d, fields)),
    );
  else {
    const lines = text.split(/\r\n|\n|\r/);
    for (const diagnostic of diagnostics) await cli.io.stdout.write(findingText(cli.io, diagnostic, lines));
    if (options.canonical && errors === 0) await cli.io.stdout.write(canonicalText);
    await cli.io.stderr.write(`${verdict(shown, errors, diagnostics.length - errors, pipeline?.steps.length ?? 0)}\n`);
  }
  return errors > 0 ? EXIT.error : EXIT.good;
}

function verdict(file: string, errors: number, warnings: number, steps: number): string {
  const count = (n: number, word: string) => `${n} ${word}${n === 1 ? "" : "s"}`;
  const also = warnings > 0 ? ` and ${count(warnings, "warning")}` : "";
  if (errors > 0) return `${file}: ${count(errors, "error")}${also}`;
  return `${file} is good: ${count(steps, "step")}${also}`;
}

function findingText(io: Io, diagnostic: Diagnostic, lines: string[]): string {
  const { severity, message, code, fix, file, line, column } = diagnostic;
  const place = line > 0 ? `${file}:${line}:${column}` : file;
  const warns = severity === Severity.WARNING;
  const kind = paint(io, warns ? "yellow" : "red", warns ? "warning" : "error");
  const head = `${neutralise(place)}: ${kind}: ${neutralise(message)}${code ? ` [${neutralise(code)}]` : ""}`;
  const source = lines[line - 1];
  const shown = source === undefined ? [] : excerpt(io, source, diagnostic);
  return `${[head, ...shown, ...(fix ? [`  fix: ${neutralise(fix)}`] : [])].join("\n")}\n`;
}

const WIDEST = 160;

/** The line, and a caret under each character that is meant; of a long line the part around it. */
function excerpt(io: Io, source: string, { line, column, endLine, endColumn }: Diagnostic): string[] {
  const at = Math.max(0, column - 1);
  const end = endLine === line && endColumn > column ? endColumn - 1 : endLine > line ? source.length : at + 1;
  const from = source.length > WIDEST ? Math.max(0, at - 40) : 0;
  const part = (start: number, stop: number) =>
    neutralise(source.slice(start, Math.min(stop, from + WIDEST)).replaceAll("\t", " "));
  const before = part(from, at);
  const meant = part(at, end);
  const carets = "^".repeat(Math.max(1, [...meant].length));
  const gutter = String(line).padStart(5);
  return [
    `${gutter} | ${before}${meant}${part(Math.max(at, end), source.length)}`,
    `${" ".repeat(gutter.length)} | ${" ".repeat([...before].length)}${paint(io, "red", carets)}`,
  ];
}
