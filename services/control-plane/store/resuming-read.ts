import { Readable } from "node:stream";
import { isPassing, keepTrying, STORE_TRIES } from "./keep-trying.ts";

export interface OpenedRead {
  body: Readable;
  /** How many bytes the store says it will give. */
  length: number;
  etag: string | undefined;
}

/** Opens the object from an offset on, `length` bytes of it or all that is left. */
type Open = (offset: number, length: number | undefined) => Promise<OpenedRead>;

/**
 * Reads an object or a range of it as one stream that outlives broken connections: it goes on where it stopped, as
 * long as each try gives something, and never over to another object of the same key. Rejects where nothing can be
 * opened at all; what ends early is an error of the stream (code TRUNCATED), never an end.
 */
export async function resumingRead(open: Open, offset: number, length: number | undefined): Promise<Readable> {
  const first = await keepTrying(() => open(offset, length));
  return Readable.from(readOn(open, first, offset, length), { objectMode: false });
}

async function* readOn(open: Open, first: OpenedRead, offset: number, length: number | undefined) {
  const end = offset + (length ?? first.length);
  let current = first;
  let at = offset;
  for (let fruitless = 0; ; ) {
    const before = at;
    try {
      for await (const bytes of current.body) {
        at += (bytes as Buffer).length;
        if (at > end) throw truncated(`gave more than the ${end - offset} bytes it had`);
        yield bytes as Buffer;
      }
      if (at < end) throw truncated(`gave ${at - offset} of ${end - offset} bytes`);
      return;
    } catch (reason) {
      fruitless = at > before ? 0 : fruitless + 1;
      if (fruitless >= STORE_TRIES || at >= end || !isPassing(reason)) throw reason;
    } finally {
      current.body.destroy();
    }
    const next = await keepTrying(() => open(at, end - at));
    if (next.etag !== first.etag) {
      next.body.destroy();
      throw truncated("has another object there than when the reading began");
    }
    current = next;
  }
}

function truncated(what: string): Error {
  return Object.assign(new Error(`the object store ${what}`), { code: "TRUNCATED" });
}
