import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { Hello } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { newId } from "../../process/new-id.ts";
import { Refusal } from "../../process/refusal.ts";
import { afterRelease } from "../builds/after-release.ts";
import type { Core } from "../core.ts";
import { labelSet } from "../fleet/label-set.ts";
import type { WorkerCaller } from "../identity/caller.ts";
import { inGrace } from "../queue/in-grace.ts";
import { releaseSession } from "../queue/release-sessions.ts";
import { grantedLabels } from "./grant-labels.ts";

/** The stream that now speaks for a session, and what its worker may do. */
export interface OpenSession {
  sessionId: string;
  /** Grows with every stream of the session; the newest speaks for it. */
  stream: number;
  resumeKey: Buffer;
  /** What it is matched by, its executors among them. */
  labels: string[];
  slots: number;
  draining: boolean;
  drainReason: string;
}

const MAX_SLOTS = 1_000;

/**
 * Opens a session for a worker that has none, which ends whatever an earlier process of it held, or goes on with the
 * one that Hello names by its key.
 * Refuses with SESSION_GONE when that one is over.
 */
export async function openSession(core: Core, worker: WorkerCaller, hello: Hello): Promise<OpenSession> {
  const resumed = hello.sessionId !== "";
  const session = resumed ? await resumeSession(core, worker, hello) : await beginSession(core, worker);
  const labels = hello.labels.map((label) => `${label.key}=${label.value}`);
  const [row] = await core.db.sql<
    { fixed: string[]; allowed: string[]; draining: boolean; drainReason: string }[]
  >`SELECT fixed_labels AS fixed, allowed_label_keys AS allowed, draining, drain_reason AS "drainReason"
    FROM workers WHERE id = ${worker.workerId} AND deleted_at IS NULL`;
  if (!row) throw new Refusal("unauthenticated", "WORKER_DELETED", `the worker ${worker.name} was deleted`);
  const granted = grantedLabels(row.fixed, row.allowed, labels);
  const slots = Math.min(Math.max(hello.slots, 1), MAX_SLOTS);
  const machine = hello.machine;
  const [matched] = await core.db.sql<{ labels: string[] }[]>`
    UPDATE workers w SET labels = ${granted}, slots = ${slots}, executors = ${hello.executors}, version = ${hello.version},
      machine = ${core.db.sql.json({
        hostname: machine?.hostname ?? "",
        os: machine?.os ?? "",
        arch: machine?.arch ?? "",
        cpus: machine?.cpus ?? 0,
        memory_bytes: Number(machine?.memoryBytes ?? 0n),
        disk_bytes: Number(machine?.diskBytes ?? 0n),
        container_engine: machine?.containerEngine ?? "",
      })},
      state = CASE WHEN draining OR ${hello.draining} THEN 'draining' ELSE 'online' END,
      online_since = CASE WHEN state IN ('online', 'draining') AND ${resumed} THEN online_since ELSE clock_timestamp() END,
      last_seen_at = clock_timestamp()
    WHERE id = ${worker.workerId}
    RETURNING ${labelSet(core.db.sql)} AS labels`;
  core.hints.send("events", worker.orgId);
  return { ...session, labels: matched?.labels ?? [], slots, draining: row.draining, drainReason: row.drainReason };
}

async function beginSession(core: Core, worker: WorkerCaller) {
  const sessionId = newId("ses");
  const resumeKey = randomBytes(32);
  const rows = await core.db.transaction(async (tx) => {
    // One after the other: of two processes that begin at once each must see the other's session, or both would stay.
    await tx`SELECT FROM workers WHERE id = ${worker.workerId} FOR NO KEY UPDATE`;
    return await tx<{ id: string }[]>`
      WITH old AS (
        UPDATE sessions SET expires_at = '-infinity', stream = stream + 1
        WHERE worker_id = ${worker.workerId} AND expires_at > '-infinity' RETURNING id),
      new AS (
        INSERT INTO sessions (id, org_id, worker_id, resume_key_hash, expires_at)
        VALUES (${sessionId}, ${worker.orgId}, ${worker.workerId}, ${hash(resumeKey)},
          clock_timestamp() + ${core.config.leaseSeconds} * interval '1 second'))
      SELECT id FROM old`;
  });
  for (const { id } of rows) {
    const cause = "Its worker's process was replaced by another one that knew nothing of it.";
    await afterRelease(core, await releaseSession(core.db, id, cause));
    core.hints.send("session", id);
  }
  return { sessionId, resumeKey, stream: 1 };
}

async function resumeSession(core: Core, worker: WorkerCaller, hello: Hello) {
  const [known] = await core.db.sql<{ hash: Buffer }[]>`
    SELECT resume_key_hash AS hash FROM sessions WHERE id = ${hello.sessionId} AND worker_id = ${worker.workerId}`;
  const right = known !== undefined && timingSafeEqual(known.hash, hash(hello.resumeKey));
  const [row] = right
    ? await core.db.sql<{ stream: number }[]>`
        UPDATE sessions SET stream = stream + 1,
          expires_at = clock_timestamp() + ${core.config.leaseSeconds} * interval '1 second'
        WHERE id = ${hello.sessionId} AND expires_at > '-infinity'
          AND (expires_at > clock_timestamp() OR ${inGrace(core.db.sql, core.config.leaseSeconds)})
        RETURNING stream`
    : [];
  if (!row) throw sessionGone(hello.sessionId);
  // The stream that spoke for it until now learns that it is superseded.
  core.hints.send("session", hello.sessionId);
  return { sessionId: hello.sessionId, resumeKey: Buffer.from(hello.resumeKey), stream: row.stream };
}

export function sessionGone(sessionId: string): Refusal {
  return new Refusal(
    "failed_precondition",
    "SESSION_GONE",
    `the session ${sessionId} is over, and its leases with it; begin a new one`,
  );
}

function hash(key: Uint8Array): Buffer {
  return createHash("sha256").update(key).digest();
}
