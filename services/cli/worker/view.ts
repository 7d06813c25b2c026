import { FleetService, type Worker, WorkerSchema } from "@ritmo/contract/ritmo/fleet/v1/fleet_pb.js";
import type { Cli } from "../cli.ts";
import { neutralise } from "../neutralise.ts";
import { openServer } from "../open-client.ts";
import { paint } from "../paint.ts";
import { pick, printJson, readFields } from "../print-json.ts";
import { WORKER_LOOK } from "../states.ts";
import { ago, sizeText } from "../times.ts";
import { labelsText } from "./labels.ts";

/** Shows one worker. */
export async function viewWorker(cli: Cli, options: { json?: string | true }, [name = ""]: string[]): Promise<void> {
  const fields = readFields(options.json, WorkerSchema);
  const { worker } = await openServer(cli).client(FleetService).getWorker({ name });
  if (!worker) return;
  if (fields) return printJson(cli.io, pick(WorkerSchema, worker, fields));
  const { mark, word, style } = WORKER_LOOK[worker.state];
  const head = paint(cli.io, style, `${mark} ${neutralise(worker.name)} ${word}`);
  const rows = rowsOf(worker).filter(([, value]) => value !== "");
  await cli.io.stdout.write(
    `${head}\n${rows.map(([title, value]) => `${title.padEnd(12)}${neutralise(value)}\n`).join("")}`,
  );
}

function rowsOf(worker: Worker): [string, string][] {
  const machine = [
    worker.os,
    worker.arch,
    worker.cpus > 0 ? `${worker.cpus} CPUs` : "",
    sizeIfAny(worker.memoryBytes, "memory"),
    sizeIfAny(worker.diskBytes, "disk"),
  ];
  return [
    ["Drained for", worker.drainReason],
    ["Runs", worker.steps.join(", ")],
    ["Slots", worker.slots > 0 ? `${worker.busySlots} of ${worker.slots} busy` : ""],
    ["Labels", labelsText(worker.labels)],
    ["Pool", worker.pool],
    ["Executors", worker.executors.join(", ")],
    ["Containers", worker.containerEngine],
    ["Machine", machine.filter((part) => part !== "").join(", ")],
    ["Host", worker.hostname],
    ["Version", worker.version],
    ["Last seen", ago(worker.lastSeenAt)],
    ["Made", ago(worker.createdAt)],
  ];
}

function sizeIfAny(bytes: bigint, what: string): string {
  return bytes > 0n ? `${sizeText(bytes)} ${what}` : "";
}
