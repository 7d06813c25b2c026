import { IdentityService } from "@ritmo/contract/ritmo/identity/v1/identity_pb.js";
import type { Cli } from "../cli.ts";
import { ask } from "../confirm.ts";
import { type Contexts, contextsPath, readContexts, writeContexts } from "../contexts.ts";
import { CliError, EXIT, usage } from "../exit-codes.ts";
import { readAll } from "../io.ts";
import { neutralise } from "../neutralise.ts";
import { serverAt } from "../open-client.ts";
import { type Chosen, chooseSettings, DEFAULT_SERVER } from "../settings.ts";

interface Options {
  tokenStdin?: boolean;
  setupCode?: string;
}

/** Signs in with a token or a set-up code, tries it, and keeps it as a context, which becomes the current one. */
export async function login(cli: Cli, options: Options): Promise<void> {
  if (options.tokenStdin && options.setupCode !== undefined) throw usage("Give either --token-stdin or --setup-code.");
  const all = readContexts(cli.io.env);
  const server = whereTo(cli, all);
  const token = await getToken(cli, options, server);
  const settings = { server, token: { value: token, source: "what you gave" }, contextsPath: "" };
  const { organization, token: known } = await serverAt(cli, settings).client(IdentityService).whoAmI({});
  const name = cli.flags.context ?? nameFor(server.value, all);
  all.contexts[name] = { ...all.contexts[name], server: server.value, token };
  writeContexts(cli.io.env, { ...all, current: name });
  await cli.io.stderr.write(
    `Signed in to ${server.value} as ${neutralise(known?.name ?? "")}, organization ${neutralise(organization)}. The context ${JSON.stringify(name)} in ${contextsPath(cli.io.env)} keeps it.\n`,
  );
}

/** The server that is named, or the named context's; a context that is not there yet is about to be made. */
function whereTo(cli: Cli, all: Contexts): Chosen<string> {
  const name = cli.flags.context;
  const { context: _, ...flags } = cli.flags;
  if (name === undefined || all.contexts[name]) return chooseSettings(cli).server;
  const rest = { io: { ...cli.io, env: { ...cli.io.env, RITMO_CONTEXT: undefined } }, flags };
  if (flags.server !== undefined || cli.io.env["RITMO_SERVER"]) return chooseSettings(rest).server;
  return { value: DEFAULT_SERVER, source: "the default" };
}

async function getToken(cli: Cli, options: Options, server: Chosen<string>): Promise<string> {
  await warnPlain(cli, server.value);
  if (options.setupCode !== undefined) {
    const identity = serverAt(cli, { server, contextsPath: "" }).client(IdentityService);
    return (await identity.exchangeSetupCode({ code: options.setupCode })).value;
  }
  const given = cli.flags.token ?? (options.tokenStdin ? await readAll(cli.io.stdin) : await askToken(cli));
  const token = given.trim();
  if (token === "") throw usage("The token is empty.");
  if (!/^[\x21-\x7e]{1,512}$/.test(token)) throw usage("That is no token: it has characters that no token has.");
  return token;
}

async function askToken({ io }: Cli): Promise<string> {
  if (!io.stdinIsTty) throw usage("There is nobody to ask for a token: pass --token-stdin or --setup-code.");
  const token = await ask(io, "Token (rt_…): ", { secret: true });
  if (io.signal.aborted) throw new CliError(EXIT.interrupted, "Not signed in.");
  return token;
}

async function warnPlain({ io }: Cli, server: string): Promise<void> {
  const { protocol, hostname } = new URL(server);
  const own = hostname === "localhost" || hostname === "[::1]" || hostname.startsWith("127.");
  if (protocol === "http:" && !own)
    await io.stderr.write(`Warning: ${server} is not encrypted; who listens on the way reads the token.\n`);
}

function nameFor(server: string, all: Contexts): string {
  const same = Object.keys(all.contexts).find((name) => all.contexts[name]?.server === server);
  return same ?? new URL(server).host;
}
