import { create } from "@bufbuild/protobuf";
import { type ReadLogRequest, ReadLogRequestSchema } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ByteFixture, byteFixture } from "../../testing/byte-fixture.ts";
import { chunkOf, endAttempt, markOf, plantRunning, writeLog } from "../../testing/plant-log.ts";
import { appendLog } from "./append-log.ts";
import { archiveAttempt } from "./archive-log.ts";
import { findLog } from "./find-log.ts";
import { followLog } from "./follow-log.ts";
import { getLog } from "./get-log.ts";
import { openLog } from "./open-log.ts";
import { readLog } from "./read-log.ts";
import { verifyChunk } from "./verify-chunk.ts";

let core: ByteFixture;
beforeAll(async () => {
  core = await byteFixture();
});
afterAll(() => core[Symbol.asyncDispose]());

const bytes = (offset: number, length = 0) => ({
  case: "bytes" as const,
  value: { offset: BigInt(offset), length: BigInt(length) },
});
const lines = (first: number, count = 0) => ({
  case: "lines" as const,
  value: { first: BigInt(first), count: BigInt(count) },
});

async function read(attemptId: string, range: ReturnType<typeof bytes> | ReturnType<typeof lines>, kind: 1 | 2 = 1) {
  const facts = await findLog(core.db.sql, attemptId, kind);
  const request: ReadLogRequest = create(ReadLogRequestSchema, { range });
  const answer = await readLog(await openLog(core, facts), request.range, facts.over);
  return { ...answer, data: Buffer.from(answer.data as Uint8Array) };
}

/** A hot log and, at the end, the same one archived: both must read the same. */
async function bothWays(text: Buffer | string, chunkBytes: number, look: (attemptId: string) => Promise<void>) {
  const at = await plantRunning(core.db);
  await writeLog(core, at, text, { chunkBytes });
  await endAttempt(core.db, at.attemptId);
  await look(at.attemptId);
  expect(await archiveAttempt(core, at.attemptId)).toBe(true);
  await core.db.sql`DELETE FROM log_chunks WHERE attempt_id = ${at.attemptId}`;
  await look(at.attemptId);
}

test("any bytes and any lines are read, hot and archived", async () => {
  const all = Array.from({ length: 5_000 }, (_, i) => `this is line number ${i + 1}`).join("\n");
  await bothWays(all, 777, async (id) => {
    expect((await read(id, bytes(0))).data.toString()).toBe(all);
    expect(await read(id, bytes(30, 5))).toMatchObject({ offset: 30n, firstLine: 2n, nextOffset: 35n, end: false });
    expect((await read(id, bytes(30, 5))).data.toString()).toBe(all.slice(30, 35));
    for (const line of [1, 2, 36, 37, 2_500, 4_999, 5_000]) {
      const { data, firstLine } = await read(id, lines(line, 1));
      expect([data.toString().trimEnd(), firstLine]).toEqual([`this is line number ${line}`, BigInt(line)]);
    }
    expect((await read(id, lines(4_998))).data.toString()).toBe(all.split("\n").slice(4_997).join("\n"));
    expect(await read(id, bytes(all.length))).toMatchObject({
      end: true,
      nextOffset: BigInt(all.length),
      firstLine: 5000n,
    });
    await expect(read(id, bytes(all.length + 1))).rejects.toMatchObject({
      code: "out_of_range",
      details: { metadata: { end: String(all.length) } },
    });
    await expect(read(id, lines(5_001))).rejects.toMatchObject({ code: "out_of_range" });
    await expect(read(id, lines(0))).rejects.toMatchObject({ code: "invalid_argument" });
    const log = await getLog(core, await findLog(core.db.sql, id, 1), "x");
    expect(log).toMatchObject({ bytes: BigInt(all.length), lines: 5_000n, over: true });
  });
});

test("one answer has at most 1 MiB, and says where to go on", async () => {
  const big = Buffer.alloc(2_500_000, "abcdefg\n");
  await bothWays(big, 500_000, async (id) => {
    const parts: Buffer[] = [];
    for (let at = 0, end = false; !end; ) {
      const answer = await read(id, bytes(at));
      expect(answer.data.length).toBeLessThanOrEqual(1024 * 1024);
      parts.push(answer.data);
      at = Number(answer.nextOffset);
      end = answer.end ?? true;
    }
    expect(Buffer.concat(parts).equals(big)).toBe(true);
  });
});

test("an empty log, hot and archived", async () => {
  await bothWays("", 100, async (id) => {
    expect(await read(id, bytes(0))).toMatchObject({ end: true, firstLine: 1n, nextOffset: 0n });
    expect(await read(id, lines(1, 5))).toMatchObject({ end: true });
    expect(await getLog(core, await findLog(core.db.sql, id, 1), "x")).toMatchObject({ bytes: 0n, lines: 0n });
    const followed = await Array.fromAsync(
      followLog(core, { attemptId: id, kind: 1, offset: 0 }, new AbortController().signal),
    );
    expect(followed).toEqual([{ offset: 0n, firstLine: 1n, end: true }]);
  });
});

