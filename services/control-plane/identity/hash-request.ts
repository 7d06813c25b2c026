import { createHash } from "node:crypto";
import type { Message } from "@bufbuild/protobuf";

/**
 * A hash of what a request says, without its request_id: two requests have the same one if and only if they ask the
 * same. Fields are taken in the order of their names, so that it does not depend on how the message came.
 */
export function hashRequest(request: Message): Buffer {
  return createHash("sha256").update(canonical(request, true)).digest();
}

function canonical(value: unknown, top = false): string {
  if (typeof value === "bigint") return `${value}n`;
  if (value instanceof Uint8Array) return `b${Buffer.from(value).toString("base64")}`;
  if (Array.isArray(value)) return `[${value.map((item) => canonical(item)).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "";
  const fields = Object.entries(value)
    .filter(([name, field]) => field !== undefined && name !== "$unknown" && !(top && name === "requestId"))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([name, field]) => `${JSON.stringify(name)}:${canonical(field)}`).join(",")}}`;
}
