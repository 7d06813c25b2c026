import type { LogRecord } from "./record.ts";
import type { Place, Spool } from "./spool.ts";

/** Reads a spool from front to back in chunks of whole records. */
export interface ChunkReader {
  /** The next records: at most so many raw bytes of them, and at least one record unless the end is reached. */
  next(maxRawBytes: number): Promise<LogRecord[]>;
  /** Goes on from an offset. Throws when the spool no longer has what lies there. */
  seek(offset: number): Promise<void>;
  /** The offset that the next chunk begins at. */
  readonly offset: number;
  /** Whether there is a next chunk now. */
  hasMore(): boolean;
}

// Bounds the marks of one message: a million empty groups must not make it larger than messages may be.
const MAX_RECORDS = 1000;

type BytesRecord = LogRecord & { kind: "bytes" };

/** The spool has let go of what is asked for. */
export class SpoolGone extends Error {
  override readonly name = "SpoolGone";
}

/** A reader at the front of the spool. */
export function chunkReader(spool: Spool): ChunkReader {
  let place: Place = { ...spool.start };
  // What is left of a record that was cut.
  let rest: BytesRecord | undefined;
  const cut = (record: BytesRecord, at: number) => {
    rest = { ...record, offset: record.offset + at, bytes: record.bytes.subarray(at) };
    return { ...record, bytes: record.bytes.subarray(0, at) };
  };
  return {
    get offset() {
      return rest?.offset ?? place.offset;
    },
    hasMore: () => rest !== undefined || spool.hasMore(place),
    async next(maxRawBytes) {
      if (rest) {
        const { bytes } = rest;
        if (bytes.length > maxRawBytes) return [cut(rest, maxRawBytes)];
        const last = rest;
        rest = undefined;
        return [last];
      }
      const taken: LogRecord[] = [];
      let size = 0;
      const { records, places } = await spool.read(place, maxRawBytes + 64 * 1024);
      for (const [index, record] of records.entries()) {
        const length = record.kind === "bytes" ? record.bytes.length : 0;
        if (taken.length >= MAX_RECORDS || (taken.length > 0 && size + length > maxRawBytes)) break;
        place = places[index] as Place;
        if (record.kind === "bytes" && length > maxRawBytes) return [cut(record, maxRawBytes)];
        taken.push(record);
        size += length;
      }
      return taken;
    },
    async seek(offset) {
      if (offset < spool.start.offset) throw new SpoolGone(`log bytes below ${spool.start.offset} are gone`);
      rest = undefined;
      place = { ...spool.start };
      while (place.offset < offset) {
        const { records, places } = await spool.read(place, 1024 * 1024);
        if (records.length === 0) throw new SpoolGone(`the log ends at ${place.offset}, before ${offset}`);
        for (const [index, record] of records.entries()) {
          place = places[index] as Place;
          if (place.offset < offset || record.kind !== "bytes") continue;
          if (place.offset > offset) cut(record, offset - record.offset);
          return;
        }
      }
    },
  };
}
