import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type RunningUp, startUp } from "./start-up.ts";
import { COMMANDS, CONTRACT, commandsShownIn } from "./transcripts.ts";
import { openShell, type Typed, type TypedShell } from "./typed-shell.ts";

// Both transcripts, typed into a real shell beside a real `ritmo up`, each line where the one before left off.

// For a machine that has much else to do.
vi.setConfig({ testTimeout: 120_000 });

const ROOT = join(import.meta.dirname, "../..");
const GRPCURL = findGrpcurl();

let up: RunningUp;
let shell: TypedShell;
let place: string;

beforeAll(async () => {
  up = await startUp();
  place = join(up.folder, "terminal");
  mkdirSync(place);
  // `npx` finds what is installed by looking upwards: here as in the checkout.
  symlinkSync(join(ROOT, "node_modules"), join(place, "node_modules"));
  writeFileSync(join(place, ".ritmo.yaml"), readFileSync(join(ROOT, ".ritmo.yaml")));
  const path = [...(GRPCURL ? [dirname(GRPCURL)] : []), up.env["PATH"]].join(delimiter);
  shell = openShell(place, { ...up.env, PATH: path });
});
afterAll(async () => {
  await shell?.[Symbol.asyncDispose]();
  await up?.[Symbol.asyncDispose]();
});

/** As typed, but for the port and the place under /tmp, which other tests may be using. */
async function type(line: string): Promise<Typed> {
  const { host } = new URL(up.url);
  const own = line.replaceAll("127.0.0.1:7480", host).replaceAll("/tmp/hello.git", join(up.folder, "hello.git"));
  return await shell.type(own);
}

/** What the sample's scripts do without Ritmo, in a folder of their own: what Ritmo's copies are compared with. */
function withoutRitmo(branch: string): { folder: string; testLog: Buffer } {
  const folder = join(up.folder, `by-hand-${branch}`);
  execFileSync("git", ["clone", "-q", "-b", branch, join(up.folder, "hello.git"), folder]);
  execFileSync("sh", ["compile.sh"], { cwd: folder });
  const done = spawnSync("sh", ["-c", "exec sh test.sh 2>&1"], { cwd: folder });
  return { folder, testLog: done.stdout };
}

const good = (done: Typed) => expect({ code: done.code, err: done.err }).toMatchObject({ code: 0 });

const DID: Record<(typeof COMMANDS)[number], (done: Typed) => void | Promise<void>> = {
  "npx ritmo sample /tmp/hello.git": (done) => {
    good(done);
    const branches = execFileSync("git", ["-C", join(up.folder, "hello.git"), "branch", "--format=%(refname:short)"]);
    expect(branches.toString().split("\n")).toEqual(expect.arrayContaining(["broken", "gpu", "main"]));
  },
  "npx ritmo job create hello --repo file:///tmp/hello.git": good,
  "npx ritmo build run hello --branch main --watch": (done) => {
    good(done);
    expect(done.out + done.err).toContain("hello#1");
    for (const line of ["compiling 3 names", "ok 1 - Ada is greeted", "3 tests, 0 failed"]) {
      expect(done.out).toContain(line);
    }
  },
  "npx ritmo build run hello --branch broken --watch; echo $?": (done) => {
    expect(done.out.trimEnd().split("\n").at(-1)).toBe("9");
    expect(done.out).toContain("not ok 1 - Ada is greeted");
  },
  "npx ritmo build list --job hello --json id,number,state,commit": (done) => {
    good(done);
    const commitOf = (branch: string) =>
      execFileSync("git", ["-C", join(up.folder, "hello.git"), "rev-parse", branch], { encoding: "utf8" }).trim();
    const id = expect.stringMatching(/^bld_\w{26}$/);
    expect(JSON.parse(done.out)).toEqual([
      { id, number: 2, state: "FAILURE", commit: commitOf("broken") },
      { id, number: 1, state: "SUCCESS", commit: commitOf("main") },
    ]);
  },
  "npx ritmo build view hello#2": (done) => {
    good(done);
    expect(done.out).toContain("hello#2");
    expect(done.out).toMatch(/test: It exited with 3/);
    expect(done.out).toContain('error: expected "Hello, Ada!", got "Hi, Ada!"');
  },
  "npx ritmo build logs hello#2 --step test --raw > test.log": (done) => {
    good(done);
    expect(readFileSync(join(place, "test.log")).toString("latin1")).toBe(
      withoutRitmo("broken").testLog.toString("latin1"),
    );
  },
  "npx ritmo artifact download hello#1 'dist/**' --to out": (done) => {
    good(done);
    const { folder } = withoutRitmo("main");
    const names = readdirSync(join(folder, "dist"));
    expect(readdirSync(join(place, "out/dist")).sort()).toEqual(names.sort());
    for (const name of names) {
      const [made, got] = [join(folder, "dist", name), join(place, "out/dist", name)];
      expect([name, digest(got), statSync(got).mode & 0o777]).toEqual([
        name,
        digest(made),
        statSync(made).mode & 0o777,
      ]);
    }
  },
  "npx ritmo worker list": (done) => {
    good(done);
    expect(done.out).toMatch(/^local\s.*online/m);
  },
  "npx ritmo worker create w2 --labels gpu=true": (done) => {
    good(done);
    expect(done.out).toMatch(/^rw_[\w-]{43}\n$/);
  },
  "npx ritmo build run hello --branch gpu": (done) => {
    good(done);
    expect(done.out).toBe("hello#3\n");
  },
  "npx ritmo step explain hello#3/train": (done) => {
    good(done);
    expect(done.out).toContain("gpu=true");
    expect(done.out).toMatch(/^local\s+lacks gpu=true$/m);
    expect(done.out).toMatch(/^w2\s+was made, and its process has never called$/m);
    // What to do about it.
    expect(done.out).toContain("Start the worker w2");
  },
  "npx ritmo pipeline lint .ritmo.yaml": good,
  'npx ritmo worker drain local --reason "kernel update"': async (done) => {
    good(done);
    const { out } = await type("npx ritmo worker view local");
    expect(out).toContain("kernel update");
  },
  "npx ritmo worker resume local": async (done) => {
    good(done);
    const build = await type("npx ritmo build run hello --branch main --watch");
    expect(build.code).toBe(0);
  },
  [`npx ritmo api ritmo.build.v1.BuildService/GetBuild -d '{"name":"hello#1"}'`]: (done) => {
    good(done);
    expect(JSON.parse(done.out).build).toMatchObject({ name: "hello#1", state: "BUILD_STATE_SUCCESS" });
  },
};

