/** The error of Node's own (with a code such as ECONNREFUSED) that lies under an error, or undefined. */
export function nodeCauseOf(reason: unknown): NodeJS.ErrnoException | undefined {
  for (let error = reason, depth = 0; error instanceof Error && depth < 8; error = error.cause, depth++) {
    if (error instanceof AggregateError && error.errors[0] instanceof Error)
      return error.errors[0] as NodeJS.ErrnoException;
    if ("code" in error && typeof error.code === "string") return error as NodeJS.ErrnoException;
  }
  return undefined;
}
