import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
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
    const job = { name: `scripted-${wanted}`, run: "exit 0", repository: "" };
    add(`scripted, ${wanted} × ${SLOTS} slots`, await rate(bench, job, quick ? 200 : 2_000));
  }
  return rows;
}

/** The same with real processes, without a checkout and with one of a small repository. */
export async function measureProcessSteps(bench: Bench): Promise<Row[]> {
  const { ritmo, quick } = bench;
  const bare = await measureBare(bench);
  await ritmo.startWorker("processes", { RITMO_SLOTS: String(SLOTS), RITMO_LOG_LEVEL: "warn" });
  const repository = `file://${makeRepository(join(ritmo.folder, "small"))}`;
  const measures = [
    { what: "process, checkout: false", name: "bare", repository: "", count: quick ? 100 : 1_000 },
    { what: "process, with checkout", name: "checkout", repository, count: quick ? 40 : 200 },
  ];
  const rows: Row[] = [];
  for (const { what, count, ...job } of measures) {
    const reached = await rate(bench, { ...job, run: "true" }, count);
    rows.push({
      measure: `no-op steps/s end to end, ${what}, 1 × ${SLOTS} slots`,
      reached: `${round(reached)}/s`,
      limit: `${round(bare)}/s`,
      limitIs: `claim, start and finish bare, ${SLOTS} at once`,
      ratio: (reached / bare).toFixed(2),
    });
  }
  return rows;
}

async function rate({ ritmo }: Bench, job: { name: string; run: string; repository: string }, count: number) {
  const checkout = job.repository !== "";
  await ritmo.createJob(job.name, job.repository, bareSteps(count, job.run, { checkout }));
  const warm = `${job.name}-warm`;
  await ritmo.createJob(warm, job.repository, bareSteps(50, job.run, { checkout }));
  await ritmo.untilOver(await ritmo.run(warm));
  const before = performance.now();
  const build = await ritmo.untilOver(await ritmo.run(job.name), 600_000);
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

function makeRepository(folder: string): string {
  mkdirSync(folder);
  writeFileSync(join(folder, "README.md"), "small\n");
  const git = (...args: string[]) =>
    execFileSync("git", ["-c", "user.name=Bench", "-c", "user.email=bench@localhost", ...args], { cwd: folder });
  git("init", "--quiet", "--initial-branch", "main");
  git("add", ".");
  git("commit", "--quiet", "--message", "small");
  return folder;
}
