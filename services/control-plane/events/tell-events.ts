import type { Event } from "@ritmo/contract/ritmo/event/v1/event_pb.js";
import { readJobs } from "../jobs/read-jobs.ts";
import type { Sql } from "../store/open-database.ts";
import { eventMessage } from "./event-message.ts";
import { type Position, writeCursor } from "./position.ts";
import type { EventPage, RowKind } from "./read-events.ts";

/** An event as it is told, with what watchers filter by. */
export interface Told {
  position: Position;
  kind: RowKind;
  buildId: string | null;
  event: Event;
}

/** A page as messages. Events about jobs carry the job as it is now, read once for all of them. */
export async function tellEvents(sql: Sql, { rows, position }: Pick<EventPage, "rows" | "position">): Promise<Told[]> {
  const cursor = writeCursor(position);
  const ids = rows.filter((row) => row.kind === "job").map((row) => String(row.payload["job_id"]));
  const jobs = new Map((await readJobs(sql, [...new Set(ids)])).map((job) => [job.id, job]));
  return rows.map((row) => ({
    position: row.position,
    kind: row.kind,
    buildId: row.buildId,
    event: eventMessage(row, cursor, jobs),
  }));
}
