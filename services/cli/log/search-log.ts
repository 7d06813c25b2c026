import { type Client, Code, ConnectError } from "@connectrpc/connect";
import type { LogKind, LogService } from "@ritmo/contract/ritmo/log/v1/log_pb.js";
import type { Io } from "../io.ts";
import { neutralise } from "../neutralise.ts";
import { paint } from "../paint.ts";
import { printNdjson } from "../print-json.ts";

interface Search {
  name: string;
  kind: LogKind;
  regex: string;
  ignoreCase: boolean;
  json: boolean;
  /** The step that hits are told of, where there are several; else empty. */
  key: string;
}

const MOST_HITS = 10_000;

/** Prints the lines of a log that match, with their numbers, however long the search takes. */
export async function searchLog(io: Io, logs: Client<typeof LogService>, search: Search): Promise<void> {
  const { name, kind, regex, ignoreCase } = search;
  let from = 0n;
  let hits = 0;
  for (;;) {
    const before = from;
    try {
      const request = {
        name,
        kind,
        ignoreCase,
        fromOffset: from,
        maxHits: MOST_HITS,
        pattern: { case: "regex" as const, value: regex },
      };
      for await (const message of logs.searchLog(request)) {
        for (const hit of message.hits) await printHit(io, search, hit);
        hits += message.hits.length;
        from = message.searchedBytes;
      }
      break;
    } catch (reason) {
      // The server bounds each search; what is left is asked for again, as long as that gets further.
      if (ConnectError.from(reason).code !== Code.ResourceExhausted || from <= before) throw reason;
    }
  }
  if (hits === MOST_HITS) await io.stderr.write(`These are the first ${MOST_HITS} lines that match.\n`);
}

interface Hit {
  line: bigint;
  text: string;
  matchStart: number;
  matchEnd: number;
}

async function printHit(io: Io, { key, json }: Search, { line, text, matchStart, matchEnd }: Hit): Promise<void> {
  if (json) return printNdjson(io, { type: "hit", step: key, line: Number(line), text });
  const part = (from: number, to?: number) => neutralise(text.slice(from, to).replaceAll("\t", "  "));
  const shown = `${part(0, matchStart)}${paint(io, "red", part(matchStart, matchEnd))}${part(matchEnd)}`;
  await io.stdout.write(`${key ? `${neutralise(key)}:` : ""}${line}:${shown}\n`);
}
