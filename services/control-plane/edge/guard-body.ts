import { type DescMessage, fromBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import { strictGzip } from "./gzip.ts";
import { messageTooLarge } from "./message-limits.ts";
import { untilAborted } from "./until-aborted.ts";

export interface BodyLimits {
  /** The largest message, before and after decompression. */
  maxBytes: number;
  /** Messages in envelopes of five bytes and a length (gRPC, gRPC-Web, Connect's streams), or one bare message. */
  enveloped: boolean;
  /** Whether the request says that its message is in gzip, or that those of its envelopes are that say so. */
  gzip: boolean;
  /** What the request declares of a bare message's length; 0 where it declares nothing. */
  declaredBytes: number;
  /** Throws a ConnectError for bytes that are no message of the method's. */
  check?: (bytes: Uint8Array) => void;
  /** How long the whole body may take to arrive, from when it is first read. */
  arriveWithinMs: number;
}

const HEAD_BYTES = 5;
const COMPRESSED_FLAG = 1;

/**
 * A request's body in whole messages, inflated and readable, each one piece. connect-es adds up all pieces it holds at every new one, which
 * is quadratic when a message comes in one-byte frames; and it allocates what an envelope declares. Here a declared
 * length is refused before anything is allocated for it, and copying is linear. And what can't be read, connect-es
 * answers as an internal error; here it is the caller's.
 */
export async function* guardBody(body: AsyncIterable<Uint8Array>, limits: BodyLimits): AsyncGenerator<Uint8Array> {
  const pieces = inTime(body, limits.arriveWithinMs);
  yield* limits.enveloped ? envelopes(pieces, limits) : bareMessage(pieces, limits);
}

async function* envelopes(pieces: AsyncIterable<Uint8Array>, limits: BodyLimits): AsyncGenerator<Uint8Array> {
  let target: Buffer = Buffer.alloc(HEAD_BYTES);
  let filled = 0;
  let headRead = false;
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length; ) {
      const count = Math.min(target.length - filled, piece.length - at);
      target.set(piece.subarray(at, at + count), filled);
      filled += count;
      at += count;
      if (filled < target.length) continue;
      if (!headRead) {
        target = roomFor(target, limits);
        headRead = true;
      }
      if (filled < target.length) continue;
      yield await inflated(target, limits);
      target = Buffer.alloc(HEAD_BYTES);
      filled = 0;
      headRead = false;
    }
  }
  // What was begun and not ended: the decoder says so.
  if (filled > 0) yield target.subarray(0, filled);
}

function roomFor(head: Buffer, limits: BodyLimits): Buffer {
  const flags = head[0] ?? 0;
  if (flags > COMPRESSED_FLAG) throw new ConnectError("an envelope has unknown flags", Code.InvalidArgument);
  if (flags === COMPRESSED_FLAG && !limits.gzip) {
    throw new ConnectError("a message is compressed, and the request names no encoding", Code.InvalidArgument);
  }
  const length = head.readUInt32BE(1);
  if (length > limits.maxBytes) throw messageTooLarge(limits.maxBytes);
  const room = Buffer.alloc(HEAD_BYTES + length);
  head.copy(room);
  return room;
}

async function* bareMessage(pieces: AsyncIterable<Uint8Array>, limits: BodyLimits): AsyncGenerator<Uint8Array> {
  if (limits.declaredBytes > limits.maxBytes) throw messageTooLarge(limits.maxBytes);
  let room = Buffer.alloc(0);
  let filled = 0;
  for await (const piece of pieces) {
    if (filled + piece.length > limits.maxBytes) throw messageTooLarge(limits.maxBytes);
    if (filled + piece.length > room.length) {
      const larger = Buffer.alloc(Math.min(limits.maxBytes, Math.max(1024, 2 * (filled + piece.length))));
      room.copy(larger, 0, 0, filled);
      room = larger;
    }
    room.set(piece, filled);
    filled += piece.length;
  }
  const bytes = room.subarray(0, filled);
  const message = limits.gzip ? await strictGzip.decompress(bytes, limits.maxBytes) : bytes;
  limits.check?.(message);
  yield message;
}

/** An envelope whose message is not compressed, whatever it was, and can be read. */
async function inflated(envelope: Buffer, limits: BodyLimits): Promise<Uint8Array> {
  const bytes = envelope.subarray(HEAD_BYTES);
  if (envelope[0] !== COMPRESSED_FLAG) {
    limits.check?.(bytes);
    return envelope;
  }
  const message = await strictGzip.decompress(bytes, limits.maxBytes);
  limits.check?.(message);
  return encodeEnvelope(0, message);
}

/** Throws an invalid_argument unless the bytes are a message of the type, in protobuf's binary form. */
export function assertReadable(type: DescMessage, bytes: Uint8Array): void {
  try {
    fromBinary(type, bytes);
  } catch {
    throw new ConnectError(`the request is no ${type.typeName}`, Code.InvalidArgument);
  }
}

/** The pieces; refuses when they are not all there in time, however steadily they come. */
async function* inTime(body: AsyncIterable<Uint8Array>, withinMs: number): AsyncGenerator<Uint8Array> {
  const late = new AbortController();
  const timer = setTimeout(
    () => late.abort(new ConnectError("the request did not arrive in time", Code.DeadlineExceeded)),
    withinMs,
  );
  const iterator = body[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await untilAborted(iterator.next(), late.signal);
      if (next.done) return;
      yield next.value;
    }
  } finally {
    clearTimeout(timer);
  }
}
