import { randomUUID } from "node:crypto";
import { advanceBuild } from "../control-plane/builds/advance-build.ts";
import { advanceEnded } from "../control-plane/builds/advance-ended.ts";
import { afterRelease } from "../control-plane/builds/after-release.ts";
import { cancelBuild } from "../control-plane/builds/cancel-build.ts";
import { retryBuild } from "../control-plane/builds/retry-build.ts";
import { insertChunks } from "../control-plane/logs/insert-chunks.ts";
import { openMetrics } from "../control-plane/metrics.ts";
import { claimSteps } from "../control-plane/queue/claim-steps.ts";
import type { AttemptEnd } from "../control-plane/queue/decide-end.ts";
import { finishStep } from "../control-plane/queue/finish-step.ts";
import { type ReleasedStep, releaseLease, releaseSession } from "../control-plane/queue/release-sessions.ts";
import { startStep } from "../control-plane/queue/start-step.ts";
import type { Hints } from "../control-plane/store/hints.ts";
import { crc32c } from "../process/crc32c.ts";
import { openLogger } from "../process/logger.ts";
import { Refusal } from "../process/refusal.ts";
import { runningBuild, type WorkerFixture } from "./build-fixture.ts";
import type { Random } from "./chaos/random.ts";
import type { FreshDatabase } from "./fresh-database.ts";

const SHAPE = [
  { key: "top" },
  { key: "left", needs: ["top"] },
  { key: "right", needs: ["top"] },
  { key: "bottom", needs: ["left", "right"] },
  { key: "alone" },
  { key: "after", needs: ["alone"] },
];

/** A diamond, and two steps beside it. */
export function openStormBuild({ db }: FreshDatabase): Promise<string> {
  return runningBuild(db, SHAPE);
}

const deaf: Hints = { send() {}, wait: () => Promise.resolve(), on: () => () => {}, close: () => Promise.resolve() };

type Verb = "claim" | "start" | "append" | "finish" | "release" | "decline" | "cancel" | "retry" | "open" | "advance";
const MIX: [Verb, number][] = [
  ["claim", 24],
  ["start", 8],
  ["append", 10],
  ["finish", 26],
  ["release", 3],
  ["decline", 4],
  ["cancel", 6],
  ["open", 3],
  ["retry", 13],
  ["advance", 6],
];

/** A lease as its worker remembers it, also long after it is over. */
interface Lease {
  leaseId: string;
  stepId: string;
  buildId: string;
  worker: WorkerFixture;
  resultId: string;
  written: number;
}

/** Between these two moments of the database's clock nothing of the build may begin. */
export interface Quiet {
  buildId: string;
  from: Date;
  until: Date | undefined;
}

/** Verbs at random on a few builds, each as a replica does it; some die before they draw the consequences. */
export class Storm {
  readonly leases: Lease[] = [];
  readonly quiet: Quiet[] = [];
  readonly faults: unknown[] = [];
  private readonly fresh: FreshDatabase;
  private readonly builds: string[];
  private readonly workers: WorkerFixture[];
  private readonly random: Random;
  private readonly core;

  /** `builds` are those to begin with. */
  constructor(fresh: FreshDatabase, builds: string[], workers: WorkerFixture[], random: Random) {
    this.fresh = fresh;
    this.builds = [...builds];
    this.workers = workers;
    this.random = random;
    const { db } = fresh;
    const metrics = openMetrics({ processMetrics: false });
    this.core = { db, hints: deaf, metrics, logger: openLogger("test", "silent") };
  }

  async actor(verbs: number): Promise<void> {
    for (let i = 0; i < verbs; i++) {
      try {
        await this.act(this.chooseVerb());
      } catch (reason) {
        // A refusal is an answer; a deadlock or an impossible row is not.
        if (!(reason instanceof Refusal)) this.faults.push(reason);
      }
    }
  }

  /** Runs everything to its end, as upkeep and willing workers would. */
  async calm(): Promise<void> {
    for (let round = 0; round < 60; round++) {
      const running = await this.fresh.db.sql<{ id: string }[]>`SELECT id FROM builds WHERE state = 'running'`;
      if (running.length === 0) return;
      await Promise.all(running.map(({ id }) => advanceBuild(this.core, id)));
      const held = await this.fresh.db.sql<{ leaseId: string }[]>`
        SELECT lease_id AS "leaseId" FROM steps WHERE lease_id IS NOT NULL`;
      for (const { leaseId } of held) {
        const lease = this.leases.find((one) => one.leaseId === leaseId) as Lease;
        await this.finish(lease, { kind: "exited", code: 0 }, lease.resultId);
      }
      for (const worker of this.workers) await this.claim(worker);
    }
    throw new Error("the builds do not end");
  }

  private pick<T>(from: readonly T[]): T | undefined {
    return from[Math.floor(this.random.next() * from.length)];
  }

