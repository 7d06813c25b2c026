import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

export interface GitHttpServer extends AsyncDisposable {
  /** `http://127.0.0.1:port`, or https; a repository is `${url}/name.git`. */
  url: string;
  /** As a file of credentials names it. */
  host: string;
  /** `GET /name.git/info/refs`, in the order in which they came. */
  requests: string[];
}

interface GitHttpOptions {
  /** The folder that the repositories are in. */
  root: string;
  /** Who may read; everybody when absent. */
  basicAuth?: { user: string; token: string };
  tls?: { cert: string; key: string };
  /** Answers a request itself, and says so by true. */
  instead?: (request: IncomingMessage, response: ServerResponse) => boolean;
}

/** Serves repositories by `git http-backend`, the server that git itself brings. */
export async function startGitHttpServer(options: GitHttpOptions): Promise<GitHttpServer> {
  const requests: string[] = [];
  const listener: RequestListener = (request, response) => {
    requests.push(`${request.method} ${request.url?.split("?")[0]}`);
    if (options.instead?.(request, response)) return;
    if (isAllowed(request, options)) runBackend(request, response, options.root);
    else response.writeHead(401, { "www-authenticate": 'Basic realm="test"' }).end("who are you?");
  };
  const server = options.tls ? createTlsServer(options.tls, listener) : createServer(listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: `${options.tls ? "https" : "http"}://${host}`,
    host,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

function isAllowed(request: IncomingMessage, { basicAuth }: GitHttpOptions): boolean {
  if (!basicAuth) return true;
  const expected = Buffer.from(`${basicAuth.user}:${basicAuth.token}`).toString("base64");
  return request.headers.authorization === `Basic ${expected}`;
}

/** One request as CGI (RFC 3875): the backend writes a head, an empty line, and the body. */
function runBackend(request: IncomingMessage, response: ServerResponse, root: string): void {
  const url = new URL(request.url ?? "/", "http://git");
  const child = spawn("git", ["http-backend"], {
    stdio: ["pipe", "pipe", "ignore"],
    env: {
      PATH: process.env["PATH"],
      ...plainGitEnvironment(root),
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: "1",
      PATH_INFO: decodeURIComponent(url.pathname),
      QUERY_STRING: url.search.slice(1),
      REQUEST_METHOD: request.method,
      CONTENT_TYPE: request.headers["content-type"],
      HTTP_CONTENT_ENCODING: request.headers["content-encoding"] as string | undefined,
      GIT_PROTOCOL: request.headers["git-protocol"] as string | undefined,
      REMOTE_ADDR: "127.0.0.1",
    },
  });
  child.stdin.on("error", () => {});
  request.pipe(child.stdin);
  let head = Buffer.alloc(0);
  child.stdout.on("data", (chunk: Buffer) => {
    if (response.headersSent) return void response.write(chunk);
    head = Buffer.concat([head, chunk]);
    const end = head.indexOf("\r\n\r\n");
    if (end < 0) return;
    answerHead(response, head.toString("latin1", 0, end));
    response.write(head.subarray(end + 4));
  });
  child.on("close", () => response.end());
  response.on("close", () => child.kill());
}

function answerHead(response: ServerResponse, head: string): void {
  const fields = head.split("\r\n").map((line) => line.split(/: (.*)/s) as [string, string]);
  const status = fields.find(([name]) => name.toLowerCase() === "status");
  const rest = fields.filter((field) => field !== status);
  response.writeHead(status ? Number.parseInt(status[1], 10) : 200, Object.fromEntries(rest));
}

/** An environment for git that knows nothing of the machine's own configuration, nor minds who owns a repository. */
export function plainGitEnvironment(home: string): Record<string, string> {
  return {
    HOME: home,
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_CONFIG_COUNT: "1",
    GIT_CONFIG_KEY_0: "safe.directory",
    GIT_CONFIG_VALUE_0: "*",
  };
}

const SSHD = ["/usr/sbin/sshd", "/usr/local/sbin/sshd"].find((path) => existsSync(path));
/** Whether this machine has an ssh server that tests can start; the system's own is never touched. */
export const HAS_SSHD = SSHD !== undefined && process.platform === "linux";

export interface GitSshServer extends AsyncDisposable {
  /** `ssh://user@127.0.0.1:port`; a repository is that and its absolute path. */
  url: string;
  host: string;
  /** Private keys: one that may come in, and one that nobody knows. */
  keyFile: string;
  strangerKeyFile: string;
}

/** Starts an ssh server of our own, with its own keys, configuration and port, in a folder that must be empty. */
export async function startGitSshServer(dir: string): Promise<GitSshServer> {
  const keyOf = (name: string) => {
    const path = join(dir, name);
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path]);
    return path;
  };
  const [hostKey, keyFile, strangerKeyFile] = [keyOf("host"), keyOf("known"), keyOf("stranger")];
  const port = await freePort();
  const config = join(dir, "sshd_config");
  writeFileSync(
    config,
    [
      `Port ${port}`,
      "ListenAddress 127.0.0.1",
      `HostKey ${hostKey}`,
      `AuthorizedKeysFile ${keyFile}.pub`,
      `PidFile ${join(dir, "pid")}`,
      "PasswordAuthentication no",
      "KbdInteractiveAuthentication no",
      "PermitRootLogin prohibit-password",
      "StrictModes no",
      "UsePAM no",
      "",
    ].join("\n"),
  );
  // Where sshd of a distribution locks itself in; it does not make the folder itself.
  if (process.getuid?.() === 0) mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
  const server = spawn(SSHD as string, ["-D", "-e", "-f", config], { stdio: ["ignore", "ignore", "pipe"] });
  for await (const line of createInterface({ input: server.stderr })) if (line.includes("Server listening")) break;
  server.stderr.resume();
  return {
    url: `ssh://${userInfo().username}@127.0.0.1:${port}`,
    host: `127.0.0.1:${port}`,
    keyFile,
    strangerKeyFile,
    async [Symbol.asyncDispose]() {
      if (server.exitCode !== null) return;
      server.kill();
      await once(server, "exit");
    },
  };
}

async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
