import { createHash, randomUUID } from "node:crypto";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "@ritmo/contract/google/rpc/error_details_pb.js";
import { ArtifactService } from "@ritmo/contract/ritmo/artifact/v1/artifact_pb.js";
import { BuildState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { FleetService } from "@ritmo/contract/ritmo/fleet/v1/fleet_pb.js";
import { LogService } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import { StepStage } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { type FreshDatabase, freshDatabase } from "./fresh-database.ts";
import { attendAs, chunkOf, finishOf, type PeerWorker } from "./peer-worker.ts";
import { type Ritmo, startRitmo } from "./start-ritmo.ts";

// What a worker may get wrong, or be late with, over a real connection to a real control plane: each is refused by
// its name, nothing of it is kept, and what the right worker says is taken. The table of all rows is in
// bad-inputs.test.ts.

// For a machine that has much else to do.
vi.setConfig({ testTimeout: 120_000 });

let fresh: FreshDatabase;
let ritmo: Ritmo;

beforeAll(async () => {
  fresh = await freshDatabase();
  ritmo = await startRitmo({ databaseUrl: fresh.url, db: fresh.db });
  await ritmo.createJob("job", "", "version: 1\nsteps:\n  a: { checkout: false, run: x }\n");
});
afterAll(async () => {
  await ritmo?.[Symbol.asyncDispose]();
  await fresh?.[Symbol.asyncDispose]();
});
afterEach(() => {
  const [{ child, lines } = { child: undefined, lines: [] }] = ritmo.controlPlanes;
  expect(child?.exitCode).toBeNull();
  expect(lines.filter((line) => /by our fault|"level":[56]0/.test(line))).toEqual([]);
});

let workers = 0;

async function peer(): Promise<PeerWorker> {
  const made = await ritmo.client(FleetService).createWorker({ requestId: randomUUID(), name: `peer-${++workers}` });
  return await attendAs(ritmo.controlPlanes[0]?.workerAddress ?? "", made.token);
}

/** The refusal, with its facts; never `internal`, `unknown` or a stack. */
async function refused(
  call: Promise<unknown>,
): Promise<{ code: string; reason: string; facts: Record<string, string> }> {
  const error = await call.then(
    () => {
      throw new Error("the call was not refused");
    },
    (reason: unknown) => ConnectError.from(reason),
  );
  expect([Code.Internal, Code.Unknown]).not.toContain(error.code);
  expect(error.rawMessage).not.toMatch(/\n\s*at /);
  const [info] = error.findDetails(ErrorInfoSchema);
  return { code: Code[error.code] ?? "", reason: info?.reason ?? "", facts: info?.metadata ?? {} };
}

async function logOf(name: string): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const message of ritmo.client(LogService).followLog({ name })) parts.push(message.data);
  return Buffer.concat(parts).toString();
}

const LOST = { code: "FailedPrecondition", reason: "LEASE_LOST" };

test("a second finish: the same one is answered alike, another one is refused, and the first stands", async () => {
  await using worker = await peer();
  const build = await ritmo.run("job");
  const { leaseId } = await worker.take();
  const finish = finishOf(leaseId, 3);
  await worker.client.finishStep(finish);
  await worker.client.finishStep(finish);
  expect(await refused(worker.client.finishStep(finishOf(leaseId, 0)))).toMatchObject({
    code: "AlreadyExists",
    reason: "RESULT_CONFLICT",
  });
  expect((await ritmo.untilOver(build)).state).toBe(BuildState.FAILURE);
});

test("a stale attempt's start, finish, log and artifact are refused; the newer attempt's are taken", async () => {
  await using stale = await peer();
  const build = await ritmo.run("job");
  const { leaseId } = await stale.take();
  await stale.append([chunkOf(leaseId, 0, "early\n")]);
  await stale.client.startStep({ leaseId, stage: StepStage.RUNNING });
  // The time of its lease is up by the database's clock.
  await fresh.db.sql`UPDATE sessions SET expires_at = '-infinity' WHERE id = ${stale.sessionId}`;
  await using newer = await peer();
  const second = await newer.take();
  expect(second.attempt).toBe(2);

  const { client } = stale;
  const upload = { leaseId, path: "a", sizeBytes: 1n, sha256: sha256("x"), mode: 0o644 };
  expect(await refused(client.startStep({ leaseId, stage: StepStage.FINISHING }))).toMatchObject(LOST);
  expect(await refused(stale.append([chunkOf(leaseId, 6, "late\n")]))).toMatchObject(LOST);
  expect(await refused(client.beginUpload(upload))).toMatchObject(LOST);
  expect(await refused(client.finishStep(finishOf(leaseId, 0, 6)))).toMatchObject(LOST);
  expect(await refused(client.listInputs({ leaseId }))).toMatchObject(LOST);
  // Nor may it speak for the lease that took its place.
  expect(await refused(client.finishStep(finishOf(second.leaseId, 0)))).toMatchObject(LOST);
  expect(await refused(stale.append([chunkOf(second.leaseId, 0, "foreign\n")]))).toMatchObject(LOST);

  expect(await newer.append([chunkOf(second.leaseId, 0, "right\n")])).toMatchObject([{ durableOffset: 6n }]);
  const begun = await newer.client.beginUpload({ ...upload, leaseId: second.leaseId });
  // What was begun by the right worker is not the stale one's to send or to commit.
  const artifact = { leaseId, artifactId: begun.artifactId };
  expect(await refused(client.commitUpload({ ...artifact, parts: [] }))).toMatchObject(LOST);
  await newer.client.finishStep(finishOf(second.leaseId, 0, 6));
  expect((await ritmo.untilOver(build)).state).toBe(BuildState.SUCCESS);
  expect([await logOf(`${build}/a@1`), await logOf(`${build}/a@2`)]).toEqual(["early\n", "right\n"]);
  // Begun and never committed: not listed.
  expect((await ritmo.client(ArtifactService).listArtifacts({ build })).artifacts).toEqual([]);
});

