import { type Logger as PinoLogger, pino, stdTimeFunctions } from "pino";

export type Logger = PinoLogger;

/**
 * The log of a process: one JSON object a line on standard error, which leaves standard output to what commands
 * print. Values of keys that carry credentials never come out.
 */
export function openLogger(part: string, level: string): Logger {
  return pino(
    {
      base: { part },
      level,
      timestamp: stdTimeFunctions.isoTime,
      redact: {
        paths: ["token", "*.token", "authorization", "*.authorization", "password", "*.password"],
        censor: "***",
      },
    },
    pino.destination({ dest: 2, sync: true }),
  );
}
