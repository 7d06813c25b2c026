import { execFile } from "node:child_process";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { FleetService } from "@ritmo/contract/ritmo/fleet/v1/fleet_pb.js";
import { IdentityService } from "@ritmo/contract/ritmo/identity/v1/identity_pb.js";
import { pickLastWords } from "./tail-errors.ts";
import { UpProblem } from "./up-problem.ts";

/** What this machine's command line and worker are known by. */
export interface LocalTokens {
  adminToken: string;
  workerToken: string;
  sampleLoaded?: boolean;
}

/** Runs the control plane's program with one of its commands and answers what it printed. */
export type Ask = (command: "bootstrap" | "new-setup-code") => Promise<string>;

const ASK_TIMEOUT_MS = 30_000;

/** `ownDatabase`: it is a server elsewhere, and not in the data folder. */
export function askControlPlane(program: string, env: NodeJS.ProcessEnv, ownDatabase: boolean): Ask {
  return (command) =>
    new Promise((resolve, reject) => {
      const options = { env, timeout: ASK_TIMEOUT_MS };
      execFile(process.execPath, [program, command], options, (error, stdout, stderr) => {
        if (!error) return resolve(stdout);
        const said = (pickLastWords(stderr) ?? error.message).replace(/^ritmo server: /, "").replace(/\.$/, "");
        reject(new UpProblem(`The control plane can't start: ${said}.${wayOut(said, ownDatabase)}`));
      });
    });
}

/** What to do about what the control plane said, as a sentence after it. */
export function wayOut(said: string, ownDatabase: boolean): string {
  if (!ownDatabase)
    return /migration/.test(said) ? " Start with another RITMO_DATA_DIR, or start the Ritmo that made this one." : "";
  return /^connect |getaddrinfo|password|database/.test(said) ? " See to RITMO_DATABASE_URL." : "";
}

/** Makes new tokens for this machine, straight in the database, and keeps them. What it had before is revoked. */
export async function makeTokens(dataDir: string, ask: Ask): Promise<LocalTokens> {
  const { adminToken, workerToken } = JSON.parse(await ask("bootstrap")) as LocalTokens;
  const tokens = { ...readTokens(dataDir), adminToken, workerToken };
  writeTokens(dataDir, tokens);
  return tokens;
}

/** A code for one sign-in by link, within 15 minutes. */
export async function makeSetupCode(ask: Ask): Promise<string> {
  return (JSON.parse(await ask("new-setup-code")) as { setupCode: string }).setupCode;
}

/** False where the server does not know this machine's tokens: its database is another than it was. */
export async function areKnown(workerName: string, transport: Transport): Promise<boolean> {
  try {
    await createClient(IdentityService, transport).whoAmI({});
    await createClient(FleetService, transport).getWorker({ name: workerName });
    return true;
  } catch (reason) {
    const { code } = ConnectError.from(reason);
    if (code === Code.Unauthenticated || code === Code.NotFound) return false;
    throw new UpProblem(`This machine could not be signed in: ${(reason as Error).message}`);
  }
}

export function writeTokens(dataDir: string, tokens: LocalTokens): void {
  const path = join(dataDir, "tokens.json");
  writeFileSync(`${path}.new`, `${JSON.stringify(tokens, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** What an earlier start kept; undefined when there is none, or it is damaged. */
export function readTokens(dataDir: string): LocalTokens | undefined {
  const path = join(dataDir, "tokens.json");
  if (!existsSync(path)) return undefined;
  try {
    const { adminToken, workerToken, ...rest } = JSON.parse(readFileSync(path, "utf8")) as LocalTokens;
    return typeof adminToken === "string" && typeof workerToken === "string"
      ? { ...rest, adminToken, workerToken }
      : undefined;
  } catch {
    return undefined;
  }
}
