/** Why the embedded server can't start, in one line with the way out. */
export class PostgresStartError extends Error {
  override readonly name = "PostgresStartError";
}
