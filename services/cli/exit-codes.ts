/** What `ritmo` ends with; part of its contract (docs/cli.md). */
export const EXIT = {
  good: 0,
  error: 1,
  usage: 2,
  gaveUp: 3,
  refused: 4,
  buildFailed: 9,
  interrupted: 130,
} as const;

/** Something that the command line itself refuses or gives up: a paragraph for stderr, and the exit code. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly exitCode: number;

  constructor(exitCode: number, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** A call that can't be carried out as it was typed. */
export function usage(message: string): CliError {
  return new CliError(EXIT.usage, message);
}
