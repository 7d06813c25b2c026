import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type GitSshServer, HAS_SSHD, startGitHttpServer, startGitSshServer } from "../../testing/git-servers.ts";
import { selfSigned } from "../../testing/self-signed.ts";
import { type TestRepository, testRepository } from "../../testing/test-repository.ts";
import { readSource } from "./read-source.ts";

const TOKEN = "s3cret-token-of-the-test";
let repository: TestRepository;
let commit: string;
let dir: string;

beforeAll(() => {
  repository = testRepository();
  commit = repository.commit("main", { ".ritmo.yaml": "version: 1\n" });
  dir = mkdtempSync(join(tmpdir(), "ritmo-remote-"));
});
afterAll(() => {
  repository[Symbol.dispose]();
  rmSync(dir, { recursive: true, force: true });
});

let files = 0;
function credentials(...lines: string[]): string {
  const path = join(dir, `credentials-${files++}`);
  writeFileSync(path, `# who we are\n${lines.join("\n")}\n`, { mode: 0o600 });
  return path;
}

const read = (url: string, more = {}) =>
  readSource({ repository: url, kind: "branch", name: "main", path: ".ritmo.yaml" }, { allowLocal: true, ...more });
const problem = async (url: string, more = {}) => await read(url, more).catch((reason) => reason);

describe("https", () => {
  const tls = selfSigned();
  const basicAuth = { user: "robot", token: TOKEN };
  const before = process.env["GIT_SSL_CAINFO"];

  beforeAll(() => {
    writeFileSync(join(dir, "ca.pem"), tls.cert);
    process.env["GIT_SSL_CAINFO"] = join(dir, "ca.pem");
  });
  afterAll(() => {
    if (before === undefined) delete process.env["GIT_SSL_CAINFO"];
    else process.env["GIT_SSL_CAINFO"] = before;
  });

  test("is read without credentials where none are asked for", async () => {
    await using server = await startGitHttpServer({ root: repository.root, tls });
    expect(await read(`${server.url}/project.git`)).toMatchObject({ commit, pipelineText: "version: 1\n" });
  });

  test("is read with the credentials of its host, and the token is nowhere but in their file", async () => {
    await using server = await startGitHttpServer({ root: repository.root, basicAuth, tls });
    const seen = watchGit(dir);
    try {
      const credentialsFile = credentials("other.example robot wrong", `${server.host} robot ${TOKEN}`);
      expect(await read(`${server.url}/project.git`, { credentialsFile })).toMatchObject({ commit });
    } finally {
      seen.stop();
    }
    const text = seen.text();
    // The positive control: it saw the fetch, and the program that answers for the token.
    expect(text).toContain("fetch");
    expect(text).toContain("askpass");
    expect(text).not.toContain(TOKEN);
    expect(text).not.toContain(Buffer.from(`robot:${TOKEN}`).toString("base64"));
  });

  test("says whether credentials are missing or refused, and never what they are", async () => {
    await using server = await startGitHttpServer({ root: repository.root, basicAuth, tls });
    const url = `${server.url}/project.git`;
    const missing = await problem(url);
    expect(missing).toMatchObject({ name: "SourceProblem", reason: "CREDENTIALS_NEEDED", outcome: "error" });
    const refused = await problem(url, { credentialsFile: credentials(`${server.host} robot ${TOKEN}x`) });
    expect(refused).toMatchObject({ reason: "CREDENTIALS_REFUSED", outcome: "error" });
    for (const { message, stack } of [missing, refused]) expect(`${message}${stack}`).not.toContain(TOKEN);
    for (const { message } of [missing, refused]) expect(message).toContain("RITMO_GIT_CREDENTIALS");
  });

  test("shows no host the credentials of another, nor of another port", async () => {
    await using server = await startGitHttpServer({ root: repository.root, basicAuth, tls });
    const credentialsFile = credentials(`127.0.0.1 robot ${TOKEN}`, `localhost robot ${TOKEN}`);
    expect(await problem(`${server.url}/project.git`, { credentialsFile })).toMatchObject({
      reason: "CREDENTIALS_NEEDED",
    });
  });

  test("a file of credentials that others may read is refused, with what to do", async () => {
    await using server = await startGitHttpServer({ root: repository.root, basicAuth, tls });
    const path = join(dir, "open");
    writeFileSync(path, `${server.host} robot ${TOKEN}\n`, { mode: 0o644 });
    const refused = await problem(`${server.url}/project.git`, { credentialsFile: path });
    expect(refused).toMatchObject({ reason: "CREDENTIALS_REFUSED", message: expect.stringContaining("chmod 600") });
  });

  test("a repository that is not there", async () => {
    await using server = await startGitHttpServer({ root: repository.root, tls });
    expect(await problem(`${server.url}/nothing.git`)).toMatchObject({ reason: "REPOSITORY_NOT_FOUND" });
  });

  test("a certificate that nobody vouches for", async () => {
    await using server = await startGitHttpServer({ root: repository.root, tls: selfSigned() });
    const refused = await problem(`${server.url}/project.git`);
    expect(refused).toMatchObject({ reason: "SOURCE_UNREACHABLE", message: expect.stringContaining("certificate") });
  });

  test("a redirect is not followed", async () => {
    await using target = await startGitHttpServer({ root: repository.root, tls });
    await using server = await startGitHttpServer({
      root: repository.root,
      tls,
      instead: (request, response) => {
        response.writeHead(302, { location: `${target.url}${request.url}` }).end();
        return true;
      },
    });
    expect(await problem(`${server.url}/project.git`)).toMatchObject({ reason: "REPOSITORY_REFUSED" });
    expect(target.requests).toEqual([]);
  });

  test("a commit by its id, and one that is not there", async () => {
    await using server = await startGitHttpServer({ root: repository.root, tls });
    const at = (name: string) =>
      readSource({ repository: `${server.url}/project.git`, kind: "commit", name }, { allowLocal: true });
    expect(await at(commit)).toMatchObject({ commit });
    expect(await at(commit.slice(0, 8))).toMatchObject({ commit });
    await expect(at("f".repeat(40))).rejects.toMatchObject({ reason: "COMMIT_NOT_FOUND" });
  });

  test("a server that answers 503, or nothing at all within the time", async () => {
    let mute = false;
    await using server = await startGitHttpServer({
      root: repository.root,
      tls,
      instead: (_, response) => {
        if (!mute) response.writeHead(503).end();
        return true;
      },
    });
    const url = `${server.url}/project.git`;
    expect(await problem(url)).toMatchObject({ reason: "SOURCE_UNREACHABLE", message: expect.stringContaining("503") });
    mute = true;
    expect(await problem(url, { timeoutMs: 500 })).toMatchObject({ reason: "SOURCE_TIMEOUT", outcome: "error" });
  });

  test("a server that is not there", async () => {
    const gone = await startGitHttpServer({ root: repository.root });
    await gone[Symbol.asyncDispose]();
    const unreachable = await problem(`${gone.url}/project.git`);
    expect(unreachable).toMatchObject({ reason: "SOURCE_UNREACHABLE", outcome: "error" });
    expect(await problem("https://no-such-host.invalid/x.git")).toMatchObject({ reason: "SOURCE_UNREACHABLE" });
  });

  test("private addresses are refused before a byte is sent to them", async () => {
    const canary = createServer().listen(0, "127.0.0.1");
    let calls = 0;
    canary.on("connection", (socket) => {
      calls++;
      socket.destroy();
    });
    await new Promise((resolve) => canary.once("listening", resolve));
    const port = (canary.address() as { port: number }).port;
    for (const host of ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:7f00:1]", "localhost."]) {
      const refused = await problem(`https://${host}:${port}/x.git`, { allowLocal: false });
      expect(refused, host).toMatchObject({ reason: "REPOSITORY_REFUSED", outcome: "failure" });
    }
    expect(calls).toBe(0);
    // The positive control: where it is allowed, the canary is called.
    await problem(`http://127.0.0.1:${port}/x.git`);
    expect(calls).toBeGreaterThan(0);
    canary.close();
  });
});

