import { EventKind, EventSchema, EventService } from "@ritmo/contract/ritmo/event/v1/event_pb.js";
import type { Cli } from "../cli.ts";
import { readLimit } from "../collect-pages.ts";
import { CliError, EXIT, usage } from "../exit-codes.ts";
import { keepReading, linkOf } from "../keep-reading.ts";
import { openServer } from "../open-client.ts";
import { plainOf, printNdjson } from "../print-json.ts";
import { nameOf } from "../target.ts";

interface Options {
  build?: string;
  kind?: string[];
  cursor?: string;
  count?: string;
}

/** Prints events as NDJSON until Ctrl-C, or until there were as many as asked for. */
export async function watchEvents(cli: Cli, options: Options): Promise<void> {
  const kinds = (options.kind ?? []).flatMap((text) => text.split(",")).map(readKind);
  let left = options.count === undefined ? Number.POSITIVE_INFINITY : readLimit(options.count, "--count");
  let cursor = options.cursor ?? "";
  const server = openServer(cli);
  const build = options.build === undefined ? "" : await nameOf(server, options.build);
  const events = server.client(EventService);
  const keep = { signal: cli.io.signal, link: linkOf(cli.io), patient: false };
  for await (const message of keepReading((signal) => events.watch({ cursor, build, kinds }, { signal }), keep)) {
    for (const event of message.events) {
      const facts = Object.entries(plainOf(EventSchema, event)).filter(([, value]) => value !== null && value !== "");
      await printNdjson(cli.io, { ...Object.fromEntries(facts), snapshot: message.snapshot });
      if (--left <= 0) return;
    }
    cursor = message.cursor || cursor;
  }
  throw new CliError(EXIT.interrupted, cursor === "" ? "Stopped." : `Stopped; --cursor ${cursor} goes on from here.`);
}

function readKind(text: string): EventKind {
  const kind = (EventKind as unknown as Record<string, EventKind | undefined>)[text.toUpperCase()];
  if (typeof kind === "number" && kind !== EventKind.UNSPECIFIED) return kind;
  throw usage(`No kind of event is named ${JSON.stringify(text)}. There are: build, step, worker, queue, job.`);
}
