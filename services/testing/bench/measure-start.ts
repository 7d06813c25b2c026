import { spawn } from "node:child_process";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { BuildService } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { claimSteps } from "../../control-plane/queue/claim-steps.ts";
import { attendingWorker, runningBuild } from "../build-fixture.ts";
import { type Bench, bareSteps } from "./bench.ts";
import { percentile, type Row, spread } from "./figures.ts";

/** From the call that creates a build to the start of its process, one at a time on an idle worker. */
export async function measureStart({ ritmo, db, quick }: Bench): Promise<Row[]> {
  const count = quick ? 20 : 200;
  await ritmo.startWorker("w1");
  await ritmo.createJob("start", "", bareSteps(1, "true"));
  const builds = ritmo.client(BuildService);
  const took: number[] = [];
  for (let i = 0; i < count + 10; i++) {
    const before = performance.timeOrigin + performance.now();
    const name = await ritmo.run("start");
    await ritmo.untilOver(name);
    const { attempts } = await builds.listAttempts({ step: `${name}/s0` });
    const startedAt = attempts[0]?.startedAt;
    // The first few warm caches and compilers.
    if (i >= 10 && startedAt) took.push(timestampMs(startedAt) - before);
  }
  const bare = await measureBare(db, count);
  return [
    {
      measure: "create → process started, idle worker",
      reached: spread(took),
      limit: spread(bare),
      limitIs: "the same statements one after the other and a bare spawn",
      ratio: (percentile(took, 50) / percentile(bare, 50)).toFixed(1),
    },
  ];
}

async function measureBare(db: Bench["db"], count: number): Promise<number[]> {
  const worker = await attendingWorker(db, { leaseSeconds: 3600 });
  const took: number[] = [];
  for (let i = 0; i < count; i++) {
    const before = performance.now();
    await runningBuild(db, [{ key: "s0", requires: ["bare=true"] }]);
    await claimSteps(db, { ...worker.claimant, labels: ["bare=true"] });
    const child = spawn("/bin/true");
    await new Promise((resolve) => child.once("spawn", resolve));
    took.push(performance.now() - before);
  }
  return took;
}
