import { createHash } from "node:crypto";
import { join } from "node:path";
import { BuildState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { LogService } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import { type Bench, bareSteps } from "./bench.ts";
import { type Row, round } from "./figures.ts";
import { memoryBytes, peakMemoryBytes } from "./measure-memory.ts";
import { sampleText, writeSampleText } from "./sample-text.ts";

const MIB = 1024 * 1024;
const GOAL_MIB = 256;

/** A log of 100 MiB of text and then one line of 20 MiB: whether it comes back byte for byte, and what it cost in memory. */
export async function measureLargeLog({ ritmo, quick }: Bench): Promise<Row[]> {
  const [textBytes, lineBytes] = quick ? [10 * MIB, 2 * MIB] : [100 * MIB, 20 * MIB];
  const worker = await ritmo.startWorker("w1", { RITMO_LOG_LEVEL: "warn" });
  const controlPlane = ritmo.controlPlanes[0]?.pid ?? 0;
  const file = join(ritmo.folder, "large.txt");
  writeSampleText(file, textBytes);
  await ritmo.createJob("warm", "", bareSteps(1, "true"));
  await ritmo.untilOver(await ritmo.run("warm"));
  const before = memoryBytes(controlPlane);
  await ritmo.createJob("large", "", bareSteps(1, `cat ${file}; head -c ${lineBytes} /dev/zero | tr '\\0' x`));
  const build = await ritmo.untilOver(await ritmo.run("large"), 600_000);
  if (build.state !== BuildState.SUCCESS) throw new Error(`${build.name}: ${build.cause}`);
  const read = createHash("sha256");
  for await (const { data } of ritmo.client(LogService).followLog({ name: `${build.name}/s0` })) read.update(data);
  const written = createHash("sha256").update(sampleText(textBytes)).update("x".repeat(lineBytes)).digest("hex");
  const whole = read.digest("hex") === written;
  const [ofWorker, more] = [peakMemoryBytes(worker.pid), peakMemoryBytes(controlPlane) - before].map((b) => b / MIB);
  return [
    {
      measure: `log of ${textBytes / MIB} MiB and a line of ${lineBytes / MIB} MiB, written and read back`,
      reached: `${whole ? "byte-complete" : "NOT COMPLETE"}; worker peaks at ${round(ofWorker ?? 0)} MiB, control plane +${round(more ?? 0)} MiB`,
      limit: `${GOAL_MIB} MiB, +${GOAL_MIB} MiB`,
      limitIs: "the goal",
      ratio: (Math.max(ofWorker ?? 0, more ?? 0) / GOAL_MIB).toFixed(2),
    },
  ];
}
