import type { MessageInitShape } from "@bufbuild/protobuf";
import type { FollowLogResponseSchema } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import { Refusal } from "../../process/refusal.ts";
import type { BlobStore } from "../store/blobs.ts";
import type { Hints } from "../store/hints.ts";
import type { Db } from "../store/open-database.ts";
import { findLog } from "./find-log.ts";
import { openLog } from "./open-log.ts";
import { pastEnd, sliceOf } from "./read-log.ts";
import type { LogKind } from "./verify-chunk.ts";

export interface FollowDeps {
  db: Pick<Db, "sql">;
  hints: Pick<Hints, "wait">;
  blobs: BlobStore;
  /** This replica stops: the stream ends as `unavailable`, and goes on elsewhere. */
  stopping: AbortSignal;
}

type Message = MessageInitShape<typeof FollowLogResponseSchema>;

const POLL_MS = 1_000;
const BEAT_MS = 10_000;
// How long a reader may leave one message unread.
const SLOW_READER_MS = 60_000;
const MAX_MESSAGE_BYTES = 256 * 1024;

/**
 * Yields a log from an offset on and then live, until the attempt is over and everything was delivered. An empty
 * message is a beat. Holds one piece at a time, however slowly it is read. Errors: OUT_OF_RANGE for an offset past
 * the end of a log that is over; RESOURCE_EXHAUSTED (SLOW_READER); UNAVAILABLE (STOPPING).
 */
export async function* followLog(
  deps: FollowDeps,
  { attemptId, kind, offset }: { attemptId: string; kind: LogKind; offset: number },
  signal: AbortSignal,
): AsyncGenerator<Message> {
  const ending = AbortSignal.any([signal, deps.stopping]);
  let at = offset;
  let told = Date.now();
  while (!ending.aborted) {
    // Listening begins before reading, so that nothing falls in between.
    const woken = deps.hints.wait("log", attemptId, POLL_MS, ending);
    const facts = await findLog(deps.db.sql, attemptId, kind);
    if (facts.over && at > facts.bytes) throw pastEnd(facts.bytes, "bytes");
    if (facts.bytes > at) {
      for await (const message of readFrom(deps, facts, at)) {
        if (ending.aborted) break;
        yield* timed(message);
        at += message.data.length;
        told = Date.now();
      }
      // More may have come while that was read.
      continue;
    }
    if (facts.over) return yield { offset: BigInt(at), firstLine: BigInt(facts.lineEnds + 1), end: true };
    await woken;
    if (Date.now() - told >= BEAT_MS) {
      yield* timed({ offset: BigInt(at) });
      told = Date.now();
    }
  }
  if (deps.stopping.aborted && !signal.aborted) {
    throw new Refusal("unavailable", "STOPPING", "this replica stops; follow again from where you are");
  }
}

async function* readFrom(deps: FollowDeps, facts: Awaited<ReturnType<typeof findLog>>, from: number) {
  const source = await openLog(deps, facts);
  for await (const piece of source.pieces(from)) {
    for (let at = Math.max(from, piece.start); at < piece.start + piece.rawLength; at += MAX_MESSAGE_BYTES) {
      const slice = await sliceOf(piece, at, at + MAX_MESSAGE_BYTES);
      if (!slice) continue;
      const { data, offset, firstLine, times } = slice;
      yield { data, offset: BigInt(offset), firstLine: BigInt(firstLine), times };
    }
  }
}

async function* timed(message: Message): AsyncGenerator<Message> {
  const before = Date.now();
  yield message;
  if (Date.now() - before > SLOW_READER_MS) {
    throw new Refusal(
      "resource_exhausted",
      "SLOW_READER",
      "messages were left unread; follow again from where you are",
    );
  }
}
