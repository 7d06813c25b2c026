import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { LineTime } from "@ritmo/contract/ritmo/log/v1/log_pb.js";

/** Bytes of a log, where they lie in it, and when they were read. */
export interface LogPiece {
  data: Uint8Array;
  offset: bigint;
  times: LineTime[];
}

/** Tells when the byte at an offset was read, for pieces and offsets that come in their order. */
export class LineClock {
  #now: LineTime | undefined;
  #next: LineTime[] = [];

  take(times: LineTime[]): void {
    const last = (this.#next.at(-1) ?? this.#now)?.offset ?? -1n;
    // The time that holds at a piece's beginning is told again with it.
    this.#next.push(...times.filter((time) => time.offset > last));
  }

  /** In ISO 8601 with milliseconds, UTC; undefined where the log does not tell. */
  at(offset: bigint): string | undefined {
    const after = this.#next.findIndex((time) => time.offset > offset);
    const passed = this.#next.splice(0, after === -1 ? this.#next.length : after);
    this.#now = passed.at(-1) ?? this.#now;
    return this.#now?.at && timestampDate(this.#now.at).toISOString();
  }
}
