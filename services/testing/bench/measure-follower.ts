import { BuildService } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { LogService } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import { sleep } from "../../process/wait.ts";
import type { Bench } from "./bench.ts";
import { percentile, type Row, spread } from "./figures.ts";
import { measureBareStream } from "./measure-bare-stream.ts";

/** From the moment a line is made to a follower that sees it, through spool, commit and stream, on an idle house. */
export async function measureFollower({ ritmo, quick }: Bench): Promise<Row[]> {
  const lines = quick ? 40 : 400;
  await ritmo.startWorker("w1");
  // The line carries the time at which it was made.
  const run = `i=0; while [ $i -lt ${lines} ]; do date +%s%N; i=$((i+1)); sleep 0.02; done`;
  await ritmo.createJob("lines", "", `version: 1\nsteps:\n  s0: { checkout: false, run: ${JSON.stringify(run)} }\n`);
  const name = await ritmo.run("lines");
  const builds = ritmo.client(BuildService);
  // NOT_FOUND until the build is planned, attempt 0 until it is leased.
  const attempted = async () => ((await builds.getStep({ name: `${name}/s0` })).step?.attempt ?? 0) > 0;
  while (!(await attempted().catch(() => false))) await sleep(5);
  const took: number[] = [];
  let rest = "";
  for await (const { data } of ritmo.client(LogService).followLog({ name: `${name}/s0` })) {
    const now = performance.timeOrigin + performance.now();
    const parts = (rest + Buffer.from(data).toString()).split("\n");
    rest = parts.pop() ?? "";
    for (const line of parts) took.push(now - Number(line) / 1e6);
  }
  const bare = await measureBareStream(lines);
  const settled = took.slice(10);
  return [
    {
      measure: "line → follower, durable first, idle",
      reached: spread(settled),
      limit: spread(bare),
      limitIs: "a bare grpc-js stream, not durable",
      ratio: (percentile(settled, 50) / percentile(bare, 50)).toFixed(1),
    },
  ];
}
