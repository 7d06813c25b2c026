import { zstdCompressSync } from "node:zlib";
import { create } from "@bufbuild/protobuf";
import { type AppendLogRequest, AppendLogRequestSchema } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Refusal } from "../../process/refusal.ts";
import { type ByteFixture, byteFixture } from "../../testing/byte-fixture.ts";
import { chunkOf, endAttempt, markOf, plantRunning, writeLog } from "../../testing/plant-log.ts";
import { appendStream } from "./append-stream.ts";
import { findLog } from "./find-log.ts";
import { hotLog } from "./hot-log.ts";
import { bytesOf } from "./log-source.ts";

let core: ByteFixture;
beforeAll(async () => {
  core = await byteFixture();
});
afterAll(() => core[Symbol.asyncDispose]());

/** Sends requests on one stream; answers the acknowledgements, and the refusal that ended it. */
async function send(workerId: string, requests: AppendLogRequest[]) {
  const acks: number[] = [];
  try {
    for await (const ack of appendStream(
      core,
      workerId,
      (async function* () {
        yield* requests;
      })(),
    )) {
      acks.push(Number(ack.durableOffset));
    }
  } catch (reason) {
    if (!(reason instanceof Refusal)) throw reason;
    return { acks, refused: [reason.code, reason.reason], metadata: reason.details.metadata };
  }
  return { acks, refused: undefined, metadata: undefined };
}

async function logOf(attemptId: string, kind: 1 | 2 = 1): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const piece of hotLog(core.db.sql, await findLog(core.db.sql, attemptId, kind)).pieces(0)) {
    parts.push(await bytesOf(piece));
  }
  return Buffer.concat(parts);
}

test("chunks of several logs on one stream are kept in their order and acknowledged up to their ends", async () => {
  const one = await plantRunning(core.db);
  const two = await plantRunning(core.db);
  // The streams of a worker carry its own leases only.
  await core.db.sql`UPDATE attempts SET worker_id = ${one.workerId} WHERE id = ${two.attemptId}`;
  const lines = Array.from({ length: 200 }, (_, i) => `line ${i}\n`);
  const requests: AppendLogRequest[] = [];
  let at = 0;
  for (const line of lines) {
    requests.push(chunkOf(one.leaseId, at, line, { raw: at % 2 === 0 }), chunkOf(two.leaseId, at, line, { kind: 2 }));
    at += line.length;
  }
  const { acks, refused } = await send(one.workerId, requests);
  expect(refused).toBeUndefined();
  expect(acks.filter((ack) => ack === at)).toHaveLength(2);
  expect((await logOf(one.attemptId)).toString()).toBe(lines.join(""));
  expect((await logOf(two.attemptId, 2)).toString()).toBe(lines.join(""));
  expect(await findLog(core.db.sql, one.attemptId, 1)).toMatchObject({ bytes: at, lineEnds: 200, over: false });
  expect(await findLog(core.db.sql, one.attemptId, 2)).toMatchObject({ bytes: 0, lineEnds: 0 });
});

test("what was sent before is acknowledged again, in other chunks too; other bytes are refused and the first stand", async () => {
  const at = await plantRunning(core.db);
  const chunk = (offset: number, text: string) => chunkOf(at.leaseId, offset, text);
  expect((await send(at.workerId, [chunk(0, "hello\n"), chunk(6, "world\n")])).acks.at(-1)).toBe(12);
  expect(await send(at.workerId, [chunk(0, "hello\n")])).toMatchObject({ acks: [12], refused: undefined });
  expect(await send(at.workerId, [chunk(2, "llo\nwor")])).toMatchObject({ acks: [12], refused: undefined });
  // An overlap: what is new of it is kept.
  expect(await send(at.workerId, [chunk(8, "rld\nand more\n")])).toMatchObject({ acks: [21], refused: undefined });
  for (const other of [chunk(0, "HELLO\n"), chunk(4, "o\nWorld\n"), chunk(19, "X\nnew\n")]) {
    expect((await send(at.workerId, [other])).refused).toEqual(["data_loss", "LOG_CONFLICT"]);
  }
  expect((await logOf(at.attemptId)).toString()).toBe("hello\nworld\nand more\n");
  expect(await findLog(core.db.sql, at.attemptId, 1)).toMatchObject({ bytes: 21, lineEnds: 3 });
});

test("a gap is told where to go on, after what came before it was kept", async () => {
  const at = await plantRunning(core.db);
  const answer = await send(at.workerId, [chunkOf(at.leaseId, 0, "abc"), chunkOf(at.leaseId, 5, "fgh")]);
  expect(answer.refused).toEqual(["out_of_range", "LOG_GAP"]);
  expect(answer.metadata).toMatchObject({ expected_offset: "3", lease_id: at.leaseId, kind: "1" });
  expect((await send(at.workerId, [chunkOf(at.leaseId, 3, "defgh")])).acks).toEqual([8]);
});

