import { readFileSync, statSync } from "node:fs";
import { BrokenStep } from "../executor.ts";

/** What one registry is shown, as the engine takes it. */
export interface RegistryCredential {
  username: string;
  password: string;
  serveraddress: string;
}

const DOCKER_HUB = "https://index.docker.io/v1/";

/**
 * The credential for exactly this host, from a file of `host user token` lines; `#` begins a comment. Undefined
 * without a file or a line for the host. Throws BrokenStep REGISTRY_CREDENTIALS_UNUSABLE when others may read the
 * file, it can't be read, or a line is none; the message never has what stands in it.
 */
export function registryCredentialFor(file: string | undefined, host: string): RegistryCredential | undefined {
  if (file === undefined) return undefined;
  for (const { line, place } of linesOf(file)) {
    const [forHost, username, password, ...rest] = line.trim().split(/\s+/);
    if (!forHost || !username || !password || rest.length > 0 || /[/@]/.test(forHost)) {
      throw unusable(`${place}: a line is \`host user token\`, with a host such as registry.example:5000`);
    }
    // Exactly: docker.io.evil.example is another registry than docker.io.
    if (forHost.toLowerCase() !== host) continue;
    return { username, password, serveraddress: host === "docker.io" ? DOCKER_HUB : host };
  }
  return undefined;
}

function linesOf(file: string): { line: string; place: string }[] {
  let text: string;
  let mode: number;
  try {
    mode = statSync(file).mode & 0o777;
    text = readFileSync(file, "utf8");
  } catch (reason) {
    throw unusable(`the registry credentials in ${file} can't be read (${(reason as NodeJS.ErrnoException).code})`);
  }
  if (process.platform !== "win32" && (mode & 0o077) !== 0) {
    throw unusable(`the registry credentials in ${file} may be read by others; run: chmod 600 ${file}`);
  }
  const lines = text.split(/\r?\n/).map((line, index) => ({ line, place: `${file}:${index + 1}` }));
  return lines.filter(({ line }) => !/^\s*(#|$)/.test(line));
}

function unusable(message: string): BrokenStep {
  return new BrokenStep("REGISTRY_CREDENTIALS_UNUSABLE", message);
}
