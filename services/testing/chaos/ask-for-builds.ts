import { randomUUID } from "node:crypto";
import { Code, ConnectError } from "@connectrpc/connect";
import { BuildService, BuildState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { sleep } from "../../process/wait.ts";
import type { Ritmo } from "../start-ritmo.ts";
import type { Random } from "./random.ts";

/** What the harness did as a client. */
export interface Asked {
  requestId: string;
  build: string;
  cancelAnsweredAtMs: number | undefined;
}

const CALL_MS = 3_000;
const AT_ONCE = 4;
const CANCELLED_SHARE = 0.12;
const OVER_WITHIN_MS = 120_000;

/**
 * Asks for builds of these jobs, a few at a time, until the signal, and waits until every one of them is over. A call
 * without an answer is repeated under its request id, as every client should. Throws when a build does not end.
 */
export async function askForBuilds(
  ritmo: Ritmo,
  jobs: string[],
  random: Random,
  signal: AbortSignal,
): Promise<Asked[]> {
  const asked: Asked[] = [];
  const lane = async () => {
    while (!signal.aborted) {
      const job = random.pick(jobs);
      const cancelAfterMs = random.chance(CANCELLED_SHARE) ? random.between(0, 800) : undefined;
      const requestId = randomUUID();
      const build = await untilAnswered(async () => {
        const { build } = await ritmo.client(BuildService).createBuild({ requestId, job }, { timeoutMs: CALL_MS });
        return build?.name ?? "";
      });
      const one: Asked = { requestId, build, cancelAnsweredAtMs: undefined };
      asked.push(one);
      if (cancelAfterMs !== undefined) {
        await sleep(cancelAfterMs);
        one.cancelAnsweredAtMs = await cancel(ritmo, build);
      }
      await untilOver(ritmo, build, signal);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  for (const { build } of asked) await untilOver(ritmo, build);
  return asked;
}

/** Answers when the cancel was answered; undefined when the build was over before. */
async function cancel(ritmo: Ritmo, name: string): Promise<number | undefined> {
  const requestId = randomUUID();
  return await untilAnswered(async () => {
    try {
      await ritmo.client(BuildService).cancelBuild({ requestId, name }, { timeoutMs: CALL_MS });
      return Date.now();
    } catch (reason) {
      if (ConnectError.from(reason).code === Code.FailedPrecondition) return undefined;
      throw reason;
    }
  });
}

async function untilOver(ritmo: Ritmo, name: string, signal?: AbortSignal): Promise<void> {
  const until = Date.now() + OVER_WITHIN_MS;
  while (!signal?.aborted) {
    const build = await untilAnswered(() => ritmo.client(BuildService).getBuild({ name }, { timeoutMs: CALL_MS }));
    if ((build.build?.state ?? 0) >= BuildState.SUCCESS) return;
    if (Date.now() > until) throw new Error(`${name} is not over: ${BuildState[build.build?.state ?? 0]}`);
    await sleep(150);
  }
}

const MAY_PASS = new Set([Code.Unavailable, Code.DeadlineExceeded, Code.Canceled, Code.Aborted]);

/** Repeats a call while nobody is there to answer; anything else than that is a fault of Ritmo's and is thrown. */
async function untilAnswered<T>(call: () => Promise<T>): Promise<T> {
  for (const until = Date.now() + OVER_WITHIN_MS; ; await sleep(100)) {
    try {
      return await call();
    } catch (reason) {
      const nobody = reason instanceof Error && reason.message === "no control plane is alive";
      // With a cause it is the connection that broke, and not an answer.
      const { code, cause } = ConnectError.from(reason);
      const mayPass = nobody || cause !== undefined || MAY_PASS.has(code);
      if (!mayPass || Date.now() > until) throw reason;
    }
  }
}
