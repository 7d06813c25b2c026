// https://www.postgresql.org/docs/current/errcodes-appendix.html; the words are postgres.js's and Node's own.
const AWAY = new Set([
  ...["CONNECTION_CLOSED", "CONNECTION_DESTROYED", "CONNECTION_ENDED", "CONNECT_TIMEOUT"],
  ...["ECONNREFUSED", "ECONNRESET", "EPIPE", "ENOENT", "ETIMEDOUT", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH"],
  // Shutdown, crash, starting up, no connection left, read-only after a failover.
  ...["57P01", "57P02", "57P03", "53300", "25006"],
]);

/** The code of a database's or a socket's error, through the wrapping that drizzle and AggregateError do. */
export function databaseErrorCode(reason: unknown): string | undefined {
  for (let error: unknown = reason, depth = 0; error instanceof Error && depth < 5; depth++) {
    const database = error.name === "PostgresError" || "errno" in error || "query" in error || "syscall" in error;
    if ("code" in error && typeof error.code === "string" && (database || AWAY.has(error.code))) return error.code;
    error = error.cause ?? (error instanceof AggregateError ? error.errors[0] : undefined);
  }
  return undefined;
}

/** Whether the database is away or serves nobody at present, so that any other statement would fail as this one did. */
export function isDatabaseAway(reason: unknown): boolean {
  const code = databaseErrorCode(reason);
  return code !== undefined && (AWAY.has(code) || /^(08|53|58)...$/.test(code));
}
