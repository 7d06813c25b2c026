import { appendFileSync, readdirSync, truncateSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { workFolder } from "../testing/start-worker.ts";
import { chunkReader } from "./chunk-reader.ts";
import { decodeRecords, encodeRecords, type LogRecord } from "./record.ts";
import { recoverSpool, Spool, spoolBudget } from "./spool.ts";

const MIB = 1024 * 1024;
const bytesAt = (offset: number, length: number): LogRecord => ({
  kind: "bytes",
  offset,
  atMs: offset,
  bytes: Buffer.alloc(length, offset % 251),
});

async function fill(spool: Spool, records: number, length = 64 * 1024): Promise<void> {
  for (let i = 0; i < records; i++) await spool.write([bytesAt(spool.end, length)]);
}

async function readAll(spool: Spool, from: number, maxRawBytes = 100_000): Promise<Buffer> {
  const reader = chunkReader(spool);
  await reader.seek(from);
  const parts: Buffer[] = [];
  for (let chunk = await reader.next(maxRawBytes); chunk.length > 0; chunk = await reader.next(maxRawBytes)) {
    const raw = Buffer.concat(chunk.flatMap((r) => (r.kind === "bytes" ? [r.bytes] : [])));
    expect(raw.length).toBeLessThanOrEqual(maxRawBytes);
    parts.push(raw);
  }
  return Buffer.concat(parts);
}

test("records come back as they were, up to what is cut off or damaged", () => {
  const records: LogRecord[] = [
    bytesAt(0, 1000),
    { kind: "begin", name: "größe", entry: 2, offset: 1000, atMs: 5 },
    { kind: "dropped", droppedBytes: 12, offset: 1000, atMs: 6 },
    { kind: "end", offset: 1000, atMs: 7 },
  ];
  const encoded = encodeRecords(records);
  expect(decodeRecords(encoded).map(({ record }) => record)).toEqual(records);
  expect(decodeRecords(encoded.subarray(0, -1))).toHaveLength(3);
  const damaged = Buffer.from(encoded);
  damaged[500] = (damaged[500] ?? 0) ^ 1;
  expect(decodeRecords(damaged)).toHaveLength(0);
  expect(decodeRecords(Buffer.alloc(7))).toEqual([]);
});

test("what was written is read from any offset, in chunks of any size", async () => {
  using folder = workFolder();
  const spool = new Spool(folder.path, spoolBudget(MIB * 100));
  for (const length of [1, 10, 65_536, 3, 40_000]) await spool.write([bytesAt(spool.end, length)]);
  const whole = await readAll(spool, 0);
  expect(whole.length).toBe(spool.end);
  await fc.assert(
    fc.asyncProperty(fc.nat(spool.end), fc.integer({ min: 1000, max: 200_000 }), async (from, max) => {
      expect((await readAll(spool, from, max)).equals(whole.subarray(from))).toBe(true);
    }),
    { numRuns: 30 },
  );
  await spool.close();
});

test("files go when all of them is acknowledged, and the count of bytes with them", async () => {
  using folder = workFolder();
  const budget = spoolBudget(MIB * 100);
  const spool = new Spool(folder.path, budget);
  await fill(spool, 200);
  expect(readdirSync(folder.path).length).toBeGreaterThan(2);
  const before = budget.usedBytes;
  await spool.release(9 * MIB);
  expect(budget.usedBytes).toBeLessThan(before - 7 * MIB);
  await expect(readAll(spool, 0)).rejects.toThrow(/are gone/);
  expect((await readAll(spool, 9 * MIB)).length).toBe(spool.end - 9 * MIB);
  await spool.close();
  expect(budget.usedBytes).toBe(0);
});

test("a reader goes on when everything before it went, also where bytes are short", async () => {
  using folder = workFolder();
  const spool = new Spool(folder.path, spoolBudget(MIB));
  const reader = chunkReader(spool);
  for (let round = 0; round < 20; round++) {
    await fill(spool, 12);
    let read = 0;
    for (let chunk = await reader.next(200_000); chunk.length > 0; chunk = await reader.next(200_000))
      read += chunk.length;
    expect(read).toBe(12);
    await spool.release(spool.end);
    expect(reader.hasMore()).toBe(false);
  }
  await spool.close();
});

test("what is written while all before it goes stays", async () => {
  using folder = workFolder();
  const spool = new Spool(folder.path, spoolBudget(MIB));
  const reader = chunkReader(spool);
  await fill(spool, 12);
  await reader.next(10 * MIB);
  const writing = spool.write([bytesAt(spool.end, 10)]);
  await spool.release(spool.end);
  await writing;
  expect(reader.hasMore()).toBe(true);
  expect((await reader.next(MIB))[0]).toMatchObject({ kind: "bytes", offset: 12 * 64 * 1024 });
  await spool.close();
});

test("a later life finds what was written, without a torn end", async () => {
  using folder = workFolder();
  const spool = new Spool(folder.path, spoolBudget(MIB * 100));
  await fill(spool, 100);
  const whole = await readAll(spool, 0);
  await spool.sync();
  await spool.close();
  const last = join(
    folder.path,
    readdirSync(folder.path)
      .sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10))
      .at(-1) as string,
  );
  appendFileSync(last, Buffer.alloc(1000, 7));
  const again = await recoverSpool(folder.path, spoolBudget(MIB * 100));
  expect(again.end).toBe(whole.length);
  expect((await readAll(again, 0)).equals(whole)).toBe(true);
  await again.write([bytesAt(again.end, 5)]);
  expect(again.end).toBe(whole.length + 5);
  expect((await readAll(again, whole.length)).length).toBe(5);
  await again.close();
  truncateSync(last, 10);
  const torn = await recoverSpool(folder.path, spoolBudget(MIB * 100));
  expect(torn.end).toBeLessThan(whole.length);
  await torn.close();
});
