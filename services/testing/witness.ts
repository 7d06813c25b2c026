import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Attempt, BuildService } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { LogService } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import { expect, vi } from "vitest";
import type { Ritmo } from "./start-ritmo.ts";

/**
 * A step that is its own witness: it writes every line to its log and, before that, to a file of its attempt, until it
 * is told to end. So what Ritmo kept can be compared with what was written, and faults take the time that they take.
 */
export interface Witness extends Disposable {
  pipeline: string;
  /** What an attempt of the step wrote so far; empty when it never ran. */
  wrote(attempt: number): string;
  /** Resolves when the attempt has written at least ten lines more than now. */
  untilUnderWay(attempt?: number): Promise<void>;
  /** Lets the step end well, this attempt and any later one. */
  letEnd(): void;
}

/** The step `count` of a pipeline of its own. */
export function openWitness(): Witness {
  const folder = mkdtempSync(join(tmpdir(), "ritmo-witness-"));
  const wrote = (attempt: number): string => {
    try {
      return readFileSync(join(folder, String(attempt)), "utf8");
    } catch {
      return "";
    }
  };
  const lines = (attempt: number) => wrote(attempt).split("\n").length;
  return {
    pipeline: `version: 1
steps:
  count:
    checkout: false
    env: { WITNESS: "${folder}" }
    run: |
      i=0
      while [ ! -e "$WITNESS/end" ]; do
        i=$((i + 1))
        echo "attempt $RITMO_ATTEMPT line $i" >> "$WITNESS/$RITMO_ATTEMPT"
        echo "attempt $RITMO_ATTEMPT line $i"
        sleep 0.03
      done
`,
    wrote,
    async untilUnderWay(attempt = 1) {
      const before = lines(attempt);
      await vi.waitFor(() => expect(lines(attempt)).toBeGreaterThan(before + 10), { timeout: 25_000, interval: 20 });
    },
    letEnd: () => writeFileSync(join(folder, "end"), ""),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

export async function attemptsOf(ritmo: Ritmo, step: string): Promise<Attempt[]> {
  return (await ritmo.client(BuildService).listAttempts({ step })).attempts;
}

/** The whole log of an attempt, as a person who follows it gets it. */
export async function logOf(ritmo: Ritmo, name: string): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const message of ritmo.client(LogService).followLog({ name })) parts.push(message.data);
  return Buffer.concat(parts).toString();
}
