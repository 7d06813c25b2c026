import { createHash } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { expect, test } from "vitest";
import { byteFixture } from "../../testing/byte-fixture.ts";
import { chunkOf, endAttempt, markOf, plantRunning, writeLog } from "../../testing/plant-log.ts";
import type { BlobStore } from "../store/blobs.ts";
import { appendLog } from "./append-log.ts";
import { archiveAttempt, archiveNext } from "./archive-log.ts";
import { dropOldLogPartitions } from "./drop-old-logs.ts";
import { findLog } from "./find-log.ts";
import { archiveKeys } from "./log-archive.ts";
import { bytesOf } from "./log-source.ts";
import { openLog } from "./open-log.ts";
import { verifyChunk } from "./verify-chunk.ts";

type Core = Awaited<ReturnType<typeof byteFixture>>;

const DAY_MS = 24 * 60 * 60 * 1000;

async function logOf(core: Core, attemptId: string, kind: 1 | 2 = 1): Promise<Buffer> {
  const parts: Buffer[] = [];
  const source = await openLog(core, await findLog(core.db.sql, attemptId, kind));
  for await (const piece of source.pieces(0)) parts.push(await bytesOf(piece));
  return Buffer.concat(parts);
}

const stored = async (blobs: BlobStore) => (await Array.fromAsync(blobs.list("o/"))).map(({ key }) => key).sort();

test("attempts that are over are archived once, both logs, and no others", async () => {
  await using core = await byteFixture();
  const over = await plantRunning(core.db);
  const running = await plantRunning(core.db);
  const text = Buffer.from("all good\n".repeat(300_000));
  await writeLog(core, over, text);
  await writeLog(core, over, "checked out\n", { kind: 2 });
  await writeLog(core, running, "still here\n");
  await endAttempt(core.db, over.attemptId);
  const both = await Promise.all([archiveNext(core, 10), archiveNext(core, 10)]);
  expect(both.reduce((a, b) => a + b)).toBe(1);
  expect(await archiveNext(core, 10)).toBe(0);
  const facts = await findLog(core.db.sql, over.attemptId, 1);
  expect(facts.archived).toBe(true);
  expect((await findLog(core.db.sql, running.attemptId, 1)).archived).toBe(false);
  const keys = [archiveKeys(facts), archiveKeys({ ...facts, kind: 2 })].flatMap((k) => [k.bytes, k.index]);
  expect(await stored(core.blobs)).toEqual(keys.sort());
  expect((await logOf(core, over.attemptId)).equals(text)).toBe(true);
  expect((await logOf(core, over.attemptId, 2)).toString()).toBe("checked out\n");
});

test("archiving that was killed anywhere, or done twice at once, leaves the same bytes", async () => {
  await using core = await byteFixture();
  const at = await plantRunning(core.db);
  const text = Buffer.from(Array.from({ length: 150_000 }, (_, i) => `line ${i * 7919} ${i}\n`).join(""));
  await writeLog(core, at, text);
  await endAttempt(core.db, at.attemptId);
  // The store as it would be after a kill at each of its writes.
  for (let survives = 0; survives < 4; survives++) {
    let writes = 0;
    const dying: BlobStore = {
      ...core.blobs,
      put: (...args) => (writes++ < survives ? core.blobs.put(...args) : Promise.reject(new Error("killed"))),
    };
    const done = archiveAttempt({ ...core, blobs: dying }, at.attemptId);
    if (survives < 3) await expect(done).rejects.toThrow("killed");
    expect((await logOf(core, at.attemptId)).equals(text)).toBe(true);
    if (survives === 3) await done;
  }
  const key = archiveKeys(await findLog(core.db.sql, at.attemptId, 1)).bytes;
  const before = await buffer(await core.blobs.get(key));
  await core.db.sql`UPDATE attempts SET archived_at = NULL WHERE id = ${at.attemptId}`;
  const twice = await Promise.all([archiveAttempt(core, at.attemptId), archiveAttempt(core, at.attemptId)]);
  expect(twice.sort()).toEqual([false, true]);
  expect((await buffer(await core.blobs.get(key))).equals(before)).toBe(true);
  expect((await logOf(core, at.attemptId)).equals(text)).toBe(true);
});

