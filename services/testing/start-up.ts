import { spawn } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** A running `ritmo up` in a folder of its own. */
export interface RunningUp extends AsyncDisposable {
  /** Everything it keeps and all that a person beside it has is below this. */
  folder: string;
  /** `http://127.0.0.1:PORT`. */
  url: string;
  /** The environment of a second terminal: signed in by `ritmo up`, and nothing of Ritmo's set. */
  env: Record<string, string>;
  output(): string;
}

const MAIN = fileURLToPath(new URL("../up/main.ts", import.meta.url));

/** Starts everything on free ports and answers when it says that it is ready. Stopped and removed at the end. */
export async function startUp(): Promise<RunningUp> {
  const folder = mkdtempSync(join(tmpdir(), "ritmo-typed-"));
  // PostgreSQL runs as another user when this runs as root.
  chmodSync(folder, 0o755);
  const env = {
    PATH: process.env["PATH"] ?? "",
    HOME: folder,
    XDG_CONFIG_HOME: join(folder, "config"),
    NPM_CONFIG_UPDATE_NOTIFIER: "false",
  };
  const free = "127.0.0.1:0";
  const ports = { RITMO_LISTEN: free, RITMO_WORKER_LISTEN: free, RITMO_METRICS_LISTEN: free };
  const child = spawn(process.execPath, [MAIN], {
    cwd: folder,
    env: { ...env, ...ports, RITMO_DATA_DIR: join(folder, "data") },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let text = "";
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const stop = async () => {
    child.kill("SIGTERM");
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  const url = await new Promise<string>((resolve, reject) => {
    const read = (data: Buffer) => {
      text += data;
      const ready = /Ritmo is ready in [\d.]+ s {3}(\S+)[\s\S]*Ctrl-C stops it all/.exec(text);
      if (ready?.[1]) resolve(ready[1]);
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    void ended.then(() => reject(new Error(`ritmo up ended:\n${text}`)));
  });
  return { folder, url, env, output: () => text, [Symbol.asyncDispose]: stop };
}
