import { createHash } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { SearchLogRequestSchema } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ByteFixture, byteFixture } from "../../testing/byte-fixture.ts";
import { chunkOf, endAttempt, plantRunning } from "../../testing/plant-log.ts";
import { appendStream } from "./append-stream.ts";
import { archiveAttempt } from "./archive-log.ts";
import { findErrorLine } from "./find-error-line.ts";
import { findLog } from "./find-log.ts";
import { bytesOf } from "./log-source.ts";
import { openLog } from "./open-log.ts";
import { readLog } from "./read-log.ts";
import { searchLog } from "./search-log.ts";
import { searchPool } from "./search-pool.ts";

const CHUNK_BYTES = 512 * 1024;

let core: ByteFixture;
beforeAll(async () => {
  core = await byteFixture();
});
afterAll(() => core[Symbol.asyncDispose]());

/** Ships a log as a worker does, chunk behind chunk on one stream, and ends the attempt. */
async function ship(text: Buffer) {
  const at = await plantRunning(core.db);
  const requests = (async function* () {
    for (let from = 0; from < text.length; from += CHUNK_BYTES) {
      yield chunkOf(at.leaseId, from, text.subarray(from, from + CHUNK_BYTES));
    }
  })();
  let durable = 0n;
  for await (const ack of appendStream(core, at.workerId, requests)) durable = ack.durableOffset as bigint;
  expect(durable).toBe(BigInt(text.length));
  await endAttempt(core.db, at.attemptId, "failure");
  return at.attemptId;
}

async function digestOf(attemptId: string): Promise<string> {
  const hash = createHash("sha256");
  const source = await openLog(core, await findLog(core.db.sql, attemptId, 1));
  for await (const piece of source.pieces(0)) hash.update(await bytesOf(piece));
  return hash.digest("hex");
}

async function find(attemptId: string, value: string) {
  const source = await openLog(core, await findLog(core.db.sql, attemptId, 1));
  const request = create(SearchLogRequestSchema, { pattern: { case: "text", value } });
  const signal = new AbortController().signal;
  return (await Array.fromAsync(searchLog(searchPool(), source, request, { signal }))).flatMap((m) => m.hits ?? []);
}

test("one line of 100 MiB comes back byte for byte, hot and archived, and is searched", async () => {
  const line = Buffer.alloc(100 * 1024 * 1024, "all work and no play ");
  line.write("needle", 77_777_777);
  const wanted = createHash("sha256").update(line).digest("hex");
  const id = await ship(line);
  expect(await digestOf(id)).toBe(wanted);
  expect(await archiveAttempt(core, id)).toBe(true);
  expect(await digestOf(id)).toBe(wanted);
  expect(await find(id, "needle")).toMatchObject([{ line: 1n, offset: 0n }]);
});

test("a million lines come back byte for byte, and any of them is found by its number", async () => {
  const lines = Array.from({ length: 1_000_000 }, (_, i) => `line ${i + 1}`);
  lines[999_000] = "error: line 999001 is wrong";
  const text = Buffer.from(`${lines.join("\n")}\n`);
  const id = await ship(text);
  const look = async () => {
    const facts = await findLog(core.db.sql, id, 1);
    const source = await openLog(core, facts);
    for (const first of [1, 2, 499_999, 1_000_000]) {
      const range = { case: "lines", value: { first: BigInt(first), count: 1n } } as never;
      const { data, firstLine } = await readLog(source, range, facts.over);
      expect([Buffer.from(data as Uint8Array).toString(), firstLine]).toEqual([`line ${first}\n`, BigInt(first)]);
    }
    expect(await find(id, "is wrong")).toMatchObject([{ line: 999_001n }]);
  };
  await look();
  await archiveAttempt(core, id);
  await look();
  expect(await digestOf(id)).toBe(createHash("sha256").update(text).digest("hex"));
  expect(await findErrorLine(core, id)).toBe("error: line 999001 is wrong");
  const [row] = await core.db.sql`SELECT error_line FROM attempts WHERE id = ${id}`;
  expect(row?.["error_line"]).toBe("error: line 999001 is wrong");
});
