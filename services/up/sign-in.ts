import { execFile } from "node:child_process";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { UpProblem } from "./up-problem.ts";

/** What this machine's command line and worker are known by. */
export interface LocalTokens {
  adminToken: string;
  workerToken: string;
  sampleLoaded?: boolean;
}

export interface SignedIn {
  tokens: LocalTokens;
  /** For one sign-in by link, within 15 minutes. */
  setupCode: string;
  /** True when this data folder had no tokens before. */
  first: boolean;
}

const BOOTSTRAP_TIMEOUT_MS = 30_000;

/**
 * Has the control plane's `bootstrap` make sure, straight in the database, that this machine's tokens are known there,
 * and make a code for the sign-in link. Tokens that are known already stay.
 */
export async function signIn(dataDir: string, program: string, env: NodeJS.ProcessEnv): Promise<SignedIn> {
  const known = readTokens(dataDir);
  const before = known && {
    RITMO_BOOTSTRAP_ADMIN_TOKEN: known.adminToken,
    RITMO_BOOTSTRAP_WORKER_TOKEN: known.workerToken,
  };
  const output = await run(program, { ...env, ...before });
  const { adminToken, workerToken, setupCode } = JSON.parse(output) as LocalTokens & { setupCode: string };
  const tokens = { ...known, adminToken, workerToken };
  writeTokens(dataDir, tokens);
  return { tokens, setupCode, first: known === undefined };
}

export function writeTokens(dataDir: string, tokens: LocalTokens): void {
  const path = join(dataDir, "tokens.json");
  writeFileSync(`${path}.new`, `${JSON.stringify(tokens, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

function readTokens(dataDir: string): LocalTokens | undefined {
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

function run(program: string, env: NodeJS.ProcessEnv): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { env, timeout: BOOTSTRAP_TIMEOUT_MS };
    execFile(process.execPath, [program, "bootstrap"], options, (error, stdout, stderr) => {
      if (!error) return resolve(stdout);
      const said = stderr.trim().split("\n").at(-1) || error.message;
      reject(new UpProblem(`This machine could not be signed in: ${said}`));
    });
  });
}
