import { EventKind, EventService, type WatchResponse } from "@ritmo/contract/ritmo/event/v1/event_pb.js";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openLogger } from "../../process/logger.ts";
import { callHandlers, refusalOf } from "../../testing/call-handlers.ts";
import { type FreshDatabase, freshDatabase } from "../../testing/fresh-database.ts";
import { plantBuild, plantJob, plantOrganization, plantStep, plantWorker } from "../../testing/plant-rows.ts";
import { eventsOf, isLive, word } from "../../testing/watch-until.ts";
import { type Hints, openHints } from "../store/hints.ts";
import { eventService } from "./event-service.ts";

let fresh: FreshDatabase;
let hints: Hints;
const stopping = new AbortController();

beforeEach(async () => {
  fresh = await freshDatabase();
  hints = openHints(fresh.url, openLogger("test", "silent"));
});
afterEach(async () => {
  await hints.close();
  await fresh[Symbol.asyncDispose]();
});

/** The snapshot and whatever follows it, up to where the stream is live. */
async function watch(request: object, orgId = "org_default"): Promise<WatchResponse[]> {
  const logger = openLogger("test", "silent");
  const deps = { db: fresh.db, hints, logger, stopping: stopping.signal };
  const messages: WatchResponse[] = [];
  const leave = new AbortController();
  const stream = callHandlers(EventService, eventService(deps), { orgId }).watch(request, { signal: leave.signal });
  for await (const message of stream) {
    messages.push(message);
    if (isLive(messages)) break;
  }
  return messages;
}
const snapshot = async (request: object, orgId?: string) =>
  eventsOf((await watch(request, orgId)).filter((message) => message.snapshot)).map(word);

test("a build is named as everywhere, and kinds choose what is told", async () => {
  const { sql } = fresh.db;
  const build = await plantBuild(sql, await plantJob(sql, "hello"));
  await plantStep(sql, build, { key: "test" });
  await plantWorker(sql, "local");
  expect(await snapshot({})).toEqual(["build hello#1", "step hello#1/test", "worker local"]);
  for (const name of ["hello#1", build, "https://ci.example.com/jobs/hello/builds/1"])
    expect(await snapshot({ build: name })).toEqual(["build hello#1", "step hello#1/test"]);
  expect(await snapshot({ kinds: [EventKind.STEP, EventKind.WORKER] })).toEqual(["step hello#1/test", "worker local"]);
  expect(await snapshot({ kinds: [EventKind.QUEUE] })).toEqual([]);
});

test("what can't be watched is refused", async () => {
  await plantBuild(fresh.db.sql, await plantJob(fresh.db.sql, "hello"));
  const stranger = await plantOrganization(fresh.db.sql, "stranger");
  expect(await refusalOf(watch({ cursor: "nonsense" }))).toMatchObject({
    code: "InvalidArgument",
    reason: "CURSOR_INVALID",
  });
  expect(await refusalOf(watch({ kinds: [99] }))).toMatchObject({ code: "InvalidArgument" });
  expect(await refusalOf(watch({ build: "hello" }))).toMatchObject({ reason: "WRONG_KIND" });
  expect(await refusalOf(watch({ build: "hello#2" }))).toMatchObject({ code: "NotFound" });
  expect(await refusalOf(watch({ build: "hello#1" }, stranger))).toMatchObject({ code: "NotFound" });
  expect(await snapshot({}, stranger)).toEqual([]);
});
