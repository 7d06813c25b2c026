import type { ServiceImpl } from "@connectrpc/connect";
import type { LogService } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import type { Core } from "../core.ts";
import { callerOf } from "../edge/context.ts";
import { findLog } from "../logs/find-log.ts";
import { followLog } from "../logs/follow-log.ts";
import { getLog } from "../logs/get-log.ts";
import { openLog } from "../logs/open-log.ts";
import { readLog } from "../logs/read-log.ts";
import { searchLog } from "../logs/search-log.ts";
import { searchPool } from "../logs/search-pool.ts";
import { logKindOf } from "../logs/verify-chunk.ts";
import { resolveAttempt } from "../names/resolve.ts";

/** What steps wrote: told, read, followed and searched. */
export function logService(core: Pick<Core, "db" | "hints" | "blobs" | "stopping">): ServiceImpl<typeof LogService> {
  const { sql } = core.db;
  const pool = searchPool();
  const resolve = async (context: Parameters<typeof callerOf>[0], request: { name: string; kind: number }) => {
    const kind = logKindOf(request.kind);
    const attempt = await resolveAttempt(sql, callerOf(context).orgId, request.name);
    return { attempt, kind };
  };
  return {
    async getLog(request, context) {
      const { attempt, kind } = await resolve(context, request);
      return { log: await getLog(core, await findLog(sql, attempt.id, kind), attempt.name) };
    },
    async readLog(request, context) {
      const { attempt, kind } = await resolve(context, request);
      const facts = await findLog(sql, attempt.id, kind);
      return readLog(await openLog(core, facts), request.range, facts.over);
    },
    async *followLog(request, context) {
      const { attempt, kind } = await resolve(context, request);
      yield* followLog(core, { attemptId: attempt.id, kind, offset: Number(request.offset) }, context.signal);
    },
    async *searchLog(request, context) {
      const { attempt, kind } = await resolve(context, request);
      const source = await openLog(core, await findLog(sql, attempt.id, kind));
      yield* searchLog(pool, source, request, { signal: context.signal });
    },
  };
}
