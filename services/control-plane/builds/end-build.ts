import { toJson } from "@bufbuild/protobuf";
import { type Diagnostic, DiagnosticSchema } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import type { Db } from "../store/open-database.ts";

export interface BuildEnd {
  outcome: "failure" | "error";
  reason: string;
  cause: string;
  diagnostics?: Diagnostic[];
  commit?: { commit: string; authorName: string; authorEmail: string; message: string };
}

/** Ends a build that never got steps, with its reason. False: it is no longer PENDING. */
export async function endPendingBuild(db: Db, buildId: string, told: BuildEnd): Promise<boolean> {
  const end = storable({ ...told, diagnostics: told.diagnostics?.map((d) => toJson(DiagnosticSchema, d)) });
  const diagnostics = end.diagnostics ?? null;
  const rows = await db.sql`
    UPDATE builds SET state = ${end.outcome}, reason = ${end.reason}, cause = ${end.cause},
      diagnostics = ${diagnostics === null ? null : db.sql.json(diagnostics as never)},
      commit = coalesce(${end.commit?.commit ?? null}, commit),
      author_name = coalesce(${end.commit?.authorName ?? null}, author_name),
      author_email = coalesce(${end.commit?.authorEmail ?? null}, author_email),
      message = coalesce(${end.commit?.message ?? null}, message),
      planned_until = NULL, finished_at = clock_timestamp(), revision = revision + 1
    WHERE id = ${buildId} AND state = 'pending'
    RETURNING id`;
  return rows.length === 1;
}

/**
 * What the database can keep: a pipeline's text may quote half a character or a NUL, which no text and no jsonb takes,
 * and its build would be planned in vain again and again.
 */
function storable<T>(value: T): T {
  return JSON.parse(
    JSON.stringify(value, (_, part: unknown) =>
      typeof part === "string" ? part.toWellFormed().replaceAll("\0", "\ufffd") : part,
    ),
  ) as T;
}