/** Every build of `hello`, as ListBuilds answers in JSON. */
function listsAll(done: Typed): void {
  good(done);
  const names = JSON.parse(done.out).builds.map((build: { name: string }) => build.name);
  expect(names).toEqual(expect.arrayContaining(["hello#1", "hello#2", "hello#3", "sample#1"]));
}

const ANSWERED: Record<(typeof CONTRACT)[number], (done: Typed) => void | Promise<void>> = {
  "export RITMO_TOKEN=$(npx ritmo auth token)": async (done) => {
    good(done);
    expect((await type('echo "$RITMO_TOKEN"')).out).toMatch(/^rt_[\w-]{43}\n$/);
  },
  "grpcurl -plaintext 127.0.0.1:7480 list": (done) => {
    good(done);
    const areas = ["job", "build", "log", "artifact", "fleet", "event", "pipeline", "identity"];
    const services = areas.map((area) => `ritmo.${area}.v1.${area[0]?.toUpperCase()}${area.slice(1)}Service`);
    expect(done.out.split("\n")).toEqual(expect.arrayContaining(["grpc.health.v1.Health", ...services]));
  },
  [CONTRACT[2]]: listsAll,
  [CONTRACT[3]]: listsAll,
  [CONTRACT[4]]: listsAll,
  [CONTRACT[5]]: (done) => {
    // `timeout` ended it: a watch does not end by itself.
    expect(done.code).toBe(124);
    const messages = done.out.replaceAll(/\}\s*\{/g, "}\u0000{").split("\u0000");
    expect(messages.length).toBeGreaterThan(3);
    for (const message of messages) expect(() => JSON.parse(message)).not.toThrow();
    // What is alive, and the fleet: hello#3 waits, and w2 has never called.
    for (const name of ['"hello#3"', '"hello#3/train"', '"w2"', '"snapshotEnd": true'])
      expect(done.out).toContain(name);
  },
};

describe("a second terminal", () => {
  for (const line of COMMANDS) {
    test(line, async () => {
      await DID[line](await type(line));
      // The next line asks about a step, which is there once the build is planned.
      if (line.includes("--branch gpu")) {
        await expect.poll(async () => (await type("npx ritmo step explain hello#3/train")).code).toBe(0);
      }
    });
  }
});

describe("tools that know nothing of Ritmo", () => {
  for (const line of CONTRACT) {
    test(line, async ({ skip }) => {
      skip(
        line.startsWith("grpcurl") && !GRPCURL,
        "grpcurl is not on PATH, in ~/go/bin or named by RITMO_TEST_GRPCURL",
      );
      await ANSWERED[line](await type(line));
    });
  }
});

test("documents show no command of these nouns that the transcripts do not have", () => {
  const typed = new Set<string>([...COMMANDS, ...CONTRACT]);
  const shown = commandsShownIn(readFileSync(join(ROOT, "README.md"), "utf8")).filter((line) =>
    /\b(?:npx ritmo|grpcurl|buf curl|curl)\b/.test(line),
  );
  expect(shown.filter((line) => !typed.has(line))).toEqual([]);
});

test("a command is read out of a document without its remark", () => {
  const page =
    "```console\n$ npx ritmo worker list   # who builds\noutput\n$ echo a # b\n```\n```sh\n$ not this\n```\n";
  expect(commandsShownIn(page)).toEqual(["npx ritmo worker list", "echo a # b"]);
});

function digest(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

function findGrpcurl(): string | undefined {
  const given = process.env["RITMO_TEST_GRPCURL"];
  const onPath = (process.env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, "grpcurl"));
  return [...(given ? [given] : []), ...onPath, join(homedir(), "go/bin/grpcurl")].find((path) => existsSync(path));
}
