import { afterLineEnd } from "./count-lines.ts";
import { unpackChunk } from "./unpack-chunk.ts";

/** A stretch of a log as it is kept, packed. Pieces lie end to end; one of length 0 has marks only. */
export interface LogPiece {
  start: number;
  rawLength: number;
  lines: number;
  linesBefore: number;
  codec: number;
  data: Buffer;
  marks: Uint8Array;
}

export type MarkedPiece = Omit<LogPiece, "codec" | "data">;

/** One way to read a log, wherever it is kept: hot in the database, or archived. */
export interface LogSource {
  /** Where it ended when it was opened. */
  readonly bytes: number;
  readonly lineEnds: number;
  /** Pieces in their order, the first one the one that holds the offset, as far as the log had come when opened. */
  pieces(from: number): AsyncIterable<LogPiece>;
  /** Where the piece starts that holds the n-th line end, from 1. */
  pieceOfLineEnd(n: number): Promise<number>;
  /** Pieces that have marks, without their bytes. */
  marked(): AsyncIterable<MarkedPiece>;
}

/** The raw bytes of a piece. */
export async function bytesOf(piece: LogPiece): Promise<Buffer> {
  return unpackChunk(piece.codec, piece.data, piece.rawLength);
}

/** Where a line starts, from 1; the end of the log for the line after the last. */
export async function findLine(source: LogSource, line: number): Promise<number> {
  if (line <= 1) return 0;
  if (line > source.lineEnds + 1) return source.bytes;
  for await (const piece of source.pieces(await source.pieceOfLineEnd(line - 1))) {
    return piece.start + afterLineEnd(await bytesOf(piece), line - 1 - piece.linesBefore);
  }
  return source.bytes;
}
