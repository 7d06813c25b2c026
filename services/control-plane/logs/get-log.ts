import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { LogGroupSchema, LogSchema } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import type { BlobStore } from "../store/blobs.ts";
import type { Db } from "../store/open-database.ts";
import { readArchiveIndex } from "./archived-log.ts";
import { collectGroups } from "./collect-groups.ts";
import type { LogFacts } from "./find-log.ts";
import { hotLog } from "./hot-log.ts";
import type { ArchivedGroup, ArchiveIndex } from "./log-archive.ts";
import { bytesOf, type LogSource } from "./log-source.ts";

/** Tells a log's size and state. Errors: DATA_LOSS (ARCHIVE_DAMAGED) when an archive is not there. */
export async function getLog(
  { db, blobs }: { db: Pick<Db, "sql">; blobs: BlobStore },
  facts: LogFacts,
  name: string,
): Promise<MessageInitShape<typeof LogSchema>> {
  const beside = facts.archived ? await readArchiveIndex(blobs, facts) : await lookBeside(hotLog(db.sql, facts));
  return {
    attemptId: facts.attemptId,
    name,
    kind: facts.kind,
    bytes: BigInt(facts.bytes),
    lines: BigInt(facts.lineEnds + (beside.openLine ? 1 : 0)),
    over: facts.over,
    incomplete: facts.incomplete,
    droppedBytes: BigInt(facts.droppedBytes),
    sha256: beside.sha256 || digestSaid(facts),
    groups: beside.groups.map(groupMessage),
  };
}

async function lookBeside(source: LogSource): Promise<Pick<ArchiveIndex, "openLine" | "groups" | "sha256">> {
  return { openLine: await endsInLine(source), groups: await collectGroups(source), sha256: "" };
}

/** True when the log's last byte is no line end. */
async function endsInLine(source: LogSource): Promise<boolean> {
  if (source.bytes === 0) return false;
  for await (const piece of source.pieces(source.bytes - 1)) {
    if (piece.rawLength > 0) return (await bytesOf(piece)).at(source.bytes - 1 - piece.start) !== 10;
  }
  return false;
}

// Until the archive has counted for itself, what the worker counted; of bytes that all arrived.
function digestSaid({ over, incomplete, sha256 }: LogFacts): string {
  return over && !incomplete && sha256 ? sha256.toString("hex") : "";
}

function groupMessage(group: ArchivedGroup): MessageInitShape<typeof LogGroupSchema> {
  const { startedAtMs, endedAtMs } = group;
  return {
    name: group.name,
    entry: group.entry,
    startOffset: BigInt(group.startOffset),
    startLine: BigInt(group.startLine),
    endOffset: BigInt(group.endOffset),
    ...(startedAtMs === null ? {} : { startedAt: timestampFromMs(startedAtMs) }),
    ...(endedAtMs === null ? {} : { endedAt: timestampFromMs(endedAtMs) }),
  };
}
