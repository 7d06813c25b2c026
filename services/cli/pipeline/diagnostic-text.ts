import { type Diagnostic, Severity } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import { neutralise } from "../neutralise.ts";

/** `.ritmo.yaml:3:5: error: no key is named "need" [unknown-key] (write "needs")` */
export function diagnosticText({ file, line, column, severity, message, code, fix }: Diagnostic): string {
  const place = line > 0 ? `${file}:${line}:${column}` : file;
  const kind = severity === Severity.WARNING ? "warning" : "error";
  return neutralise(`${place}: ${kind}: ${message}${code ? ` [${code}]` : ""}${fix ? ` (${fix})` : ""}`);
}
