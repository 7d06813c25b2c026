import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { chmodSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { ArtifactService } from "@ritmo/contract/ritmo/artifact/v1/artifact_pb.js";
import { BuildService, BuildState, StepState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { EventService } from "@ritmo/contract/ritmo/event/v1/event_pb.js";
import { FleetService } from "@ritmo/contract/ritmo/fleet/v1/fleet_pb.js";
import { FinishStepRequestSchema, type Offer, type Welcome } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import postgres from "postgres";
import { expect, inject, test } from "vitest";
import { MARK_KEY } from "../control-plane/incarnation/store-mark.ts";
import { migrate } from "../control-plane/store/migrate.ts";
import { type Db, openDatabase } from "../control-plane/store/open-database.ts";
import { serverUser } from "../postgres/server-user.ts";
import { freePort } from "../process/free-port.ts";
import { openLogger } from "../process/logger.ts";
import { refusalOf } from "./call-handlers.ts";
import { FakeWorker } from "./fake-worker.ts";
import { freshDatabase } from "./fresh-database.ts";
import { chunkOf } from "./peer-worker.ts";
import { NO_POSTGRES_15, POSTGRES_15, startPostgres15 } from "./start-postgres-15.ts";
import { type Ritmo, startRitmo } from "./start-ritmo.ts";
import { attemptsOf, logOf } from "./witness.ts";

// Fault 63: the database is restored to an earlier moment, while a worker holds a lease of before and has gone on.

const RESTORED = "the database was restored; every session and lease of before is over";

interface Deployment {
  databaseUrl: string;
  db: Db;
  /** Makes a backup now; answers how a database is made of it, whose address is answered. */
  backUp(): Promise<() => Promise<string>>;
}

async function tellStory({ databaseUrl, db, backUp }: Deployment): Promise<void> {
  await using ritmo = await startRitmo({ databaseUrl, db });
  const step = (run: string, more = "") => `version: 1\nsteps:\n  only: { checkout: false, run: "${run}"${more} }\n`;
  await ritmo.createJob("whole", "", step("echo kept > word; cat word", ", artifacts: [word]"));
  await ritmo.createJob("torn", "", step("echo again"));
  const worker = await ritmo.startWorker("before");
  expect((await ritmo.untilOver(await ritmo.run("whole"))).state).toBe(BuildState.SUCCESS);
  await worker.signal("SIGTERM");

  const { token } = await ritmo
    .client(FleetService)
    .createWorker({ requestId: randomUUID(), name: "stale", allowedLabelKeys: [] });
  const stream = new FakeWorker(ritmo.controlPlanes[0]?.workerAddress as string, token);
  const welcome = await stream.hello();
  await ritmo.run("torn");
  const held = await accept(stream);
  const before = chunkOf(held.leaseId, 0, "before\n");
  await append(stream, [before]);
  const cursorBefore = (await watchFrom(ritmo, "")).cursor;

  const restore = await backUp();
  stream.out.end();
  const stale = await goOn(ritmo, token, welcome);

  // Life goes on: the step ends well, another build is made and its step is held.
  await append(stale, [chunkOf(held.leaseId, 7, "after\n")]);
  await finish(stale, held, 13);
  expect((await ritmo.untilOver("torn#1")).state).toBe(BuildState.SUCCESS);
  await ritmo.run("torn");
  const unknown = await accept(stale);
  const cursorAfter = (await watchFrom(ritmo, cursorBefore)).cursor;
  for (const one of ritmo.controlPlanes) await one.signal("SIGKILL");
  await stale.ended;

  const env = { RITMO_DATABASE_URL: await restore() };
  const first = await ritmo.startControlPlane(env);
  const second = await ritmo.startControlPlane(env);
  await first.said(RESTORED);
  expect(second.lines.join("\n")).not.toContain(RESTORED);

  // Nothing of before is accepted, by either replica.
  for (const { workerAddress } of [first, second]) {
    const again = new FakeWorker(workerAddress, token);
    const { sessionId, resumeKey } = welcome;
    expect(await refusalOf(again.client.sync({ sessionId, resumeKey }))).toMatchObject({ reason: "SESSION_GONE" });
    for (const { leaseId } of [held, unknown]) {
      const lost = { code: "FailedPrecondition", reason: "LEASE_LOST" };
      expect(await refusalOf(append(again, [{ ...before, leaseId }]))).toMatchObject(lost);
      expect(await refusalOf(finish(again, { leaseId } as Offer, 7))).toMatchObject(lost);
      const artifact = { leaseId, path: "x", sha256: new Uint8Array(32), sizeBytes: 1n };
      expect(await refusalOf(again.client.beginUpload(artifact))).toMatchObject(lost);
    }
    again.hello({ sessionId, resumeKey }).catch(() => {});
    expect(await refusalOf(again.ended.then((reason) => Promise.reject(reason)))).toMatchObject({
      reason: "SESSION_GONE",
    });
  }

  // Cursors of the former life get a snapshot, whether the backup knew them or not; one of this life goes on.
  for (const cursor of [cursorBefore, cursorAfter]) expect((await watchFrom(ritmo, cursor)).snapshot).toBe(true);
  const cursorNow = (await watchFrom(ritmo, "")).cursor;

  // What was held runs once more, as another attempt, and the story is whole.
  await ritmo.startWorker("after");
  expect((await ritmo.untilOver("torn#1")).state).toBe(BuildState.SUCCESS);
  const attempts = await attemptsOf(ritmo, "torn#1/only");
  expect(attempts.map(({ state, logIncomplete }) => [state, logIncomplete])).toEqual([
    [StepState.ERROR, true],
    [StepState.SUCCESS, false],
  ]);
  expect(attempts[0]?.cause).toContain("restored to an earlier moment");
  expect(await logOf(ritmo, "torn#1/only@1")).toBe("before\n");
  expect(await logOf(ritmo, "torn#1/only@2")).toBe("again\n");
  // An event is told once nothing before it can still appear, which may be a moment after its build is over.
  await expect
    .poll(() => watchFrom(ritmo, cursorNow))
    .toMatchObject({ snapshot: false, states: expect.arrayContaining([BuildState.SUCCESS]) });
  // A number that was given before the restore is given again.
  expect(await ritmo.run("torn")).toBe("torn#2");
  expect((await ritmo.untilOver("torn#2")).state).toBe(BuildState.SUCCESS);
  // What was whole before is whole.
  expect(await logOf(ritmo, "whole#1/only")).toBe("kept\n");
  expect(await artifactOf(ritmo, "whole#1")).toBe("kept\n");
}

/** The same session on another stream, once the control plane has got over the backup. */
async function goOn(ritmo: Ritmo, token: string, { sessionId, resumeKey }: Welcome): Promise<FakeWorker> {
  const isWell = () =>
    ritmo
      .client(BuildService)
      .getBuild({ name: "torn#1" })
      .then(
        () => true,
        () => false,
      );
  await expect.poll(isWell, { timeout: 10_000 }).toBe(true);
  const worker = new FakeWorker(ritmo.controlPlanes[0]?.workerAddress as string, token);
  await worker.hello({ sessionId, resumeKey });
  return worker;
}

async function accept(worker: FakeWorker): Promise<Offer> {
  worker.report();
  const offer = await worker.hear("offer");
  worker.out.push({ message: { case: "accepted", value: { leaseId: offer.leaseId } } });
  worker.report([offer.leaseId]);
  return offer;
}

async function append(worker: FakeWorker, chunks: ReturnType<typeof chunkOf>[]): Promise<void> {
  const each = async function* () {
    yield* chunks;
  };
  await Array.fromAsync(worker.client.appendLog(each()));
}

function finish(worker: FakeWorker, { leaseId }: Offer, finalOffset: number) {
  return worker.client.finishStep(
    create(FinishStepRequestSchema, {
      leaseId,
      resultId: randomUUID(),
      end: { case: "exited", value: { code: 0 } },
      finalOffset: BigInt(finalOffset),
    }),
  );
}

/** Watches from a cursor until all is told that happened. */
async function watchFrom(ritmo: Ritmo, cursor: string) {
  const ends = new AbortController();
  const seen = { snapshot: false, cursor: "", states: [] as BuildState[] };
  try {
    for await (const message of ritmo.client(EventService).watch({ cursor }, { signal: ends.signal })) {
      seen.snapshot ||= message.snapshot;
      if (message.cursor) seen.cursor = message.cursor;
      for (const { subject } of message.events) if (subject.case === "build") seen.states.push(subject.value.state);
      if (!message.snapshot && message.events.length === 0) break;
    }
  } finally {
    ends.abort();
  }
  return seen;
}

async function artifactOf(ritmo: Ritmo, build: string): Promise<string> {
  const artifacts = ritmo.client(ArtifactService);
  const { artifacts: found } = await artifacts.listArtifacts({ build });
  const parts = await Array.fromAsync(artifacts.downloadArtifact({ id: found[0]?.id ?? "" }));
  return Buffer.concat(parts.map((part) => part.data)).toString();
}

test("restored from a copy of the database: no older lease is accepted, and the build ends well", async () => {
  await using fresh = await freshDatabase();
  const admin = postgres(inject("postgresUrl"), { max: 1, onnotice: () => {} });
  const name = new URL(fresh.url).pathname.slice(1);
  const copy = `${name}_backup`;
  try {
    await tellStory({
      databaseUrl: fresh.url,
      db: fresh.db,
      async backUp() {
        // A copy needs its source alone for a moment; Ritmo is used to that.
        await admin.unsafe(`ALTER DATABASE ${name} WITH ALLOW_CONNECTIONS false`);
        await admin`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ${name}`;
        await admin.unsafe(`CREATE DATABASE ${copy} TEMPLATE ${name}`);
        await admin.unsafe(`ALTER DATABASE ${name} WITH ALLOW_CONNECTIONS true`);
        const url = new URL(fresh.url);
        url.pathname = `/${copy}`;
        return async () => url.href;
      },
    });
  } finally {
    await admin.unsafe(`DROP DATABASE IF EXISTS ${copy} WITH (FORCE)`);
    await admin.end();
  }
}, 120_000);

test("restored from pg_dump, as docs/backup.md says, by a role that owns nothing but its database", async ({
  skip,
}) => {
  skip(!existsSync(join(POSTGRES_15, "pg_dump")), NO_POSTGRES_15);
  const folder = mkdtempSync(join(tmpdir(), "ritmo-restore-"));
  chmodSync(folder, 0o755);
  try {
    await using server = await startPostgres15(folder, serverUser(), await freePort());
    const admin = postgres(server.url, { max: 1, onnotice: () => {} });
    await expect
      .poll(
        () =>
          admin`SELECT 1`.then(
            () => true,
            () => false,
          ),
        { timeout: 20_000 },
      )
      .toBe(true);
    await admin.unsafe("CREATE ROLE app LOGIN");
    const databaseNamed = async (name: string) => {
      await admin.unsafe(`CREATE DATABASE ${name} OWNER app`);
      return server.url.replace("ritmo@", "app@").replace(/postgres$/, name);
    };
    const url = await databaseNamed("ritmo");
    const run = (program: string, ...args: string[]) => execFileSync(join(POSTGRES_15, program), args);
    const db = openDatabase({ url });
    try {
      await migrate(db, openLogger("test", "silent"));
      const dump = join(tmpdir(), `ritmo-${randomUUID()}.dump`);
      await tellStory({
        databaseUrl: url,
        db,
        async backUp() {
          run("pg_dump", "--format=custom", `--file=${dump}`, url);
          return async () => {
            const restored = await databaseNamed("restored");
            run("pg_restore", "--no-owner", `--dbname=${restored}`, dump);
            rmSync(dump);
            return restored;
          };
        },
      });
    } finally {
      await db.close();
      await admin.end();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 120_000);

test("a second Ritmo over the same store does not start, and says what to do", async () => {
  await using one = await freshDatabase();
  await using other = await freshDatabase();
  await other.db.sql`UPDATE incarnation SET installation = gen_random_uuid()`;
  await using ritmo = await startRitmo({ databaseUrl: one.url, db: one.db });
  await expect(ritmo.startControlPlane({ RITMO_DATABASE_URL: other.url })).rejects.toThrow(
    new RegExp(`ritmo server: The object store belongs to another Ritmo than this database\\. .*${MARK_KEY}`),
  );
});
