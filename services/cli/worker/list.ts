import { FleetService, type Worker, WorkerSchema, WorkerState } from "@ritmo/contract/ritmo/fleet/v1/fleet_pb.js";
import type { Cli } from "../cli.ts";
import { collectPages, readLimit } from "../collect-pages.ts";
import { usage } from "../exit-codes.ts";
import { openServer } from "../open-client.ts";
import { pick, printJson, readFields } from "../print-json.ts";
import { type Cell, printTable } from "../print-table.ts";
import { stateNamed, WORKER_LOOK } from "../states.ts";
import { ago } from "../times.ts";
import { labelsText } from "./labels.ts";

interface Options {
  state?: string[];
  pool?: string;
  limit: string;
  json?: string | true;
}

/** Prints workers as a table, or as an array of the named fields. */
export async function listWorkers(cli: Cli, options: Options): Promise<void> {
  const fields = readFields(options.json, WorkerSchema);
  const limit = readLimit(options.limit);
  const query = {
    states: (options.state ?? []).flatMap((text) => text.split(",")).map(readState),
    pool: options.pool ?? "",
  };
  const client = openServer(cli).client(FleetService);
  const workers = await collectPages(cli.io, limit, async (page) => {
    const { workers: items, nextPageToken: next } = await client.listWorkers({ ...query, ...page });
    return { items, next };
  });
  if (fields)
    return printJson(
      cli.io,
      workers.map((worker) => pick(WorkerSchema, worker, fields)),
    );
  await printTable(cli.io, ["WORKER", "STATE", "BUSY", "POOL", "SEEN", "LABELS"], workers.map(rowOf));
  if (workers.length === 0)
    await cli.io.stderr.write("No workers. `ritmo worker create NAME` makes a place for one.\n");
}

function rowOf(worker: Worker): Cell[] {
  const { mark, word, style } = WORKER_LOOK[worker.state];
  const busy = worker.state === WorkerState.NEW ? "" : `${worker.busySlots}/${worker.slots}`;
  return [
    worker.name,
    { text: `${mark} ${word}`, style },
    busy,
    worker.pool,
    ago(worker.lastSeenAt),
    labelsText(worker.labels),
  ];
}

function readState(text: string): WorkerState {
  const state = stateNamed(WORKER_LOOK, WorkerState as unknown as Record<string, number>, text);
  if (state !== undefined) return state;
  throw usage(`No state is named ${JSON.stringify(text)}. There are: new, online, draining, offline.`);
}
