import { create } from "@bufbuild/protobuf";
import { type Event, type WatchResponse, WatchResponseSchema } from "@ritmo/contract/ritmo/event/v1/event_pb.js";
import { Refusal } from "../../process/refusal.ts";
import type { Sql } from "../store/open-database.ts";
import { isAfter, type Tails } from "./open-tails.ts";
import { isBefore, type Position, readCursor, writeCursor } from "./position.ts";
import { type EventFilter, type EventPage, readBounds, readEnd, readEvents } from "./read-events.ts";
import { readSnapshot } from "./read-snapshot.ts";
import { tellEvents } from "./tell-events.ts";

export interface WatchDeps {
  db: { sql: Sql };
  tails: Tails;
  /** Aborts when this replica stops. */
  stopping: AbortSignal;
}

export interface Watched {
  orgId: string;
  /** As the caller sent it. */
  cursor: string;
  filter: EventFilter;
  /** Whether lengths of queues are wanted. */
  queues: boolean;
}

const BATCH = 500;
export const BEAT_MS = 10_000;

/**
 * Everything since a cursor and then everything that happens, each event once and the events of each row in the
 * order in which they happened; without a cursor, or with one that is older than what is kept, a snapshot first. A
 * message leads to its cursor as a whole: in its middle there is no place to go on from. Ends when `signal` aborts.
 * Refuses with CURSOR_INVALID, SLOW_READER, and unavailable STOPPING and HISTORY_REPLACED.
 */
export async function* watchEvents(
  deps: WatchDeps,
  watched: Watched,
  signal: AbortSignal,
  beatMs = BEAT_MS,
): AsyncGenerator<WatchResponse> {
  const { sql } = deps.db;
  const { orgId, filter } = watched;
  let position = await readStart(sql, watched.cursor);
  if (position === undefined) {
    // Taken before the snapshot: what changes while that is read comes once more as history, and nothing is missed.
    position = await readEnd(sql, orgId);
    for await (const events of readSnapshot(sql, orgId, filter)) yield message(events, undefined, { snapshot: true });
    yield message([], position, { snapshot: true, snapshotEnd: true });
  }
  for (let more = true; more; ) {
    refuseWhenStopping(deps.stopping);
    const page = await readEvents(sql, orgId, { after: position, limit: BATCH }, filter);
    ({ position, more } = page);
    if (page.rows.length > 0) yield message(await told(sql, page), position);
  }
  yield* live(deps, watched, position, signal, beatMs);
}

async function* live(
  deps: WatchDeps,
  { orgId, filter, queues }: Watched,
  caughtUp: Position,
  signal: AbortSignal,
  beatMs: number,
): AsyncGenerator<WatchResponse> {
  const { buildId, kinds } = filter;
  using joined = await deps.tails.join(orgId, {
    queues,
    event: (one) =>
      isAfter(one, caughtUp) &&
      (buildId === undefined || one.buildId === buildId) &&
      (kinds === undefined || kinds.includes(one.kind)),
  });
  const { subscription, from } = joined;
  const ends = AbortSignal.any([signal, deps.stopping]);
  let position = caughtUp;
  // What the tail had passed already when this watcher joined it.
  for (let more = isBefore(position, from); more; ) {
    const page = await readEvents(deps.db.sql, orgId, { after: position, upTo: from, limit: BATCH }, filter);
    ({ position, more } = page);
    if (page.rows.length > 0) yield message(await told(deps.db.sql, page), position);
  }
  // At once, so that the caller knows that the rest is live.
  yield message([], position);
  for (;;) {
    await subscription.ready(beatMs, ends);
    refuseWhenStopping(deps.stopping);
    if (signal.aborted) return;
    const page = subscription.take();
    if (isBefore(position, page.position)) position = page.position;
    yield message(placeAll(page.events, position), position);
  }
}

/** Gives what has no place of its own the one that its message leads to. */
function placeAll(events: Event[], position: Position): Event[] {
  return events.map((event) => (event.cursor === "" ? { ...event, cursor: writeCursor(position) } : event));
}

/** Where to go on from; undefined where only a snapshot helps. */
async function readStart(sql: Sql, cursor: string): Promise<Position | undefined> {
  const position = readCursor(cursor);
  if (!position) return undefined;
  const { life, dropped, newest } = await readBounds(sql);
  // Of another life: the database was restored since, and its transactions are counted anew. Past every transaction:
  // nobody gave it out.
  const unknown = position.life !== life || isBefore(position, dropped) || position.xid > newest;
  return unknown ? undefined : position;
}

async function told(sql: Sql, page: EventPage): Promise<Event[]> {
  return (await tellEvents(sql, page)).map((one) => one.event);
}

function message(
  events: Event[],
  position: Position | undefined,
  part: { snapshot?: boolean; snapshotEnd?: boolean } = {},
): WatchResponse {
  return create(WatchResponseSchema, { events, cursor: position ? writeCursor(position) : "", ...part });
}

function refuseWhenStopping(stopping: AbortSignal): void {
  if (stopping.aborted)
    throw new Refusal("unavailable", "STOPPING", "this server is stopping; reconnect with jitter", {
      retryAfterMs: 500,
    });
}
