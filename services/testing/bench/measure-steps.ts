import { randomUUID } from "node:crypto";
import { BuildState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { claimSteps } from "../../control-plane/queue/claim-steps.ts";
import { finishStep } from "../../control-plane/queue/finish-step.ts";
import { startStep } from "../../control-plane/queue/start-step.ts";
import { attendingWorker, runningBuild } from "../build-fixture.ts";
import { type Bench, bareSteps } from "./bench.ts";
import { type Row, round } from "./figures.ts";

const SLOTS = 8;

/** Steps that do nothing, end to end: queue, streams, states and events all durable. */
export async function measureSteps(bench: Bench): Promise<Row[]> {
  const { ritmo, quick } = bench;
  const bare = await measureBare(bench);
  const rows: Row[] = [];
  const add = (what: string, rate: number) =>
    rows.push({
      measure: `no-op steps/s end to end, ${what}`,
      reached: `${round(rate)}/s`,
      limit: `${round(bare)}/s`,
      limitIs: `claim, start and finish bare, ${SLOTS} at once`,
      ratio: (rate / bare).toFixed(2),
    });
  let workers = 0;
  for (const wanted of quick ? [1] : [1, 4, 16]) {
    for (; workers < wanted; workers++) {
      await ritmo.startWorker(`scripted-${workers}`, {
        RITMO_EXECUTORS: "scripted",
        RITMO_SLOTS: String(SLOTS),
        RITMO_LOG_LEVEL: "warn",
      });
    }
    add(`scripted, ${wanted} × ${SLOTS} slots`, await rate(bench, `scripted-${wanted}`, quick ? 200 : 2_000));
  }
  return rows;
}

async function rate({ ritmo }: Bench, job: string, count: number): Promise<number> {
  await ritmo.createJob(job, "", bareSteps(count, "exit 0"));
  const warm = `${job}-warm`;
  await ritmo.createJob(warm, "", bareSteps(50, "exit 0"));
  await ritmo.untilOver(await ritmo.run(warm));
  const before = performance.now();
  const build = await ritmo.untilOver(await ritmo.run(job), 600_000);
  if (build.state !== BuildState.SUCCESS) throw new Error(`${build.name} did not succeed: ${build.cause}`);
  return count / ((performance.now() - before) / 1000);
}

async function measureBare({ db, quick }: Bench): Promise<number> {
  const count = quick ? 200 : 1_000;
  await runningBuild(
    db,
    Array.from({ length: count }, (_, i) => ({ key: `s${i}`, requires: ["bare=true"] })),
  );
  const worker = await attendingWorker(db, { leaseSeconds: 3600 });
  const before = performance.now();
  await Promise.all(
    Array.from({ length: SLOTS }, async () => {
      for (;;) {
        const [step] = await claimSteps(db, { ...worker.claimant, labels: ["bare=true"], freeSlots: 1 });
        if (!step) return;
        await startStep(db.sql, worker.caller, step.leaseId, "running", undefined);
        await finishStep(db.sql, worker.caller, {
          leaseId: step.leaseId,
          resultId: randomUUID(),
          end: { kind: "exited", code: 0 },
          startedAt: undefined,
          endedAt: undefined,
          failedEntry: 0,
          finalOffset: 0,
          finalPrepareOffset: 0,
          logSha256: new Uint8Array(32),
          droppedLogBytes: 0,
        });
      }
    }),
  );
  return count / ((performance.now() - before) / 1000);
}
