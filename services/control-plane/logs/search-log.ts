import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  SearchHitSchema,
  SearchLogRequest,
  SearchLogResponseSchema,
} from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import { badField, Refusal } from "../../process/refusal.ts";
import { countLineEnds } from "./count-lines.ts";
import type { SearchPattern } from "./line-matcher.ts";
import type { Hit, SearchStart } from "./line-searcher.ts";
import { bytesOf, findLine, type LogPiece, type LogSource } from "./log-source.ts";
import { pastEnd } from "./read-log.ts";
import type { Fed, OpenSearch, SearchPool } from "./search-pool.ts";

type Message = MessageInitShape<typeof SearchLogResponseSchema>;

const MAX_PATTERN_LENGTH = 1_000;
const MAX_HITS = 10_000;
const USUAL_HITS = 1_000;
const PROGRESS_MS = 250;
const PROGRESS_BYTES = 8 * 1024 * 1024;
const LIMIT_MS = 30_000;

/**
 * Searches a log as far as it had come, line by line, and yields hits and progress. Errors: INVALID_ARGUMENT
 * (PATTERN_INVALID); OUT_OF_RANGE for a start past the end; RESOURCE_EXHAUSTED (SEARCH_TOO_LONG, with
 * `searched_bytes`) after 30 s.
 */
export async function* searchLog(
  pool: SearchPool,
  source: LogSource,
  request: SearchLogRequest,
  { signal, limitMs = LIMIT_MS }: { signal: AbortSignal; limitMs?: number },
): AsyncGenerator<Message> {
  const deadline = performance.now() + limitMs;
  const pattern = patternOf(request);
  const start = await startOf(source, request);
  const search = await pool.open(pattern, start);
  let searched = start.offset;
  const message = (hits: Hit[], end = false): Message => ({
    hits: hits.map(hitMessage),
    searchedBytes: BigInt(searched),
    totalBytes: BigInt(source.bytes),
    end,
  });
  try {
    let told = { at: performance.now(), bytes: searched };
    for await (const fed of feedAll(search, source, start.offset)) {
      if (signal.aborted) return;
      if (fed) searched = fed.searched;
      const quiet = performance.now() - told.at < PROGRESS_MS && searched - told.bytes < PROGRESS_BYTES;
      if (fed?.hits.length || !quiet) {
        yield message(fed?.hits ?? []);
        told = { at: performance.now(), bytes: searched };
      }
      if (fed?.full) break;
      if (performance.now() > deadline) throw tooLong(searched, limitMs);
    }
    yield message([], true);
  } finally {
    search.close();
  }
}

/** Feeds the log piece by piece, reading the next one meanwhile; yields undefined when nothing came for a while. */
async function* feedAll(search: OpenSearch, source: LogSource, from: number): AsyncGenerator<Fed | undefined> {
  const reading = source.pieces(from)[Symbol.asyncIterator]();
  try {
    let next = reading.next();
    for (;;) {
      const read = yield* beating(next);
      if (read.done) return;
      const piece: LogPiece = read.value;
      next = reading.next();
      // Its failure is met when its turn comes.
      next.catch(() => {});
      if (piece.rawLength === 0) continue;
      const last = piece.start + piece.rawLength >= source.bytes;
      const fed = yield* beating(search.feed(piece, Math.max(from - piece.start, 0), last));
      yield fed;
      if (last || fed.full) return;
    }
  } finally {
    // Not awaited: a read that hangs must not hold the answer.
    void reading.return?.(undefined)?.catch(() => {});
  }
}

async function* beating<T>(work: Promise<T>): AsyncGenerator<undefined, T> {
  for (;;) {
    let timer: NodeJS.Timeout | undefined;
    const beat = new Promise<"beat">((resolve) => (timer = setTimeout(resolve, PROGRESS_MS, "beat")));
    const came = await Promise.race([work.then((value) => ({ value })), beat]);
    clearTimeout(timer);
    if (came !== "beat") return came.value;
    yield undefined;
  }
}

function patternOf(request: SearchLogRequest): SearchPattern {
  const { case: kind, value } = request.pattern;
  if (kind === undefined || value === "") throw badField("text", "or a regex says what to look for");
  if (value.length > MAX_PATTERN_LENGTH) {
    throw badField(kind, `is over ${MAX_PATTERN_LENGTH} characters`, "PATTERN_INVALID");
  }
  if (kind === "text" && value.includes("\n")) throw badField(kind, "has a line end in it", "PATTERN_INVALID");
  return { kind, pattern: value, ignoreCase: request.ignoreCase };
}

async function startOf(source: LogSource, request: SearchLogRequest): Promise<SearchStart> {
  const { maxHits } = request;
  if (maxHits > MAX_HITS) throw badField("max_hits", `is over ${MAX_HITS}`);
  const offset = Number(request.fromOffset);
  if (offset > source.bytes) throw pastEnd(source.bytes, "bytes");
  const line = await lineOf(source, offset);
  return { offset, line, lineStart: await findLine(source, line), maxHits: maxHits || USUAL_HITS };
}

async function lineOf(source: LogSource, offset: number): Promise<number> {
  if (offset === 0) return 1;
  for await (const piece of source.pieces(offset)) {
    if (piece.rawLength === 0) continue;
    return piece.linesBefore + countLineEnds(await bytesOf(piece), 0, offset - piece.start) + 1;
  }
  return source.lineEnds + 1;
}

function hitMessage(hit: Hit): MessageInitShape<typeof SearchHitSchema> {
  return { ...hit, line: BigInt(hit.line), offset: BigInt(hit.offset) };
}

function tooLong(searched: number, limitMs: number): Refusal {
  return new Refusal("resource_exhausted", "SEARCH_TOO_LONG", `the search took over ${limitMs / 1000} s`, {
    metadata: { searched_bytes: String(searched) },
  });
}
