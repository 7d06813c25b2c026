import { expect, test } from "vitest";
import { openLogger } from "../../process/logger.ts";
import { attendingWorker, runningBuild, stepStates } from "../../testing/build-fixture.ts";
import { type ByteFixture, byteFixture } from "../../testing/byte-fixture.ts";
import { chunkOf } from "../../testing/plant-log.ts";
import { appendLog } from "../logs/append-log.ts";
import { verifyChunk } from "../logs/verify-chunk.ts";
import { claimSteps } from "../queue/claim-steps.ts";
import { openDatabase } from "../store/open-database.ts";
import { declareRestored } from "./declare-restored.ts";
import { readLife } from "./read-life.ts";
import { settleLife, watchLife } from "./settle-life.ts";
import { MARK_KEY, readMark } from "./store-mark.ts";

const moveAway = (core: ByteFixture) => core.db.sql`UPDATE incarnation SET place = 'elsewhere'`;
const beat = (core: ByteFixture, by: number) => core.db.sql`UPDATE pulse SET beats = beats + ${by}`;
/** The database as it was: what a restore leaves, without the copying. */
async function remember(core: ByteFixture) {
  const [row] = await core.db.sql<{ id: string; number: number; beats: number }[]>`
    SELECT id, number, beats FROM incarnation, pulse`;
  return async () => {
    await core.db.sql`UPDATE incarnation SET id = ${row?.id as string}, number = ${row?.number as number}`;
    await core.db.sql`UPDATE pulse SET beats = ${row?.beats as number}`;
  };
}

test("the first start takes the store, later ones go on, and a store of another is refused", async () => {
  await using core = await byteFixture();
  expect(await settleLife(core)).toBeUndefined();
  expect(await readMark(core.blobs)).toMatchObject({ number: 1 });
  await beat(core, 50);
  expect(await settleLife(core)).toBeUndefined();
  expect(await readMark(core.blobs)).toMatchObject({ beats: 50 });
  await core.db.sql`UPDATE incarnation SET installation = gen_random_uuid()`;
  await expect(settleLife(core)).rejects.toMatchObject({
    name: "StoreError",
    message: expect.stringContaining(MARK_KEY),
  });
  await core.blobs.delete(MARK_KEY);
  expect(await settleLife(core)).toBeUndefined();
});

test("two replicas that start on a restored database begin one life", async () => {
  await using core = await byteFixture();
  await moveAway(core);
  const begun = await Promise.all([settleLife(core), settleLife(core), settleLife(core)]);
  expect(begun.filter((life) => life !== undefined)).toHaveLength(1);
  expect(await readLife(core.db.sql)).toMatchObject({ number: 2, moved: false });
  expect(await settleLife(core)).toBeUndefined();
});

test("a restore is seen by the store's mark when all replicas were down, and its number is one that none had", async () => {
  await using core = await byteFixture();
  await beat(core, 10);
  const restore = await remember(core);
  await beat(core, 10);
  await settleLife(core);
  await restore();
  expect(await settleLife(core)).toMatchObject({ number: 2 });
  await beat(core, 10);
  await settleLife(core);
  // The same backup once more: its own number is 1, the store knows of 2.
  await restore();
  expect(await settleLife(core)).toMatchObject({ number: 3 });
});

test("a restore under a replica that runs is seen at its next look; another replica's new life is only noted", async () => {
  await using core = await byteFixture();
  const look = watchLife(core, { markEveryMs: 0 });
  await beat(core, 5);
  const restore = await remember(core);
  expect(await look()).toBeUndefined();
  await beat(core, 5);
  expect(await look()).toBeUndefined();
  await restore();
  const begun = await look();
  expect(begun).toMatchObject({ number: 2 });
  expect(await readMark(core.blobs)).toMatchObject({ number: 2 });
  expect(await look()).toBeUndefined();
  expect(await declareRestored(core.db)).toEqual({ life: 3, endedLeases: 0 });
  expect(await look()).toBeUndefined();
});

test("a new life ends every session and lease: nothing of before is claimed, appended or renewed, and the step is queued again", async () => {
  await using core = await byteFixture();
  const build = await runningBuild(core.db, [{ key: "a" }, { key: "b" }]);
  const worker = await attendingWorker(core.db);
  const [held] = await claimSteps(core.db, { ...worker.claimant, freeSlots: 1 });
  const writer = { leaseId: held?.leaseId as string, workerId: worker.caller.workerId };
  const append = async (offset: number, text: string) =>
    appendLog(core, writer, [await verifyChunk(chunkOf(writer.leaseId, offset, text))]);
  expect(await append(0, "before\n")).toBe(7);
  // In the grace after an outage, which a restore always looks like.
  await core.db.sql`UPDATE pulse SET grace_until = clock_timestamp() + interval '1 minute'`;
  await moveAway(core);
  const begun = await settleLife(core);
  expect(begun?.released).toMatchObject([{ stepId: held?.stepId, state: "queued" }]);
  expect(begun?.sessions).toEqual([worker.claimant.sessionId]);
  await expect(append(7, "after\n")).rejects.toMatchObject({ reason: "LEASE_LOST" });
  expect(await claimSteps(core.db, worker.claimant)).toEqual([]);
  expect(await stepStates(core.db, build)).toEqual({ a: "queued", b: "queued" });
  const [attempt] = await core.db.sql`SELECT state, cause, log_incomplete FROM attempts`;
  expect(attempt).toMatchObject({ state: "error", cause: expect.stringContaining("restored"), log_incomplete: true });
  const another = await attendingWorker(core.db);
  expect(await claimSteps(core.db, another.claimant)).toHaveLength(2);
});

test("a call that holds a step's row in that moment is waited for", async () => {
  await using core = await byteFixture();
  await runningBuild(core.db, [{ key: "a" }]);
  const worker = await attendingWorker(core.db);
  const [held] = await claimSteps(core.db, { ...worker.claimant, freeSlots: 1 });
  const other = openDatabase({ url: core.databaseUrl });
  const done = Promise.withResolvers<void>();
  const holding = Promise.withResolvers<void>();
  const slow = other.transaction(async (tx) => {
    await tx`SELECT FROM steps WHERE id = ${held?.stepId as string} FOR UPDATE`;
    holding.resolve();
    await done.promise;
  });
  await holding.promise;
  const declared = declareRestored(core.db);
  await expect
    .poll(
      async () =>
        (await core.db.sql`SELECT FROM pg_locks WHERE relation = 'events'::regclass AND mode = 'AccessExclusiveLock'`)
          .length,
    )
    .toBeGreaterThan(0);
  done.resolve();
  await slow;
  expect((await declared).endedLeases).toBe(1);
  await other.close();
});

test("what the log of a restored database says is one line", async () => {
  await using core = await byteFixture();
  const lines: string[] = [];
  const logger = { ...openLogger("test", "silent"), warn: (_: object, text: string) => void lines.push(text) } as never;
  await moveAway(core);
  await settleLife({ ...core, logger });
  await settleLife({ ...core, logger });
  expect(lines).toEqual(["the database was restored; every session and lease of before is over"]);
});
