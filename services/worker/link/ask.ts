import type { DescMessage, DescMethodUnary, MessageShape } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { sleep, tries } from "../../process/wait.ts";
import type { LeaseClock } from "./lease-clock.ts";
import type { LineKeeper } from "./open-lines.ts";
import { isFinal, type RefusedCall, readRefusal } from "./read-refusal.ts";

/** A final answer of the control plane that is not the one hoped for. */
export class CallRefused extends Error {
  override readonly name = "CallRefused";
  readonly refused: RefusedCall;

  constructor(refused: RefusedCall) {
    super(`${status[refused.code]}${refused.reason ? ` ${refused.reason}` : ""}: ${refused.message}`);
    this.refused = refused;
  }
}

export interface Asking {
  lines: LineKeeper;
  lease: LeaseClock;
  signal: AbortSignal;
}

/**
 * Asks until there is an answer, over whichever line is in use, and only while the lease holds. Throws CallRefused on
 * a final answer, and the signal's reason when it aborts. The call must be one that may be repeated.
 */
export async function ask<I extends DescMessage, O extends DescMessage>(
  { lines, lease, signal }: Asking,
  method: DescMethodUnary<I, O>,
  request: MessageShape<I>,
): Promise<MessageShape<O>> {
  for await (const _ of tries({ baseMs: 100, capMs: 15_000 }, signal)) {
    await lease.whenHeld(signal);
    if (signal.aborted) break;
    try {
      return await lines.now.bytes.unary(method, request, { timeoutMs: 30_000, signal });
    } catch (failure) {
      const refused = readRefusal(failure);
      if (isFinal(refused)) throw new CallRefused(refused);
      if (refused.retryAfterMs) await sleep(refused.retryAfterMs, signal);
    }
  }
  throw signal.reason;
}
