import type { AttemptLog } from "../../log/attempt-log.ts";
import { boundaryScanner } from "./boundaries.ts";
import { demultiplexer } from "./demultiplex.ts";

/** Brings a container's output into the attempt's log, from one stream of the engine after another. */
export interface OutputFeed {
  /** Takes a stream from the output's beginning; what the log has already is left out. */
  begin(): FeedReader;
  /** The last boundary that was passed; -1 before the shell was found. */
  readonly boundary: number;
}

export interface FeedReader {
  /** Throws when the stream is none of an output, or lacks its beginning. */
  take(piece: Buffer): void;
  end(atEnd: boolean): void;
  /** The stream lacks its beginning, so that no place in it is known. */
  readonly headless: boolean;
}

export interface FeedParts {
  words: string[];
  run: string[];
  posix: boolean;
  log: AttemptLog;
  /** So many bytes are in the log from an earlier life. */
  taken: number;
  /** Told when the shell was found. */
  started(): void;
}

export function outputFeed({ words, run, posix, log, started, ...parts }: FeedParts): OutputFeed {
  let { taken } = parts;
  let boundary = -1;
  const pass = (number: number, at: number) => {
    if (number <= boundary) return;
    boundary = number;
    if (number === 0) started();
    const entry = posix ? number : number + 1;
    // A boundary within what an earlier life took is in the log already.
    const isEntry = posix ? number > 0 : run.length === 1;
    if (isEntry && at >= parts.taken) log.beginEntry(nameOf(run[entry - 1] ?? ""), entry);
  };
  return {
    begin() {
      const payloadOf = demultiplexer();
      const scanner = boundaryScanner(words);
      let at = 0;
      let headless = false;
      let found = false;
      const give = (bytes: Buffer) => {
        // The first word stands before everything else.
        headless = !found && (boundary >= 0 || parts.taken > 0);
        if (headless) throw new Error("the output lacks its beginning");
        const fresh = bytes.subarray(Math.max(0, taken - at));
        at += bytes.length;
        if (fresh.length === 0) return;
        log.append(fresh);
        taken = at;
      };
      return {
        take(piece) {
          for (const payload of payloadOf(piece)) {
            for (const one of scanner.scan(payload)) {
              if (one.kind === "bytes") give(one.bytes);
              else {
                found = true;
                pass(one.number, at);
              }
            }
          }
        },
        end(atEnd) {
          // Where the stream broke off, what is held back comes again with the next.
          if (atEnd && !headless) give(scanner.rest());
        },
        get headless() {
          return headless;
        },
      };
    },
    get boundary() {
      return boundary;
    },
  };
}

function nameOf(entry: string): string {
  const first = entry.split("\n").find((line) => line.trim() !== "") ?? "";
  return first.trim().slice(0, 200);
}
