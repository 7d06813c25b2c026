import { create } from "@bufbuild/protobuf";
import { HelloSchema, type Offer, type Welcome } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import type { Logger } from "../process/logger.ts";
import { VERSION } from "../process/version.ts";
import { sleep } from "../process/wait.ts";
import { type AdoptParts, adoptAttempt, endLeftovers, goesOn, takeUp } from "./adopt-attempts.ts";
import type { WorkerConfig } from "./config.ts";
import { detectMachine } from "./detect-machine.ts";
import { openExecutors } from "./executor/open-executors.ts";
import { machineEnv } from "./executor/step-env.ts";
import { openJournal } from "./journal/open-journal.ts";
import { keepLink, type Link, type LinkEnd } from "./link/keep-link.ts";
import { leaseClock } from "./link/lease-clock.ts";
import { openLines } from "./link/open-lines.ts";
import { lockWorkDir } from "./lock-work-dir.ts";
import { spoolBudget } from "./log/spool.ts";
import { type RunParts, runAttempt } from "./run-attempt.ts";
import { graceOf, openSlots } from "./slots.ts";
import { emptyTrash } from "./workspace/discard-folder.ts";
import { openMirrors } from "./workspace/mirrors.ts";

export interface RunningWorker {
  /** Resolves when the worker has left, or must not come back. */
  readonly over: Promise<LinkEnd>;
  /** Takes nothing new, finishes what is in hand, and leaves. */
  drain(): void;
  /** Stops what is in hand as well. */
  stopNow(): void;
}

// major * 1000 + minor of the worker protocol.
const PROTOCOL_VERSION = 1000;
// What a stop by the worker's own leaving grants to steps.
const LEAVING_GRACE_MS = 5_000;
// After the last result: how long the link may take to say good-bye, and what is left to be removed.
const CLOSE_WITHIN_MS = 2_000;

export type WorkerSettings = WorkerConfig & { token: string };

/** Opens every part of a worker in its order and lets it work. Throws when the work folder can't be used. */
export async function openWorker(
  config: WorkerSettings,
  env: Record<string, string | undefined>,
  log: Logger,
): Promise<RunningWorker> {
  const { workDir } = config;
  const lock = await lockWorkDir(workDir);
  const { executors, names, engine } = await openExecutors(config, env, log);
  const machine = detectMachine(workDir, engine);
  const journal = await openJournal(workDir);
  const mirrors = openMirrors(workDir);
  const lines = openLines(config.controlPlanes, config.token, {
    ca: config.tlsCa,
    cert: config.tlsCert,
    key: config.tlsKey,
  });
  const lease = leaseClock();
  let link: Link | undefined;
  const parts: RunParts & AdoptParts = {
    ...config,
    log,
    lines,
    lease,
    journal,
    mirrors,
    executors,
    machine: machineEnv(env, config.stepEnv),
    budget: spoolBudget(config.spoolMaxBytes),
    diskFullMs: config.diskFullSeconds * 1000,
    limits: () => (link as Link).limits(),
  };
  const slots = openSlots({ slots: config.slots, machine, workDir, run: (hand) => runAttempt(parts, hand), refuses });

  await mirrors.tidy();
  for (const path of await emptyTrash(workDir)) log.warn({ path }, "this can't be removed");
  const left = await journal.leftovers();
  await endLeftovers(parts, left);
  for (const one of left) {
    const hand = takeUp(parts, one);
    slots.adopt(hand, goesOn(parts, one) ? runAttempt(parts, hand, one) : adoptAttempt(parts, hand, one));
  }

  const hello = async () =>
    create(HelloSchema, {
      ...(journal.session && { sessionId: journal.session.sessionId, resumeKey: journal.session.resumeKey }),
      protocolVersion: PROTOCOL_VERSION,
      machine: { ...machine, memoryBytes: BigInt(machine.memoryBytes), diskBytes: BigInt(machine.diskBytes) },
      labels: config.labels.map(({ key, value }) => ({ key, value })),
      slots: config.slots,
      executors: names,
      version: VERSION,
      ...(await slots.state()),
    });
  let known = "";
  const session = ({ sessionId, resumeKey, workerName, pool }: Welcome, fresh: boolean) => {
    if (fresh) {
      void journal.keepSession({ sessionId, resumeKey }).catch((reason: unknown) => {
        log.warn({ reason: String(reason) }, "the session could not be written down; a restart will begin a new one");
      });
    }
    if (sessionId === known) log.info({ controlPlane: lines.now.target }, "attached again");
    else log.info({ worker: workerName, pool, sessionId, controlPlane: lines.now.target }, "ready");
    known = sessionId;
  };
  const setDraining = (draining: boolean, reason = "") => {
    if (slots.draining === draining) return;
    slots.draining = draining;
    log.info({ reason, inHand: slots.count }, draining ? "draining" : "taking steps again");
  };
  let leaving: Promise<void> | undefined;
  link = keepLink(
    { lines, lease, log },
    {
      hello,
      report: slots.state,
      offer: slots.offer,
      stop: ({ leaseId, reason, grace }) => slots.stop(leaseId, reason, graceOf(grace)),
      verdicts: slots.judge,
      drain: (reason) => setDraining(true, reason),
      resume: () => {
        if (!leaving) setDraining(false);
      },
      session,
      sessionGone() {
        log.warn("the session is over; beginning a new one");
        slots.dropAll("the session is over");
        void journal.keepSession(undefined).catch(() => {});
      },
    },
  );
  const held = link;
  const leave = async () => {
    setDraining(true, "the worker was told to leave");
    slots.leaving = true;
    held.reportSoon();
    const limit = setTimeout(stopNow, config.drainSeconds * 1000);
    await slots.idle();
    clearTimeout(limit);
    held.close();
  };
  const stopNow = () => slots.endAll({ kind: "leaving", graceMs: LEAVING_GRACE_MS });
  const over = held.over.then(async (end) => {
    // Whoever took this worker's place has its leases; nothing here has a right to go on.
    slots.dropAll(end.message);
    await slots.idle();
    await sleep(0);
    for (const executor of executors.every) await executor.close?.();
    lines.close();
    await Promise.race([emptyTrash(workDir), sleep(CLOSE_WITHIN_MS)]);
    await lock[Symbol.asyncDispose]();
    return end;
  });
  return {
    over,
    drain: () => {
      leaving ??= leave();
    },
    stopNow,
  };

  function refuses({ spec }: Offer): string | undefined {
    if (executors.of(spec)) return undefined;
    return spec?.image ? "this worker runs no containers" : "this worker runs only containers";
  }
}
