import { status } from "@grpc/grpc-js";
import type { LinkEnd } from "./keep-link.ts";
import { readRefusal } from "./read-refusal.ts";

/** What the end of a stream means: that the session is over, that this worker must not come back, or neither. */
export function readEnd(failure: unknown): LinkEnd | "session-gone" | undefined {
  const { code, reason, message } = readRefusal(failure);
  if (reason === "SESSION_GONE") return "session-gone";
  if (reason === "UPGRADE_REQUIRED") return { reason: "upgrade-required", message };
  if (reason === "SUPERSEDED" || reason === "WORKER_REPLACED") return { reason: "replaced", message };
  if (code === status.UNAUTHENTICATED) return { reason: "unauthenticated", message };
  return undefined;
}
