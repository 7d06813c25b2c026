import type { ServiceImpl } from "@connectrpc/connect";
import { EventKind, type EventService, type WatchRequest } from "@ritmo/contract/ritmo/event/v1/event_pb.js";
import { badField } from "../../process/refusal.ts";
import { nameOfState } from "../builds/state-names.ts";
import type { Core } from "../core.ts";
import { callerOf } from "../edge/context.ts";
import { openTails } from "../events/open-tails.ts";
import type { RowKind } from "../events/read-events.ts";
import { type Watched, watchEvents } from "../events/watch-events.ts";
import { resolveBuild } from "../names/resolve.ts";
import type { Sql } from "../store/open-database.ts";

const KINDS = {
  build: EventKind.BUILD,
  step: EventKind.STEP,
  worker: EventKind.WORKER,
  queue: EventKind.QUEUE,
  job: EventKind.JOB,
} as const satisfies Record<RowKind | "queue", EventKind>;

/** Everything that changes, as one stream per watcher; one reader of the table per organization feeds them all. */
export function eventService({
  db,
  hints,
  logger,
  stopping,
}: Pick<Core, "db" | "hints" | "logger" | "stopping">): ServiceImpl<typeof EventService> {
  const tails = openTails({ db, hints, logger });
  return {
    async *watch(request, context) {
      const { orgId } = callerOf(context);
      const watched = await readRequest(db.sql, orgId, request);
      yield* watchEvents({ db, tails, stopping }, watched, context.signal);
    },
  };
}

async function readRequest(sql: Sql, orgId: string, { cursor, build, kinds }: WatchRequest): Promise<Watched> {
  const buildId = build === "" ? undefined : (await resolveBuild(sql, orgId, build, "build")).id;
  const names = kinds.map((kind) => {
    const name = nameOfState(KINDS, kind);
    if (name === undefined) throw badField("kinds", `${kind} is none of the kinds`);
    return name;
  });
  const rows = names.filter((name) => name !== "queue");
  return {
    orgId,
    cursor,
    filter: { buildId, kinds: names.length === 0 ? undefined : rows },
    queues: buildId === undefined && (names.length === 0 || names.includes("queue")),
  };
}