test("a gap in a log is told where to resume, other bytes than before are refused, the same ones acknowledged", async () => {
  await using worker = await peer();
  const build = await ritmo.run("job");
  const { leaseId } = await worker.take();
  await worker.append([chunkOf(leaseId, 0, "one\n")]);
  expect(await refused(worker.append([chunkOf(leaseId, 9, "three\n")]))).toMatchObject({
    code: "OutOfRange",
    facts: { expected_offset: "4" },
  });
  expect(await refused(worker.append([chunkOf(leaseId, 0, "two\n")]))).toMatchObject({ code: "DataLoss" });
  const wrong = { ...chunkOf(leaseId, 4, "two\n"), crc32c: 1 };
  expect((await refused(worker.append([wrong]))).code).toMatch(/DataLoss|InvalidArgument/);
  // A finish that is ahead of its log is told so, too.
  expect(await refused(worker.client.finishStep(finishOf(leaseId, 0, 8)))).toMatchObject({
    code: "FailedPrecondition",
    reason: "LOG_BEHIND",
    facts: { expected_offset: "4" },
  });
  const acks = await worker.append([chunkOf(leaseId, 0, "one\n"), chunkOf(leaseId, 4, "two\n")]);
  expect(acks.at(-1)?.durableOffset).toBe(8n);
  await worker.client.finishStep(finishOf(leaseId, 0, 8));
  expect((await ritmo.untilOver(build)).state).toBe(BuildState.SUCCESS);
  expect(await logOf(`${build}/a`)).toBe("one\ntwo\n");
});

test("messages over the limit, ids that are none, leases that never were", async () => {
  await using worker = await peer();
  const build = await ritmo.run("job");
  const { leaseId } = await worker.take();
  const big = chunkOf(leaseId, 0, "x".repeat(3 * 1024 * 1024));
  expect(await refused(worker.append([big]))).toMatchObject({ code: "ResourceExhausted" });
  const { client } = worker;
  expect(await refused(client.startStep({ leaseId: "one" }))).toMatchObject({ code: "InvalidArgument" });
  expect(await refused(client.finishStep({ leaseId, resultId: "" }))).toMatchObject({ code: "InvalidArgument" });
  expect(await refused(client.finishStep({ leaseId, resultId: randomUUID() }))).toMatchObject({
    code: "InvalidArgument",
  });
  expect(await refused(client.finishStep(finishOf(randomUUID(), 0)))).toMatchObject(LOST);
  expect(await refused(client.beginUpload({ leaseId, path: "../../etc/passwd", sha256: sha256("x") }))).toMatchObject({
    code: "InvalidArgument",
  });
  await client.finishStep(finishOf(leaseId, 0));
  expect((await ritmo.untilOver(build)).state).toBe(BuildState.SUCCESS);
});

test("a token that nobody made, a user's, and a worker's that was deleted open nothing", async () => {
  const address = ritmo.controlPlanes[0]?.workerAddress ?? "";
  const unknown = { code: "Unauthenticated" };
  expect(await refused(attendAs(address, `rw_${"x".repeat(43)}`))).toMatchObject(unknown);
  expect(await refused(attendAs(address, ritmo.token))).toMatchObject(unknown);
  const fleet = ritmo.client(FleetService);
  const made = await fleet.createWorker({ requestId: randomUUID(), name: "gone" });
  await using first = await attendAs(address, made.token);
  expect(first.sessionId).not.toBe("");
  await fleet.deleteWorker({ requestId: randomUUID(), name: "gone" });
  await vi.waitFor(async () => expect(await refused(attendAs(address, made.token))).toMatchObject(unknown), 10_000);
});

function sha256(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}