describe.skipIf(!HAS_SSHD)(HAS_SSHD ? "ssh" : "ssh (skipped: this machine has no sshd)", () => {
  let server: GitSshServer;
  beforeAll(async () => {
    mkdirSync(join(dir, "sshd"));
    server = await startGitSshServer(join(dir, "sshd"));
  });
  afterAll(() => server[Symbol.asyncDispose]());

  test("is read with the key of its host; the host's own key is kept beside the credentials", async () => {
    const credentialsFile = credentials(`${server.host} ssh ${server.keyFile}`);
    const url = `${server.url}${repository.path}`;
    expect(await read(url, { credentialsFile })).toMatchObject({ commit, pipelineText: "version: 1\n" });
    expect(readFileSync(`${credentialsFile}.known_hosts`, "utf8")).toContain("ssh-ed25519");
    expect(await problem(`${server.url}/no/such.git`, { credentialsFile })).toMatchObject({
      reason: "REPOSITORY_NOT_FOUND",
    });
  });

  test("says whether a key is missing or refused", async () => {
    const url = `${server.url}${repository.path}`;
    expect(await problem(url)).toMatchObject({ reason: "CREDENTIALS_NEEDED" });
    const stranger = credentials(`${server.host} ssh ${server.strangerKeyFile}`);
    expect(await problem(url, { credentialsFile: stranger })).toMatchObject({ reason: "CREDENTIALS_REFUSED" });
  });

  test("a host that shows another key than before is not spoken to", async () => {
    const credentialsFile = credentials(`${server.host} ssh ${server.keyFile}`);
    const other = readFileSync(`${server.strangerKeyFile}.pub`, "utf8").split(" ").slice(0, 2).join(" ");
    writeFileSync(`${credentialsFile}.known_hosts`, `[127.0.0.1]:${server.host.split(":")[1]} ${other}\n`);
    const refused = await problem(`${server.url}${repository.path}`, { credentialsFile });
    expect(refused).toMatchObject({ reason: "SOURCE_UNREACHABLE", message: expect.stringContaining("another key") });
  });
});

/** Puts a git before the real one on PATH that writes down arguments, environment, traces, and every file of its home. */
function watchGit(parent: string): { stop(): void; text(): string } {
  const bin = mkdtempSync(join(parent, "bin-"));
  const log = join(bin, "log");
  const real = execFileSync("/bin/sh", ["-c", "command -v git"]).toString().trim();
  const script = `#!/bin/sh
printf '%s\\n' "$@" >>'${log}'
env >>'${log}'
GIT_TRACE='${log}' GIT_TRACE_SETUP=0 '${real}' "$@"
code=$?
find "$HOME" -type f -size -64k -exec cat {} + >>'${log}'
exit $code
`;
  writeFileSync(join(bin, "git"), script, { mode: 0o755 });
  const before = process.env["PATH"];
  process.env["PATH"] = `${bin}:${before}`;
  return {
    stop() {
      process.env["PATH"] = before;
    },
    text: () => (existsSync(log) ? readFileSync(log, "latin1") : ""),
  };
}
