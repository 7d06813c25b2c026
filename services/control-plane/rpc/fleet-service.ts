import type { ServiceImpl } from "@connectrpc/connect";
import {
  CreateWorkerResponseSchema,
  DeleteWorkerResponseSchema,
  DrainWorkerResponseSchema,
  type FleetService,
  ResumeWorkerResponseSchema,
} from "@ritmo/contract/ritmo/fleet/v1/fleet_pb.js";
import { badField } from "../../process/refusal.ts";
import { nameOfState } from "../builds/state-names.ts";
import type { Core } from "../core.ts";
import { callerOf } from "../edge/context.ts";
import { createWorker, readNewWorker } from "../fleet/create-worker.ts";
import { deleteWorker } from "../fleet/delete-worker.ts";
import { drainWorker } from "../fleet/drain-worker.ts";
import { listWorkers, readWorker } from "../fleet/read-workers.ts";
import { resumeWorker } from "../fleet/resume-worker.ts";
import { WORKER_STATES } from "../fleet/worker-message.ts";
import { once } from "../identity/once.ts";
import { resolveWorker } from "../names/resolve.ts";
import type { Sql } from "../store/open-database.ts";
import { pageSize } from "./page-size.ts";
import { openPageTokens } from "./page-token.ts";

/** The workers, and who may be one: each call decodes, does one verb, and answers. */
export function fleetService({ db, hints }: Pick<Core, "db" | "hints">): ServiceImpl<typeof FleetService> {
  const { sql } = db;
  const pages = openPageTokens(db);
  const tell = (orgId: string, sessions: string[]) => {
    for (const id of sessions) hints.send("session", id);
    hints.send("events", orgId);
  };
  return {
    async listWorkers(request, context) {
      const { orgId } = callerOf(context);
      const limit = pageSize(request.pageSize, { fallback: 100, max: 500 });
      const filters = { states: readStates(request.states), pool: readPool(request.pool) };
      const list = { orgId, list: "workers", filters };
      const [after] = (await pages.read<[string]>(list, request.pageToken)) ?? [];
      const workers = await listWorkers(sql, orgId, filters, { after, limit: limit + 1 });
      const last = workers.length > limit ? workers[limit - 1] : undefined;
      return { workers: workers.slice(0, limit), nextPageToken: last ? await pages.write(list, [last.name]) : "" };
    },
    async getWorker({ name }, context) {
      const { id } = await resolveWorker(sql, callerOf(context).orgId, name);
      return { worker: await readWorker(sql, id) };
    },
    async createWorker(request, context) {
      const caller = callerOf(context);
      const wanted = readNewWorker(request);
      const run = async (tx: Sql) => {
        const { id, token } = await createWorker(tx, caller.orgId, wanted);
        return { worker: await readWorker(tx, id), token };
      };
      const response = await once(db, caller, "FleetService/CreateWorker", request, CreateWorkerResponseSchema, run, {
        // The token is answered once and kept nowhere.
        remember: ({ worker }) => (worker ? { worker } : {}),
      });
      tell(caller.orgId, []);
      return response;
    },
    async drainWorker(request, context) {
      const caller = callerOf(context);
      let sessions: string[] = [];
      const response = await once(
        db,
        caller,
        "FleetService/DrainWorker",
        request,
        DrainWorkerResponseSchema,
        async (tx) => {
          const worker = await resolveWorker(tx, caller.orgId, request.name);
          sessions = await drainWorker(tx, worker, request.reason);
          return { worker: await readWorker(tx, worker.id) };
        },
      );
      tell(caller.orgId, sessions);
      return response;
    },
    async resumeWorker(request, context) {
      const caller = callerOf(context);
      let resumed: Awaited<ReturnType<typeof resumeWorker>> = { sessions: [], pool: "" };
      const response = await once(
        db,
        caller,
        "FleetService/ResumeWorker",
        request,
        ResumeWorkerResponseSchema,
        async (tx) => {
          const worker = await resolveWorker(tx, caller.orgId, request.name);
          resumed = await resumeWorker(tx, worker);
          return { worker: await readWorker(tx, worker.id) };
        },
      );
      tell(caller.orgId, resumed.sessions);
      if (resumed.pool) hints.send("queue", resumed.pool);
      return response;
    },
    async deleteWorker(request, context) {
      const caller = callerOf(context);
      let sessions: string[] = [];
      const response = await once(
        db,
        caller,
        "FleetService/DeleteWorker",
        request,
        DeleteWorkerResponseSchema,
        async (tx) => {
          sessions = await deleteWorker(tx, await resolveWorker(tx, caller.orgId, request.name));
          return {};
        },
      );
      tell(caller.orgId, sessions);
      return response;
    },
  };
}

function readStates(asked: number[]) {
  const names = asked.map((state) => {
    const name = nameOfState(WORKER_STATES, state);
    if (name === undefined) throw badField("states", `${state} is none of the states`);
    return name;
  });
  return [...new Set(names)].sort();
}

function readPool(pool: string): string {
  if (pool !== "" && !/^[a-z0-9][a-z0-9-]{0,62}$/.test(pool)) throw badField("pool", "is not the name of a pool");
  return pool;
}