test("a store that keeps other bytes than it was given is found out, and the log stays where it is", async () => {
  await using core = await byteFixture();
  const at = await plantRunning(core.db);
  await writeLog(core, at, "precious\n");
  await endAttempt(core.db, at.attemptId);
  const lying: BlobStore = {
    ...core.blobs,
    async put(key, body, size, type) {
      const bytes = Buffer.isBuffer(body) ? body : await buffer(body);
      if (key.endsWith(".zst")) bytes[bytes.length - 1] = (bytes.at(-1) as number) ^ 1;
      await core.blobs.put(key, bytes, size, type);
    },
  };
  expect(await archiveNext({ ...core, blobs: lying }, 10)).toBe(0);
  expect((await findLog(core.db.sql, at.attemptId, 1)).archived).toBe(false);
  // A failed try rests for a while.
  expect(await archiveNext(core, 10)).toBe(0);
  await core.db.sql`UPDATE attempts SET archive_after = NULL`;
  expect(await archiveNext(core, 10)).toBe(1);
  expect((await logOf(core, at.attemptId)).toString()).toBe("precious\n");
});

test("a log that is not what its worker said is marked incomplete; one that is, is not", async () => {
  await using core = await byteFixture();
  const sha256 = (text: string) => createHash("sha256").update(text).digest();
  for (const [said, incomplete] of [
    [sha256("right\n"), false],
    [sha256("other\n"), true],
  ] as const) {
    const at = await plantRunning(core.db);
    await writeLog(core, at, "right\n");
    await endAttempt(core.db, at.attemptId);
    await core.db.sql`UPDATE attempts SET log_sha256 = ${said} WHERE id = ${at.attemptId}`;
    await archiveNext(core, 10);
    expect(await findLog(core.db.sql, at.attemptId, 1)).toMatchObject({ archived: true, incomplete });
  }
});

test("an archive that is gone is said to be", async () => {
  await using core = await byteFixture();
  const at = await plantRunning(core.db);
  await writeLog(core, at, "x\n");
  await endAttempt(core.db, at.attemptId);
  await archiveNext(core, 1);
  const facts = await findLog(core.db.sql, at.attemptId, 1);
  await core.blobs.delete(archiveKeys(facts).bytes);
  await expect(logOf(core, at.attemptId)).rejects.toMatchObject({ reason: "ARCHIVE_DAMAGED" });
  await core.blobs.delete(archiveKeys(facts).index);
  await expect(logOf(core, at.attemptId)).rejects.toMatchObject({ reason: "ARCHIVE_DAMAGED" });
});

test("a day of hot logs is dropped when it is old and all of it archived", async () => {
  await using core = await byteFixture();
  const now = new Date();
  const old = new Date(now.getTime() - 5 * DAY_MS).toISOString().slice(0, 10);
  await core.db.sql`SELECT make_day_partitions(${old}::date)`;
  const partition = `log_chunks_${old.replaceAll("-", "")}`;
  const at = await plantRunning(core.db);
  await core.db.sql`UPDATE attempts SET log_day = ${old}::date WHERE id = ${at.attemptId}`;
  await writeLog(core, at, "long ago\n");
  await endAttempt(core.db, at.attemptId);
  expect(await dropOldLogPartitions(core, now)).not.toContain(partition);
  expect((await logOf(core, at.attemptId)).toString()).toBe("long ago\n");
  await archiveNext(core, 10);
  expect(await dropOldLogPartitions(core, new Date(now.getTime() - 4 * DAY_MS))).toEqual([]);
  expect(await dropOldLogPartitions(core, now)).toContain(partition);
  expect((await logOf(core, at.attemptId)).toString()).toBe("long ago\n");
  const today = await plantRunning(core.db);
  await writeLog(core, today, "today\n");
  expect((await logOf(core, today.attemptId)).toString()).toBe("today\n");
});

test("attempts that wrote nothing pass without an object, and read as empty; marks alone are something", async () => {
  await using core = await byteFixture();
  const silent = await plantRunning(core.db);
  const marked = await plantRunning(core.db);
  const mark = markOf(0, { case: "groupBegin", value: { name: "build", entry: 1 } as never });
  const chunk = await verifyChunk(chunkOf(marked.leaseId, 0, "", { marks: [mark] }));
  await appendLog(core, marked, [chunk]);
  for (const { attemptId } of [silent, marked]) await endAttempt(core.db, attemptId);
  expect(await archiveNext(core, 10)).toBe(2);
  const facts = await findLog(core.db.sql, silent.attemptId, 1);
  expect(facts.archived).toBe(true);
  expect((await stored(core.blobs)).filter((key) => key.includes(facts.leaseId))).toEqual([]);
  expect((await stored(core.blobs)).length).toBeGreaterThan(0);
  expect((await logOf(core, silent.attemptId)).length).toBe(0);
});
