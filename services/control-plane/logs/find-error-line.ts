import type { BlobStore } from "../store/blobs.ts";
import type { Db } from "../store/open-database.ts";
import { collectGroups } from "./collect-groups.ts";
import { extractErrorLine } from "./extract-error-line.ts";
import { findLog } from "./find-log.ts";
import { openLog } from "./open-log.ts";
import { readLog } from "./read-log.ts";

// Of a long log its last part is looked at: what went wrong ended it.
const LOOKED_AT_BYTES = 512 * 1024;

/**
 * Looks in the log of an attempt for the line that says what went wrong, and keeps it with the attempt: in the last
 * group, or in the preparation where the step wrote nothing. Answers the line, empty when there is none.
 */
export async function findErrorLine(
  deps: { db: Pick<Db, "sql">; blobs: BlobStore },
  attemptId: string,
): Promise<string> {
  for (const kind of [1, 2] as const) {
    const facts = await findLog(deps.db.sql, attemptId, kind);
    if (facts.bytes === 0) continue;
    const source = await openLog(deps, facts);
    const group = (await collectGroups(source)).findLast((one) => one.startOffset < facts.bytes);
    const from = Math.max(group?.startOffset ?? 0, facts.bytes - LOOKED_AT_BYTES);
    const range = { case: "bytes", value: { offset: BigInt(from), length: BigInt(LOOKED_AT_BYTES) } } as never;
    const { data } = await readLog(source, range, facts.over);
    const line = extractErrorLine(Buffer.from(data ?? []).toString());
    if (line === "") continue;
    await deps.db.sql`UPDATE attempts SET error_line = ${line} WHERE id = ${attemptId} AND error_line = ''`;
    return line;
  }
  return "";
}