  private chooseVerb(): Verb {
    let left = this.random.next() * MIX.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [verb, weight] of MIX) {
      left -= weight;
      if (left < 0) return verb;
    }
    return "advance";
  }

  /** The newest more often than those that are long over, which must be refused. */
  private pickLease(): Lease | undefined {
    return this.random.next() < 0.75 ? this.pick(this.leases.slice(-8)) : this.pick(this.leases);
  }

  private act(verb: Verb): Promise<unknown> {
    const { db } = this.fresh;
    const build = this.pick(this.builds) as string;
    const worker = this.pick(this.workers) as WorkerFixture;
    const lease = this.pickLease();
    switch (verb) {
      case "claim":
        return this.claim(worker);
      case "release":
        return this.follow(releaseSession(db, worker.claimant.sessionId, "gone"));
      case "cancel":
        return this.cancel(build);
      case "retry":
        return this.retry(build);
      case "open":
        return this.open();
      case "advance":
        return advanceBuild(this.core, build);
    }
    if (!lease) return Promise.resolve();
    if (verb === "start") return startStep(db.sql, lease.worker.caller, lease.leaseId, "running", undefined);
    if (verb === "append") return this.append(lease);
    if (verb === "decline") return this.follow(releaseLease(db, lease.leaseId, "not now"));
    return this.finish(lease, this.chooseEnd(), this.random.chance(0.9) ? lease.resultId : randomUUID());
  }

  private chooseEnd(): AttemptEnd {
    const chance = this.random.next();
    if (chance < 0.5) return { kind: "exited", code: 0 };
    if (chance < 0.7) return { kind: "exited", code: 1 };
    if (chance < 0.8) return { kind: "stopped", reason: "asked" };
    return { kind: "broken", reason: "WORKER_FAULT", message: "Oh.", authorFault: false };
  }

  /** A new build in the place of one that succeeded, to which nothing more can happen. */
  private async open(): Promise<void> {
    const i = this.random.between(0, this.builds.length - 1);
    const [row] = await this.fresh.db
      .sql`SELECT FROM builds WHERE id = ${this.builds[i] as string} AND state = 'success'`;
    if (row) this.builds[i] = await openStormBuild(this.fresh);
  }

  private async claim(worker: WorkerFixture): Promise<void> {
    for (const { leaseId, stepId, buildId } of await claimSteps(this.fresh.db, { ...worker.claimant, freeSlots: 3 }))
      this.leases.push({ leaseId, stepId, buildId, worker, resultId: randomUUID(), written: 0 });
  }

  private async append(lease: Lease): Promise<void> {
    const data = Buffer.from("x\n");
    const chunk = { kind: 1, start: lease.written, rawLength: 2, codec: 1, crc32c: crc32c(data), lines: 1 } as const;
    const writer = { leaseId: lease.leaseId, workerId: lease.worker.caller.workerId };
    const taken = await insertChunks(this.fresh.db.sql, writer, [{ ...chunk, marks: Buffer.alloc(0), data }]);
    if (taken) lease.written += 2;
  }

  /** Told twice at once now and then, as a worker does whose first answer is late. */
  private async finish(lease: Lease, end: AttemptEnd, resultId: string): Promise<void> {
    const told = {
      leaseId: lease.leaseId,
      resultId,
      end,
      startedAt: undefined,
      endedAt: undefined,
      failedEntry: 0,
      finalOffset: 0,
      finalPrepareOffset: 0,
      logSha256: new Uint8Array(32),
      droppedLogBytes: 0,
    };
    const times = this.random.next() < 0.2 ? 2 : 1;
    const finishes = Array.from({ length: times }, () => finishStep(this.fresh.db.sql, lease.worker.caller, told));
    for (const answer of await Promise.allSettled(finishes)) {
      if (answer.status === "rejected") throw answer.reason;
      if (!answer.value || this.dies()) continue;
      const { buildId, stepId } = answer.value;
      if (this.random.next() < 0.5) await advanceEnded(this.core, [{ buildId, stepId }]);
      else await advanceBuild(this.core, buildId, [stepId]);
    }
  }

  private async follow(releasing: Promise<ReleasedStep[]>): Promise<void> {
    const released = await releasing;
    if (!this.dies()) await afterRelease(this.core, released);
  }

  private async cancel(buildId: string): Promise<void> {
    await this.fresh.db.transaction((tx) => cancelBuild(tx, buildId, "Enough."));
    this.quiet.push({ buildId, from: await this.now(), until: undefined });
    if (!this.dies()) await advanceBuild(this.core, buildId);
  }

  private async retry(buildId: string): Promise<void> {
    const before = await this.now();
    await this.fresh.db.transaction((tx) => retryBuild(tx, buildId, []));
    // One that began later ended what came before it.
    for (const quiet of this.quiet) {
      if (quiet.buildId === buildId && (!quiet.until || quiet.until > before)) quiet.until = before;
    }
    if (!this.dies()) await advanceBuild(this.core, buildId);
  }

  private dies(): boolean {
    return this.random.next() < 0.15;
  }

  private async now(): Promise<Date> {
    const [row] = await this.fresh.db.sql<{ now: Date }[]>`SELECT clock_timestamp() AS now`;
    return (row as { now: Date }).now;
  }
}
