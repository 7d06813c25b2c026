import { expect } from "vitest";
import { archiveAttempt, archiveNext } from "../control-plane/logs/archive-log.ts";
import { findLog } from "../control-plane/logs/find-log.ts";
import { bytesOf } from "../control-plane/logs/log-source.ts";
import { openLog } from "../control-plane/logs/open-log.ts";
import { endAttempt, plantRunning, writeLog } from "./plant-log.ts";
import type { S3Request } from "./s3-fault-proxy.ts";
import { is, s3FaultScene } from "./s3-fault-scene.ts";

// Faults 29 and 30 of logs: one is archived when the store gives it back, and until then it stays where it was.

const { scene, testS3 } = s3FaultScene();

testS3("a log is marked as archived when the store gives it back, and reads right through faults", async () => {
  const at = await plantRunning(scene.core.db);
  const text = Buffer.from(Array.from({ length: 60_000 }, (_, n) => `line ${n} ${Math.random()}\n`).join(""));
  await writeLog(scene.core, at, text);
  await endAttempt(scene.core.db, at.attemptId);
  const isLog = (request: S3Request) => request.url.includes("log-1.zst");
  scene.proxy.fail(
    "corrupted",
    1,
    (request) => request.method === "GET" && isLog(request) && !request.url.includes(".idx"),
  );
  // Once is a passing fault of the line: it is read again.
  expect(await archiveAttempt(scene.core, at.attemptId)).toBe(true);
  const facts = await findLog(scene.core.db.sql, at.attemptId, 1);
  for (const fault of ["corrupted", "cut body", "short body", "slow down", "reset"] as const) {
    scene.proxy.calm();
    scene.proxy.fail(fault, 1, isLog);
    expect((await readAll(facts)).equals(text)).toBe(true);
    expect(scene.proxy.seen.some((one) => one.fault)).toBe(true);
  }
  scene.proxy.fail("corrupted", 1_000, isLog);
  await expect(readAll(facts)).rejects.toMatchObject({ code: "data_loss", reason: "ARCHIVE_DAMAGED" });
});

testS3("a store that swallows what it was given does not get a log marked as archived", async () => {
  const at = await plantRunning(scene.core.db);
  await writeLog(scene.core, at, "precious\n");
  await endAttempt(scene.core.db, at.attemptId);
  scene.proxy.fail("corrupted", 1_000, is("GET", "log-1.zst"));
  await expect(archiveAttempt(scene.core, at.attemptId)).rejects.toThrow();
  expect((await findLog(scene.core.db.sql, at.attemptId, 1)).archived).toBe(false);
  scene.proxy.calm();
  expect(await archiveAttempt(scene.core, at.attemptId)).toBe(true);
});

testS3(
  "a store that is away for long loses no log: it stays in the database, readable, until the store is back",
  async () => {
    const at = await plantRunning(scene.core.db);
    await writeLog(scene.core, at, "patience\n");
    await endAttempt(scene.core.db, at.attemptId);
    scene.proxy.fail("reset", 1_000_000);
    for (let tries = 0; tries < 3; tries++) {
      expect(await archiveNext(scene.core, 10)).toBe(0);
      expect((await readAll(await findLog(scene.core.db.sql, at.attemptId, 1))).toString()).toBe("patience\n");
      await scene.core.db.sql`UPDATE attempts SET archive_after = NULL`;
    }
    scene.proxy.calm();
    await archiveNext(scene.core, 10);
    const facts = await findLog(scene.core.db.sql, at.attemptId, 1);
    expect(facts.archived).toBe(true);
    expect((await readAll(facts)).toString()).toBe("patience\n");
  },
);

async function readAll(facts: Awaited<ReturnType<typeof findLog>>): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const piece of (await openLog(scene.core, facts)).pieces(0)) parts.push(await bytesOf(piece));
  return Buffer.concat(parts);
}
