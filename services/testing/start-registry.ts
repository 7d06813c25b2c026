import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../process/free-port.ts";
import { sleep } from "../process/wait.ts";

/** A real registry of container images on loopback, open to anybody; in front of it a door that asks who calls. */
export interface TestRegistry extends AsyncDisposable {
  open: string;
  guarded: string;
  /** What callers of the guarded address showed. */
  shown: Set<string>;
}

const READY_WITHIN_MS = 15_000;

/** Starts `docker-registry`; behind the guarded address only this user and token get in. */
export async function startRegistry(program: string, user: string, token: string): Promise<TestRegistry> {
  const folder = mkdtempSync(join(tmpdir(), "ritmo-registry-"));
  const port = await freePort();
  const lines = ["version: 0.1", "storage:", `  filesystem: {rootdirectory: ${folder}/data}`];
  writeFileSync(join(folder, "config.yml"), [...lines, `http: {addr: "127.0.0.1:${port}"}`, ""].join("\n"));
  const child = spawn(program, ["serve", join(folder, "config.yml")], { stdio: "ignore" });
  const open = `127.0.0.1:${port}`;
  const answers = () =>
    fetch(`http://${open}/v2/`).then(
      ({ ok }) => ok,
      () => false,
    );
  for (const until = Date.now() + READY_WITHIN_MS; !(await answers()); await sleep(50)) {
    if (Date.now() > until) throw new Error("docker-registry did not become ready");
  }
  const shown = new Set<string>();
  const wanted = `Basic ${Buffer.from(`${user}:${token}`).toString("base64")}`;
  const door = createServer((incoming, outgoing) => {
    const { authorization = "" } = incoming.headers;
    shown.add(authorization);
    if (authorization !== wanted) {
      outgoing.writeHead(401, { "www-authenticate": 'Basic realm="registry"' }).end();
      return;
    }
    const { method, url, headers } = incoming;
    const onward = request({ host: "127.0.0.1", port, method, path: url, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    incoming.pipe(onward);
  });
  await new Promise<void>((resolve) => door.listen(0, "127.0.0.1", resolve));
  return {
    open,
    guarded: `127.0.0.1:${(door.address() as AddressInfo).port}`,
    shown,
    async [Symbol.asyncDispose]() {
      door.closeAllConnections();
      door.close();
      const gone = new Promise((resolve) => child.once("exit", resolve));
      if (child.exitCode === null && child.kill("SIGKILL")) await gone;
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
