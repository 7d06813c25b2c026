import { status } from "@grpc/grpc-js";
import type { LinkEnd } from "./keep-link.ts";
import { readRefusal } from "./read-refusal.ts";

/** Why a worker may have to stay away; `lost` tells what another took from it. */
export type StreamEnd = LinkEnd & { lost?: "stream" | "session" };

/** What the end of a stream means: that the session is over, that this worker should not come back, or neither. */
export function readEnd(failure: unknown): StreamEnd | "session-gone" | undefined {
  const { code, reason, message } = readRefusal(failure);
  if (reason === "SESSION_GONE") return "session-gone";
  if (reason === "UPGRADE_REQUIRED") return { reason: "upgrade-required", message };
  if (reason === "SUPERSEDED") return { reason: "replaced", message, lost: "stream" };
  if (reason === "WORKER_REPLACED") return { reason: "replaced", message, lost: "session" };
  if (code === status.UNAUTHENTICATED) return { reason: "unauthenticated", message };
  return undefined;
}
