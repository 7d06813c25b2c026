import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { BuildService } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { LogService } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import { sleep } from "../../process/wait.ts";
import type { Ritmo } from "../start-ritmo.ts";
import { type Bench, bareSteps } from "./bench.ts";
import { percentile, type Row, spread } from "./figures.ts";
import { measureBareStream } from "./measure-bare-stream.ts";
import { writeSampleText } from "./sample-text.ts";

/** From the moment a line is made to a follower that sees it, through spool, commit and stream: idle, and beside a flood. */
export async function measureFollower({ ritmo, quick }: Bench): Promise<Row[]> {
  const lines = quick ? 40 : 400;
  await ritmo.startWorker("w1", { RITMO_SLOTS: "2", RITMO_LOG_LEVEL: "warn" });
  // The line carries the time at which it was made.
  const run = `i=0; while [ $i -lt ${lines} ]; do date +%s%N; i=$((i+1)); sleep 0.02; done`;
  await ritmo.createJob("lines", "", bareSteps(1, run));
  const idle = await follow(ritmo, await ritmo.run("lines"));
  const bare = await measureBareStream(lines);
  const file = join(ritmo.folder, "flood.txt");
  writeSampleText(file, 16 * 1024 * 1024);
  await ritmo.createJob("flood", "", bareSteps(1, `while :; do cat ${file}; done`));
  const flood = await ritmo.run("flood");
  await untilAttempted(ritmo, flood);
  const flooded = await follow(ritmo, await ritmo.run("lines"));
  await ritmo.client(BuildService).cancelBuild({ requestId: randomUUID(), name: flood });
  const row = (what: string, took: number[]): Row => ({
    measure: `line → follower, durable first, ${what}`,
    reached: spread(took),
    limit: spread(bare),
    limitIs: "a bare grpc-js stream, idle, not durable",
    ratio: (percentile(took, 50) / percentile(bare, 50)).toFixed(1),
  });
  return [row("idle", idle), row("beside a step that floods its log as fast as it is taken", flooded)];
}

async function follow(ritmo: Ritmo, build: string): Promise<number[]> {
  await untilAttempted(ritmo, build);
  const took: number[] = [];
  let rest = "";
  for await (const { data } of ritmo.client(LogService).followLog({ name: `${build}/s0` })) {
    const now = performance.timeOrigin + performance.now();
    const parts = (rest + Buffer.from(data).toString()).split("\n");
    rest = parts.pop() ?? "";
    for (const line of parts) took.push(now - Number(line) / 1e6);
  }
  return took.slice(10);
}

async function untilAttempted(ritmo: Ritmo, build: string): Promise<void> {
  const builds = ritmo.client(BuildService);
  // NOT_FOUND until the build is planned, attempt 0 until it is leased.
  const attempted = async () => ((await builds.getStep({ name: `${build}/s0` })).step?.attempt ?? 0) > 0;
  while (!(await attempted().catch(() => false))) await sleep(5);
}