test("groups and times lie beside the bytes, hot and archived", async () => {
  const at = await plantRunning(core.db);
  const begin = (offset: number, name: string, entry: number, s: number) =>
    markOf(offset, { case: "groupBegin", value: { name, entry } as never }, s);
  const end = (offset: number, s: number) => markOf(offset, { case: "groupEnd", value: {} as never }, s);
  const readAt = (offset: number, s: number) => markOf(offset, { case: "readAt", value: {} as never }, s);
  for (const chunk of [
    chunkOf(at.leaseId, 0, "", { marks: [begin(0, "echo", 1, 10)] }),
    chunkOf(at.leaseId, 0, "a\nb\n", { marks: [readAt(0, 11), readAt(2, 12)] }),
    chunkOf(at.leaseId, 4, "c\nd\ne\n", { marks: [begin(6, "inner", 0, 13), end(8, 14), end(10, 15), readAt(4, 13)] }),
    chunkOf(at.leaseId, 10, "", { marks: [begin(10, "true", 2, 16), end(10, 17)] }),
  ]) {
    await appendLog(core, at, [await verifyChunk(chunk)]);
  }
  await endAttempt(core.db, at.attemptId);
  const look = async () => {
    const { groups } = await getLog(core, await findLog(core.db.sql, at.attemptId, 1), "x");
    expect(
      groups?.map((g) => [
        g.name,
        g.entry,
        g.startOffset,
        g.endOffset,
        g.startLine,
        g.startedAt?.seconds,
        g.endedAt?.seconds,
      ]),
    ).toEqual([
      ["echo", 1, 0n, 10n, 1n, 10n, 15n],
      ["inner", 0, 6n, 8n, 4n, 13n, 14n],
      ["true", 2, 10n, 10n, 6n, 16n, 17n],
    ]);
    const { times } = await read(at.attemptId, bytes(3));
    expect(times?.map((time) => [time.offset, time.at?.seconds])).toEqual([
      [2n, 12n],
      [4n, 13n],
    ]);
  };
  await look();
  await archiveAttempt(core, at.attemptId);
  await look();
});

test("a follower gets every byte as it comes and ends with the attempt", async () => {
  const at = await plantRunning(core.db);
  const text = Array.from({ length: 400 }, (_, i) => `${i} ${"x".repeat(i)}\n`).join("");
  await writeLog(core, at, text.slice(0, 1000));
  const follow = (offset: number) =>
    Array.fromAsync(followLog(core, { attemptId: at.attemptId, kind: 1, offset }, new AbortController().signal));
  const followers = [follow(0), follow(500), follow(20_000)];
  await writeLog(core, at, text.slice(1000), { from: 1000, chunkBytes: 1111 });
  await endAttempt(core.db, at.attemptId);
  core.hints.send("log", at.attemptId);
  for (const [i, from] of [0, 500, 20_000].entries()) {
    const messages = await (followers[i] as ReturnType<typeof follow>);
    expect(Buffer.concat(messages.map((m) => (m.data ?? Buffer.alloc(0)) as Buffer)).toString()).toBe(text.slice(from));
    expect(messages.filter((m) => m.end)).toHaveLength(1);
    expect(messages.at(-1)).toMatchObject({ end: true, offset: BigInt(text.length) });
    for (const m of messages) expect(Number(m.firstLine)).toBe(text.slice(0, Number(m.offset)).split("\n").length);
  }
  await archiveAttempt(core, at.attemptId);
  const late = await follow(text.length - 3);
  expect(Buffer.concat(late.map((m) => (m.data ?? Buffer.alloc(0)) as Buffer)).toString()).toBe(text.slice(-3));
  await expect(follow(text.length + 1)).rejects.toMatchObject({ code: "out_of_range" });
});

test("a follower goes when its caller does", async () => {
  const at = await plantRunning(core.db);
  const caller = new AbortController();
  const following = Array.fromAsync(followLog(core, { attemptId: at.attemptId, kind: 1, offset: 0 }, caller.signal));
  await writeLog(core, at, "x\n");
  caller.abort();
  expect((await following).filter((m) => m.end)).toEqual([]);
});

test("a follower of a log that is archived and dropped meanwhile misses nothing", async () => {
  const at = await plantRunning(core.db);
  const text = Buffer.alloc(3_000_000, "0123456789abcde\n");
  await writeLog(core, at, text);
  const following = followLog(core, { attemptId: at.attemptId, kind: 1, offset: 0 }, new AbortController().signal);
  const first = await following.next();
  await endAttempt(core.db, at.attemptId);
  await archiveAttempt(core, at.attemptId);
  const rest = await Array.fromAsync(following);
  const parts = [first.value, ...rest].map((m) => (m?.data ?? Buffer.alloc(0)) as Buffer);
  expect(Buffer.concat(parts).equals(text)).toBe(true);
});
