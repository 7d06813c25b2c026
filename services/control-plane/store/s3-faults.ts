/** Whether the server says that it does not have what was asked for. */
export function isMissing(reason: unknown): boolean {
  const code = codeOf(reason);
  return code === "NoSuchKey" || code === "NotFound" || code === "NoSuchUpload";
}

/** The client throws what it read from the body of a 200 as it is, in the server's own spelling. */
export function toError(reason: unknown): Error & { code: string } {
  const { message, Message } = reason as Record<string, unknown>;
  const error = reason instanceof Error ? reason : new Error(String(message ?? Message));
  return Object.assign(error, { code: codeOf(reason) ?? "" });
}

function codeOf(reason: unknown): string | undefined {
  const { code, Code } = (reason ?? {}) as Record<string, unknown>;
  const found = code ?? Code;
  return found === undefined ? undefined : String(found);
}
