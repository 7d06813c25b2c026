import { readSettings, SettingsError } from "../process/read-settings.ts";
import { optionalText, optionalUrl } from "../process/setting-kinds.ts";
import type { Cli } from "./cli.ts";
import { type Context, type Contexts, contextsPath, readContexts } from "./contexts.ts";
import { usage } from "./exit-codes.ts";

/** Every setting of the command line, in the order in which the documentation lists them. */
export const CLI_SETTINGS = {
  server: optionalUrl("RITMO_SERVER", {
    help: "The server's address, as in http://127.0.0.1:7480.",
    shownDefault: "the context's",
  }),
  token: optionalText("RITMO_TOKEN", {
    help: "The token to call it with.",
    shownDefault: "the context's",
    secret: true,
  }),
  context: optionalText("RITMO_CONTEXT", {
    help: "Which of the contexts in ritmo/contexts.json to use.",
    shownDefault: "the current one",
  }),
};

export const DEFAULT_SERVER = "http://127.0.0.1:7480";

export interface Chosen<T> {
  value: T;
  /** Where it came from, for people: `--server`, `RITMO_SERVER`, `the context "local"`. */
  source: string;
}

export interface CliSettings {
  server: Chosen<string>;
  token?: Chosen<string>;
  /** The context that took part, by name. */
  context?: string;
  contextsPath: string;
}

/**
 * Which server to call and as whom: flag, then environment, then context. A context's token goes to that context's
 * server and to no other. Throws CliError for a malformed setting, a token that
 * can't be one, or a context that is not there.
 */
export function chooseSettings({ io: { env }, flags }: Pick<Cli, "io" | "flags">): CliSettings {
  const flag = read({}, { RITMO_SERVER: flags.server, RITMO_TOKEN: flags.token, RITMO_CONTEXT: flags.context });
  const given = read(env, {});
  const all = readContexts(env);
  const named = flag.context ?? given.context;
  if (named !== undefined && !all.contexts[named]) throw unknownContext(named, all);
  const context = pickContext(all, { flag, given, named });
  const server = pickServer({ flag, given, context });
  const token = pickToken({ flag, given, context, named: flag.context, server: server.value });
  // Before a header is made of it: the error that tells of a bad header holds its value.
  if (token && !/^[\x21-\x7e]+$/.test(token.value))
    throw usage(`The token (from ${token.source}) is none: it holds spaces, line ends or letters that no token has.`);
  return {
    server,
    ...(token ? { token } : {}),
    ...(context ? { context: context.name } : {}),
    contextsPath: contextsPath(env),
  };
}

interface Read {
  server?: string | undefined;
  token?: string | undefined;
  context?: string | undefined;
}
type Named = Context & { name: string };

function read(env: Record<string, string | undefined>, flags: Record<string, string | undefined>): Read {
  try {
    return readSettings(CLI_SETTINGS, env, flags).values;
  } catch (reason) {
    if (reason instanceof SettingsError) throw usage(reason.faults.join("\n"));
    throw reason;
  }
}

function pickContext(
  all: Contexts,
  { flag, given, named }: { flag: Read; given: Read; named: string | undefined },
): Named | undefined {
  const find = (name: string | undefined): Named | undefined => {
    const context = name === undefined ? undefined : all.contexts[name];
    return context && name !== undefined ? { ...context, name } : undefined;
  };
  if (named !== undefined) return find(named);
  const server = flag.server ?? given.server;
  const current = find(all.current);
  if (server === undefined || (current && sameServer(current.server, server))) return current;
  return find(Object.keys(all.contexts).find((name) => sameServer(all.contexts[name]?.server ?? "", server)));
}

function pickServer({ flag, given, context }: { flag: Read; given: Read; context: Named | undefined }): Chosen<string> {
  if (flag.server !== undefined) return { value: flag.server, source: "--server" };
  const fromContext = context && { value: context.server, source: `the context ${JSON.stringify(context.name)}` };
  if (flag.context !== undefined && fromContext) return fromContext;
  if (given.server !== undefined) return { value: given.server, source: "RITMO_SERVER" };
  return fromContext ?? { value: DEFAULT_SERVER, source: "the default" };
}

function pickToken(from: {
  flag: Read;
  given: Read;
  context: Named | undefined;
  named: string | undefined;
  server: string;
}): Chosen<string> | undefined {
  const { flag, given, context, server } = from;
  if (flag.token !== undefined) return { value: flag.token, source: "--token" };
  const own = context?.token !== undefined && sameServer(context.server, server) ? context.token : undefined;
  const fromContext =
    own === undefined ? undefined : { value: own, source: `the context ${JSON.stringify(context?.name)}` };
  if (from.named !== undefined && fromContext) return fromContext;
  if (given.token !== undefined) return { value: given.token, source: "RITMO_TOKEN" };
  return fromContext;
}

function sameServer(a: string, b: string): boolean {
  return a.replace(/\/+$/, "") === b.replace(/\/+$/, "");
}

/** Says which contexts there are instead. */
export function unknownContext(name: string, all: Contexts): Error {
  const names = Object.keys(all.contexts);
  const known =
    names.length > 0 ? `There are: ${names.join(", ")}.` : "There is none yet; `ritmo auth login` makes one.";
  return usage(`No context is named ${JSON.stringify(name)}. ${known}`);
}
