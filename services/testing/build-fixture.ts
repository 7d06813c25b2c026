import { create } from "@bufbuild/protobuf";
import { StepSchema } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import { createBuild } from "../control-plane/builds/create-build.ts";
import { openBuild } from "../control-plane/builds/open-build.ts";
import type { WorkerCaller } from "../control-plane/identity/caller.ts";
import type { Claimant } from "../control-plane/queue/claim-steps.ts";
import type { Db } from "../control-plane/store/open-database.ts";
import { newId } from "../process/new-id.ts";

export const ORG = "org_default";

export interface StepFixture {
  key: string;
  needs?: string[];
  requires?: string[];
  cpuMillis?: number;
  run?: string[];
}

/** A running build of a job of its own with the given steps; answers its id. */
export async function runningBuild(
  db: Db,
  steps: StepFixture[],
  job = `job-${Math.random().toString(36).slice(2, 10)}`,
): Promise<string> {
  const jobId = newId("job");
  await db.sql`INSERT INTO jobs (id, org_id, name, repository, pipeline_text) VALUES (${jobId}, ${ORG}, ${job}, '', 'x')`;
  const id = await createBuild(db.sql, { orgId: ORG, jobId, source: undefined, createdBy: "test" });
  const planned = steps.map((step, position) => ({
    key: step.key,
    position,
    needs: step.needs ?? [],
    requires: step.requires ?? ["ritmo/executor=process"],
    spec: create(StepSchema, {
      name: step.key,
      run: step.run ?? ["true"],
      needs: step.needs ?? [],
      resources: { cpuMillis: step.cpuMillis ?? 0 },
    }),
  }));
  const source = { commit: "c".repeat(40), authorName: "", authorEmail: "", message: "" };
  await openBuild(db, { id, orgId: ORG }, source, { steps: planned });
  return id;
}

export interface WorkerFixture {
  caller: WorkerCaller;
  claimant: Claimant;
}

/** A worker with a live session, as the queue sees it. */
export async function attendingWorker(
  db: Db,
  options: { labels?: string[]; slots?: number; leaseSeconds?: number } = {},
): Promise<WorkerFixture> {
  const workerId = newId("wrk");
  const sessionId = newId("ses");
  const name = `w-${Math.random().toString(36).slice(2, 10)}`;
  const labels = options.labels ?? [];
  const slots = options.slots ?? 8;
  await db.sql`
    INSERT INTO workers (id, org_id, name, labels, slots, executors, state)
    VALUES (${workerId}, ${ORG}, ${name}, ${labels}, ${slots}, '{process}', 'online')`;
  await db.sql`
    INSERT INTO sessions (id, org_id, worker_id, resume_key_hash, expires_at)
    VALUES (${sessionId}, ${ORG}, ${workerId}, '\\x00', clock_timestamp() + ${options.leaseSeconds ?? 60} * interval '1 second')`;
  return {
    caller: { orgId: ORG, workerId, name, pool: "default" },
    claimant: {
      orgId: ORG,
      workerId,
      sessionId,
      pool: "default",
      labels: [...labels, "ritmo/executor=process"],
      freeSlots: slots,
      freeCpuMillis: 4_000,
      freeMemoryBytes: 8 * 1024 ** 3,
    },
  };
}

/** States of a build's steps, by key. */
export async function stepStates(db: Db, buildId: string): Promise<Record<string, string>> {
  const rows = await db.sql<{ key: string; state: string }[]>`
    SELECT key, state FROM steps WHERE build_id = ${buildId} ORDER BY position`;
  return Object.fromEntries(rows.map((row) => [row.key, row.state]));
}
