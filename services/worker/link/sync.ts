import type { MessageInitShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import {
  type AcceptedSchema,
  type Report,
  SyncRequestSchema,
  WorkerService,
} from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { sleep } from "../../process/wait.ts";
import type { LinkEvents } from "./keep-link.ts";
import type { LeaseClock } from "./lease-clock.ts";
import type { LineKeeper } from "./open-lines.ts";

// So long single calls stand in before a stream is tried again.
const SYNC_FOR_MS = 60_000;

/**
 * Reports by single calls instead of a stream, for networks that break streams. Returns after a minute, or when a
 * call fails: then the stream is tried again.
 */
export async function syncUntil(
  { lines, lease, signal }: { lines: LineKeeper; lease: LeaseClock; signal: AbortSignal },
  events: LinkEvents,
  pace: { makeReport(): Promise<Report>; reportEveryMs: number; leaseTtlMs: number },
): Promise<void> {
  let accepted: MessageInitShape<typeof AcceptedSchema>[] = [];
  for (const endAtMs = performance.now() + SYNC_FOR_MS; performance.now() < endAtMs && !signal.aborted; ) {
    const { sessionId, resumeKey } = await events.hello();
    const report = await pace.makeReport();
    const sentAtMs = performance.now();
    const request = create(SyncRequestSchema, { sessionId, resumeKey, report, accepted });
    try {
      const answer = await lines.now.control.unary(WorkerService.method.sync, request, { timeoutMs: 10_000, signal });
      events.verdicts(answer.renewed?.verdicts ?? []);
      lease.renewed(sentAtMs, pace.leaseTtlMs);
      if (answer.draining) events.drain("");
      for (const stop of answer.stops) events.stop(stop);
      accepted = answer.offers.filter((offer) => events.offer(offer) === true).map(({ leaseId }) => ({ leaseId }));
    } catch {
      return;
    }
    // Orders wait for the next call, so calls come more often than reports would.
    if (accepted.length === 0) await sleep(Math.max(200, pace.reportEveryMs / 5), signal);
  }
}
