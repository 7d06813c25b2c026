import { createContextKey, type HandlerContext } from "@connectrpc/connect";
import { Refusal } from "../../process/refusal.ts";
import type { Caller, WorkerCaller } from "../identity/caller.ts";
import type { Bearer } from "./read-bearer.ts";

/** What the port knows of a call before its handler runs. */
export interface Arrival {
  /** The address of the other end of the connection; never a header's. */
  peer: string;
  /** What an answer with `internal error` names, and the log too. */
  requestId: string;
  bearer: Bearer;
}

export const arrivalKey = createContextKey<Arrival | undefined>(undefined, { description: "arrival" });
export const callerKey = createContextKey<Caller | undefined>(undefined, { description: "caller" });
export const workerCallerKey = createContextKey<WorkerCaller | undefined>(undefined, { description: "worker caller" });

type Values = Pick<HandlerContext, "values">;

/** Who makes this call on the public port. Refused as unauthenticated where the method is public and nobody is named. */
export function callerOf(context: Values): Caller {
  const caller = context.values.get(callerKey);
  if (!caller) throw new Refusal("unauthenticated", "TOKEN_MISSING", "this call needs a token");
  return caller;
}

/** Which worker makes this call on the worker port. */
export function workerCallerOf(context: Values): WorkerCaller {
  const caller = context.values.get(workerCallerKey);
  if (!caller) throw new Refusal("unauthenticated", "TOKEN_MISSING", "this call needs a worker's token");
  return caller;
}

/** The address of the other end of the call's connection. */
export function peerOf(context: Values): string {
  return context.values.get(arrivalKey)?.peer ?? "unknown";
}
