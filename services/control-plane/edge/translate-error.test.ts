import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "@ritmo/contract/google/rpc/error_details_pb.js";
import postgres from "postgres";
import { expect, test, vi } from "vitest";
import type { Logger } from "../../process/logger.ts";
import { notFound } from "../../process/refusal.ts";
import { freshDatabase } from "../../testing/fresh-database.ts";
import { translateError } from "./translate-error.ts";

function translate(reason: unknown) {
  const logger = { error: vi.fn(), warn: vi.fn() };
  return { error: translateError(reason, { logger: logger as unknown as Logger, requestId: "r-1" }), logger };
}

const caught = (run: PromiseLike<unknown>) =>
  Promise.resolve(run).then(
    () => undefined,
    (reason: unknown) => reason,
  );

test("a refusal keeps its code, words and reason, and is not logged", () => {
  const { error, logger } = translate(notFound("job", "x"));
  expect(error).toMatchObject({ code: Code.NotFound, rawMessage: 'no job is named "x"' });
  expect(error.findDetails(ErrorInfoSchema)[0]).toMatchObject({ reason: "JOB_NOT_FOUND", domain: "ritmo" });
  expect(logger.error).not.toHaveBeenCalled();
});

test("what is not known tells its request's id, and its cause to the log only", () => {
  const { error, logger } = translate(new Error("password=hunter2 at /srv/x.ts:1"));
  expect(error).toMatchObject({ code: Code.Internal, rawMessage: "internal error, request r-1", cause: undefined });
  expect(error.details).toEqual([]);
  expect(logger.error).toHaveBeenCalledOnce();
  expect(translate("a text").error.code).toBe(Code.Internal);
  expect(translate(undefined).error.code).toBe(Code.Internal);
});

test("a status stays as it is, and an abort is a cancellation", () => {
  const status = new ConnectError("x", Code.Aborted);
  expect(translate(status).error).toBe(status);
  const abort = new AbortController();
  abort.abort();
  expect(translate(abort.signal.reason).error.code).toBe(Code.Canceled);
});

test("what the database says of a caller's text or value is the caller's, and never its words", async () => {
  await using fresh = await freshDatabase();
  const { sql, orm } = fresh.db;
  const faults = [
    await caught(sql`SELECT ${"a\0b"}::text`),
    await caught(sql`SELECT ${"no-uuid"}::text::uuid`),
    await caught(sql`SELECT ${"99999999999"}::text::int`),
    await caught(orm.execute("SELECT 'no-uuid'::uuid")),
  ];
  for (const fault of faults) {
    const { error } = translate(fault);
    expect([error.code, error.rawMessage]).toEqual([
      Code.InvalidArgument,
      expect.not.stringMatching(/uuid|SELECT|syntax/i),
    ]);
  }
  const ours = translate(await caught(sql`SELECT nothing_like_this`));
  expect(ours.error).toMatchObject({ code: Code.Internal, rawMessage: "internal error, request r-1" });
});

test("a database that is away, shuts down or keeps a lock is unavailable, and worth a retry", async () => {
  await using fresh = await freshDatabase();
  const closed = postgres("postgres://nobody@127.0.0.1:1/none", { max: 1, connect_timeout: 1 });
  const faults = [
    await caught(closed`SELECT 1`),
    await caught(fresh.db.sql`SELECT pg_terminate_backend(pg_backend_pid())`),
  ];
  await closed.end({ timeout: 0 });
  await fresh.db.sql`CREATE TABLE held (x int)`;
  await fresh.db.transaction(async (tx) => {
    await tx`LOCK TABLE held`;
    faults.push(
      await caught(fresh.db.sql.begin((other) => [other`SET LOCAL lock_timeout = 1`, other`SELECT * FROM held`])),
    );
  });
  for (const fault of faults) expect(translate(fault).error.code).toBe(Code.Unavailable);
  expect(faults).toHaveLength(3);
});
