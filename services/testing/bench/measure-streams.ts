import { create } from "@bufbuild/protobuf";
import { HelloSchema } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { hashToken, newTokenValue } from "../../control-plane/identity/token-values.ts";
import { freePort } from "../../process/free-port.ts";
import { openLogger } from "../../process/logger.ts";
import { newId } from "../../process/new-id.ts";
import { sleep } from "../../process/wait.ts";
import { keepLink, type Link } from "../../worker/link/keep-link.ts";
import { leaseClock } from "../../worker/link/lease-clock.ts";
import { openLines } from "../../worker/link/open-lines.ts";
import { ORG } from "../build-fixture.ts";
import type { Bench } from "./bench.ts";
import { type Row, round } from "./figures.ts";
import { cpuSeconds, memoryBytes } from "./measure-memory.ts";

const IDLE_MS = 20_000;
const BACK_WITHIN_MS = 120_000;

/** Workers that have nothing to do: what their streams cost, and how soon all are back after the control plane was killed. */
export async function measureStreams({ ritmo, db, quick }: Bench): Promise<Row[]> {
  const count = Number(process.env["RITMO_BENCH_STREAMS"] ?? (quick ? 50 : 1_000));
  // On ports of its own, so that its successor is found at the same place.
  const env = { RITMO_LISTEN: `127.0.0.1:${await freePort()}`, RITMO_WORKER_LISTEN: `127.0.0.1:${await freePort()}` };
  const first = await ritmo.startControlPlane(env);
  await sleep(2_000);
  const without = memoryBytes(first.pid);
  await using workers = await openWorkers(db, first.workerAddress, count);
  await workers.allSince(0);
  const cpuBefore = cpuSeconds(first.pid);
  await sleep(IDLE_MS);
  const cpu = (cpuSeconds(first.pid) - cpuBefore) / (IDLE_MS / 1000);
  const perStream = (memoryBytes(first.pid) - without) / count / 1024;
  const killedAt = performance.now();
  await first.signal("SIGKILL");
  await ritmo.startControlPlane(env);
  const readyAt = performance.now();
  await workers.allSince(killedAt);
  const back = (performance.now() - readyAt) / 1000;
  return [
    {
      measure: `${count.toLocaleString("en")} idle worker streams, one connection each`,
      reached: `${round(perStream)} KiB each, ${round(cpu * 100)} % of a core, all back ${round(back)} s after a kill and restart`,
      limit: "60 s",
      limitIs: "the goal for 10,000",
      ratio: (back / 60).toFixed(2),
    },
  ];
}

interface Workers extends AsyncDisposable {
  /** Resolves when every worker was welcomed after that moment. */
  allSince(moment: number): Promise<void>;
}

async function openWorkers(db: Bench["db"], target: string, count: number): Promise<Workers> {
  const tokens = Array.from({ length: count }, () => newTokenValue("worker"));
  await db.sql`
    INSERT INTO workers (id, org_id, name, token_hash)
    SELECT id, ${ORG}, 'idle-' || n, decode(hash, 'hex') FROM unnest(${tokens.map(() => newId("wrk"))}::text[],
      ${tokens.map((token) => hashToken(token).toString("hex"))}::text[]) WITH ORDINALITY AS w(id, hash, n)`;
  const welcomedAt = new Array<number>(count).fill(-1);
  const links = tokens.map((token, i) => openIdle(token, target, () => (welcomedAt[i] = performance.now())));
  return {
    async allSince(moment) {
      const end = performance.now() + BACK_WITHIN_MS;
      while (welcomedAt.some((at) => at <= moment)) {
        if (performance.now() > end) throw new Error(`after ${BACK_WITHIN_MS} ms some workers were not welcomed`);
        await sleep(50);
      }
    },
    async [Symbol.asyncDispose]() {
      for (const link of links) link.close();
      await Promise.all(links.map((link) => link.over));
    },
  };
}

/** The real link of a worker, with nothing behind it. */
function openIdle(token: string, target: string, welcomed: () => void): Link {
  const lines = openLines([{ target, tls: false }], token, {});
  const state = { capacity: undefined, held: [], draining: false };
  let session: { sessionId: string; resumeKey: Uint8Array } | undefined;
  return keepLink(
    { lines, lease: leaseClock(), log: openLogger("bench", "silent") },
    {
      hello: async () => create(HelloSchema, { ...session, protocolVersion: 1000, slots: 1, executors: ["process"] }),
      report: async () => state as never,
      offer: () => "nothing is wanted",
      stop: () => {},
      verdicts: () => {},
      drain: () => {},
      resume: () => {},
      session({ sessionId, resumeKey }) {
        session = { sessionId, resumeKey };
        welcomed();
      },
      sessionGone() {
        session = undefined;
      },
    },
  );
}