test("a chunk that is not what it says is refused: checksum, length, lines, packing", async () => {
  const at = await plantRunning(core.db);
  const good = chunkOf(at.leaseId, 0, "one\ntwo\n");
  const changed = (more: Partial<AppendLogRequest>) => create(AppendLogRequestSchema, { ...good, ...more });
  const bomb = zstdCompressSync(Buffer.alloc(64 * 1024 * 1024));
  for (const bad of [
    changed({ crc32c: good.crc32c ^ 1 }),
    changed({ rawLength: 7 }),
    changed({ rawLength: 9 }),
    changed({ lines: 3 }),
    changed({ data: Buffer.from("no zstd at all") }),
    changed({ codec: 1 }),
    changed({ data: bomb }),
    changed({ data: good.data.subarray(0, -3) }),
  ]) {
    expect((await send(at.workerId, [bad])).refused).toEqual(["data_loss", "LOG_CORRUPT"]);
  }
  expect((await send(at.workerId, [changed({ rawLength: 2 ** 31 })])).refused?.[1]).toBe("CHUNK_TOO_LARGE");
  expect((await send(at.workerId, [changed({ offset: 2n ** 63n })])).refused?.[1]).toBe("LOG_TOO_LARGE");
  expect((await send(at.workerId, [changed({ codec: 7 as never })])).refused?.[0]).toBe("invalid_argument");
  expect((await send(at.workerId, [changed({ kind: 9 as never })])).refused?.[0]).toBe("invalid_argument");
  expect((await send(at.workerId, [changed({ leaseId: "mine" })])).refused?.[0]).toBe("invalid_argument");
  expect(
    (await send(at.workerId, [changed({ marks: [markOf(9, { case: "groupEnd", value: {} as never })] })])).refused?.[0],
  ).toBe("invalid_argument");
  expect(await findLog(core.db.sql, at.attemptId, 1)).toMatchObject({ bytes: 0 });
  expect((await send(at.workerId, [good])).acks).toEqual([8]);
});

test("nothing is taken for a lease that is over, unknown, or another worker's", async () => {
  const mine = await plantRunning(core.db);
  const other = await plantRunning(core.db);
  const lost = ["failed_precondition", "LEASE_LOST"];
  expect((await send(mine.workerId, [chunkOf(other.leaseId, 0, "x")])).refused).toEqual(lost);
  expect((await send(mine.workerId, [chunkOf(crypto.randomUUID(), 0, "x")])).refused).toEqual(lost);
  expect((await send(mine.workerId, [chunkOf(mine.leaseId, 0, "x")])).acks).toEqual([1]);
  await endAttempt(core.db, mine.attemptId);
  for (const offset of [0, 1, 5]) {
    expect((await send(mine.workerId, [chunkOf(mine.leaseId, offset, "x")])).refused).toEqual(lost);
  }
  expect((await logOf(mine.attemptId)).toString()).toBe("x");
});

test("marks without bytes are kept at their place, once", async () => {
  const at = await plantRunning(core.db);
  const begin = markOf(0, { case: "groupBegin", value: { name: "true", entry: 1 } as never });
  const end = markOf(0, { case: "groupEnd", value: {} as never });
  for (let i = 0; i < 2; i++) {
    const sent = [chunkOf(at.leaseId, 0, "", { marks: [begin] }), chunkOf(at.leaseId, 0, "", { marks: [end] })];
    expect((await send(at.workerId, sent)).refused).toBeUndefined();
  }
  expect((await send(at.workerId, [chunkOf(at.leaseId, 0, "x\n")])).acks).toEqual([2]);
  const marked = await Array.fromAsync(hotLog(core.db.sql, await findLog(core.db.sql, at.attemptId, 1)).marked());
  expect(marked).toHaveLength(1);
  expect((await send(at.workerId, [chunkOf(at.leaseId, 0, "")])).refused?.[0]).toBe("invalid_argument");
});

test("two streams that send the same log at once leave every byte once", async () => {
  const at = await plantRunning(core.db);
  const text = Array.from({ length: 300 }, (_, i) => `the line ${i}\n`).join("");
  const requests = (size: number) =>
    Array.from({ length: Math.ceil(text.length / size) }, (_, i) =>
      chunkOf(at.leaseId, i * size, text.slice(i * size, i * size + size)),
    );
  const answers = await Promise.all([send(at.workerId, requests(50)), send(at.workerId, requests(70))]);
  // One may run into a gap that the other has not filled yet; then it would resume. Neither may harm the log.
  for (const { refused } of answers) expect([undefined, "LOG_GAP"]).toContain(refused?.[1]);
  const { bytes } = await findLog(core.db.sql, at.attemptId, 1);
  await send(
    at.workerId,
    [chunkOf(at.leaseId, bytes, text.slice(bytes))].filter((chunk) => chunk.rawLength > 0),
  );
  expect((await logOf(at.attemptId)).toString()).toBe(text);
});

test("the end of an attempt and a chunk never both win", async () => {
  for (let i = 0; i < 10; i++) {
    const at = await plantRunning(core.db);
    const [sent] = await Promise.all([
      send(at.workerId, [chunkOf(at.leaseId, 0, "late\n")]),
      endAttempt(core.db, at.attemptId),
    ]);
    const [row] = await core.db.sql`SELECT log_final, log_end FROM attempts WHERE id = ${at.attemptId}`;
    expect(row?.["log_end"]).toBe(row?.["log_final"]);
    expect(row?.["log_end"]).toBe(sent.acks.length === 1 ? 5 : 0);
  }
});

test("bytes of every kind come back as they were", async () => {
  const at = await plantRunning(core.db);
  const strange = Buffer.concat([
    Buffer.from([0, 0xff, 0xfe, 0xc3, 0x28, 0, 10, 13, 0x80]),
    Buffer.alloc(3_000_000, 0),
  ]);
  await writeLog(core, at, strange, { chunkBytes: 300_001 });
  expect((await logOf(at.attemptId)).equals(strange)).toBe(true);
});
