import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  ListArtifactsRequest,
  ListArtifactsResponseSchema,
} from "@ritmo/contract/ritmo/artifact/v1/artifact_pb.js";
import ignore from "ignore";
import { badField } from "../../process/refusal.ts";
import { resolveBuild } from "../names/resolve.ts";
import type { Sql } from "../store/open-database.ts";
import { type ArtifactRow, artifactColumns, artifactMessage } from "./artifact-row.ts";

/** Where a page ends: path and id of its last row. */
export type ArtifactPosition = readonly [path: string, id: string];

const SCAN_ROWS = 1_000;
const MAX_GLOBS = 100;
const MAX_GLOB_LENGTH = 1_000;

/**
 * Answers a page of a build's stored artifacts, by path: of each step's newest successful-or-last attempt, or of one
 * attempt. Errors: NOT_FOUND (BUILD_NOT_FOUND); INVALID_ARGUMENT for a malformed glob.
 */
export async function listArtifacts(
  sql: Sql,
  orgId: string,
  request: ListArtifactsRequest,
  page: { size: number; after: ArtifactPosition | undefined },
): Promise<{ rows: ArtifactRow[]; next: ArtifactPosition | undefined }> {
  const matches = compileGlobs(request.paths);
  const build = await resolveBuild(sql, orgId, request.build, "build");
  const rows: ArtifactRow[] = [];
  for (let after = page.after; ; ) {
    const scanned = await scan(sql, build.id, request, after);
    for (const row of scanned) {
      if (!matches(row.path)) continue;
      if (rows.length === page.size) return { rows, next: positionOf(rows) };
      rows.push(row);
    }
    if (scanned.length < SCAN_ROWS) return { rows, next: undefined };
    after = positionOf(scanned);
  }
}

/** As the contract tells it. */
export function artifactsMessage(
  rows: ArtifactRow[],
  nextPageToken: string,
): MessageInitShape<typeof ListArtifactsResponseSchema> {
  return { artifacts: rows.map(artifactMessage), nextPageToken };
}

function positionOf(rows: ArtifactRow[]): ArtifactPosition | undefined {
  const last = rows.at(-1);
  return last && [last.path, last.id];
}

async function scan(sql: Sql, buildId: string, request: ListArtifactsRequest, after: ArtifactPosition | undefined) {
  const chosen = request.attemptId
    ? sql`f.attempt_id = ${request.attemptId}`
    : sql`f.attempt_id IN (
        SELECT DISTINCT ON (step_id) id FROM attempts WHERE build_id = ${buildId}
        ORDER BY step_id, state = 'success' DESC, number DESC)`;
  return sql<ArtifactRow[]>`
    SELECT ${artifactColumns(sql)} FROM artifacts f JOIN steps s ON s.id = f.step_id
    WHERE f.build_id = ${buildId} AND f.stored_at IS NOT NULL AND ${chosen}
      ${request.step ? sql`AND s.key = ${request.step}` : sql``}
      ${after ? sql`AND (f.path, f.id) > (${after[0]}, ${after[1]})` : sql``}
    ORDER BY f.path, f.id LIMIT ${SCAN_ROWS}`;
}

/** Globs as git ignores write them: the last one that matches a path decides, `!` leaves out. */
function compileGlobs(globs: string[]): (path: string) => boolean {
  if (globs.length === 0) return () => true;
  if (globs.length > MAX_GLOBS) throw badField("paths", `are more than ${MAX_GLOBS}`);
  for (const [i, glob] of globs.entries()) {
    const fault = faultOfGlob(glob);
    if (fault) throw badField(`paths[${i}]`, fault, "GLOB_INVALID");
  }
  const filter = ignore().add(globs);
  return (path) => filter.ignores(path);
}

function faultOfGlob(glob: string): string | undefined {
  if (glob.trim() === "") return "is empty";
  if (glob.length > MAX_GLOB_LENGTH) return `is over ${MAX_GLOB_LENGTH} characters`;
  if (/[\r\n\0]/.test(glob)) return "has a line end or NUL in it";
  if (/(^|[^\\])\[[^\]]*$/.test(glob)) return "opens a `[` that it does not close";
  if (/(^|[^\\])(\\\\)*\\$/.test(glob)) return "ends with a lone backslash";
  return undefined;
}
