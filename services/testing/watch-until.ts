import type { Event, WatchResponse } from "@ritmo/contract/ritmo/event/v1/event_pb.js";
import { expect } from "vitest";
import { type WatchDeps, type Watched, watchEvents } from "../control-plane/events/watch-events.ts";
import type { Sql } from "../control-plane/store/open-database.ts";

/** What a watcher of the whole organization asks for. */
export const everything = (cursor = ""): Watched => ({ orgId: "org_default", cursor, filter: {}, queues: false });

/** Watches until `enough` says so; then the stream is broken as a client breaks it. */
export async function watchUntil(
  deps: WatchDeps,
  watched: Watched,
  enough: (messages: WatchResponse[]) => boolean,
  beatMs = 10_000,
): Promise<WatchResponse[]> {
  const leave = new AbortController();
  const messages: WatchResponse[] = [];
  for await (const message of watchEvents(deps, watched, leave.signal, beatMs)) {
    messages.push(message);
    if (enough(messages)) break;
  }
  return messages;
}

/** Watches to where it is live, once everything committed so far is final: other databases' transactions hold it up too. */
export async function watchNow(deps: WatchDeps, watched: Watched): Promise<WatchResponse[]> {
  const { sql }: { sql: Sql } = deps.db;
  const [row] = await sql<{ xid: string }[]>`SELECT pg_current_xact_id()::text AS xid`;
  const isFinal = async () => {
    const [now] = await sql`SELECT pg_snapshot_xmin(pg_current_snapshot()) > ${row?.xid ?? ""}::xid8 AS final`;
    return now?.["final"];
  };
  await expect.poll(isFinal, { timeout: 20_000 }).toBe(true);
  return await watchUntil(deps, watched, isLive);
}

/** The stream has caught up: its last message has a place and is of no snapshot. */
export function isLive(messages: WatchResponse[]): boolean {
  const last = messages.at(-1);
  return last !== undefined && last.cursor !== "" && !last.snapshot;
}

export function eventsOf(messages: WatchResponse[]): Event[] {
  return messages.flatMap((message) => message.events);
}

export function cursorOf(messages: WatchResponse[]): string {
  return messages.at(-1)?.cursor ?? "";
}

/** `build hello#1`: what an event is about, in a word. */
export function word({ subject }: Event): string {
  const named = subject.case === "build" || subject.case === "step" || subject.case === "worker";
  return named ? `${subject.case} ${subject.value.name}` : `${subject.case}`;
}
