import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { Code } from "@connectrpc/connect";
import { IdentityService, Scope } from "@ritmo/contract/ritmo/identity/v1/identity_pb.js";
import { expect, test } from "vitest";
import { type Contexts, contextsPath, readContexts, writeContexts } from "./contexts.ts";
import type { Io } from "./io.ts";
import { chooseSettings } from "./settings.ts";
import { makeHome, runCli } from "./testing/run-cli.ts";
import { GOOD_TOKEN, refusal, startFakeServer } from "./testing/start-fake-server.ts";

const CONTEXTS: Contexts = {
  current: "a",
  contexts: {
    a: { server: "http://a.example", token: "rt_a" },
    b: { server: "http://b.example", token: "rt_b" },
    out: { server: "http://out.example" },
  },
};

function choose(env: Record<string, string>, flags: Record<string, string>, contexts: Contexts = CONTEXTS) {
  using home = makeHome(env);
  writeContexts(home.env, contexts);
  const { server, token, context } = chooseSettings({ io: { env: home.env } as Io, flags });
  return [server.value, token?.value, context];
}

test("flag, then environment, then context", () => {
  expect(choose({}, {})).toEqual(["http://a.example", "rt_a", "a"]);
  expect(choose({ RITMO_CONTEXT: "b" }, {})).toEqual(["http://b.example", "rt_b", "b"]);
  expect(choose({ RITMO_CONTEXT: "b" }, { context: "a" })).toEqual(["http://a.example", "rt_a", "a"]);
  expect(choose({ RITMO_SERVER: "http://e.example", RITMO_TOKEN: "rt_e" }, {})).toEqual([
    "http://e.example",
    "rt_e",
    undefined,
  ]);
  expect(choose({ RITMO_SERVER: "http://e.example", RITMO_TOKEN: "rt_e" }, { context: "b" })).toEqual([
    "http://b.example",
    "rt_b",
    "b",
  ]);
  expect(choose({ RITMO_SERVER: "http://e.example" }, { server: "http://b.example", token: "rt_f" })).toEqual([
    "http://b.example",
    "rt_f",
    "b",
  ]);
  expect(choose({}, {}, { contexts: {} })).toEqual(["http://127.0.0.1:7480", undefined, undefined]);
});

test("a context's token goes to its own server and to no other", () => {
  expect(choose({}, { server: "http://evil.example" })).toEqual(["http://evil.example", undefined, undefined]);
  expect(choose({ RITMO_SERVER: "http://evil.example" }, {})).toEqual(["http://evil.example", undefined, undefined]);
  expect(choose({}, { server: "http://evil.example", context: "a" })).toEqual(["http://evil.example", undefined, "a"]);
  expect(choose({}, { server: "http://b.example/" })).toEqual(["http://b.example", "rt_b", "b"]);
});

test("what can't be a token is refused before it is sent, and not shown", async () => {
  using home = makeHome();
  for (const token of ["rt_a\nrt_b", "rt_a b", "rt_\u00e9"]) {
    const { code, err } = await runCli(["job", "list"], { env: { ...home.env, RITMO_TOKEN: token } });
    expect(code).toBe(2);
    expect(err).toContain("RITMO_TOKEN");
    expect(err).not.toContain("rt_");
  }
});

test("a context that is not there, a damaged file and a malformed address are told", async () => {
  using home = makeHome();
  expect(await runCli(["job", "list", "--context", "toString"], { env: home.env })).toMatchObject({ code: 2 });
  expect(await runCli(["job", "list"], { env: { ...home.env, RITMO_SERVER: "127.0.0.1" } })).toMatchObject({
    code: 2,
    err: expect.stringContaining("RITMO_SERVER"),
  });
  mkdirSync(dirname(contextsPath(home.env)), { recursive: true });
  for (const damaged of ["{", "[]", '{"contexts":{"a":{"server":1}}}', "null"]) {
    writeFileSync(contextsPath(home.env), damaged);
    expect(await runCli(["context", "list"], { env: home.env })).toMatchObject({
      code: 1,
      err: expect.stringContaining("is damaged"),
    });
  }
});

const identity = () =>
  startFakeServer((router) =>
    router.service(IdentityService, {
      whoAmI: () => ({
        token: { id: "tok_1", name: "laptop\u001b[2J", scope: Scope.ADMIN },
        organization: "default",
        version: "0.1.0",
      }),
      exchangeSetupCode: ({ code }) => {
        if (code !== "good")
          throw refusal(
            Code.Unauthenticated,
            "SETUP_CODE_INVALID",
            "the code is wrong; `ritmo server new-setup-code` prints another",
          );
        return { value: GOOD_TOKEN };
      },
    }),
  );

test("signing in keeps the token in a file of mode 0600; status, token and logout go by it", async () => {
  await using server = await identity();
  using home = makeHome();
  const { env } = home;
  const login = await runCli(["auth", "login", "--server", server.url, "--token-stdin"], {
    env,
    stdin: `${GOOD_TOKEN}\n`,
  });
  expect(login).toMatchObject({ code: 0, out: "" });
  expect(login.err).toContain("laptop\\x1b[2J");
  expect(statSync(contextsPath(env)).mode & 0o777).toBe(0o600);
  expect(statSync(dirname(contextsPath(env))).mode & 0o777).toBe(0o700);
  expect(JSON.parse(readFileSync(contextsPath(env), "utf8"))).toEqual({
    current: new URL(server.url).host,
    contexts: { [new URL(server.url).host]: { server: server.url, token: GOOD_TOKEN } },
  });
  const status = await runCli(["auth", "status"], { env });
  expect(status.out).toContain("scope admin");
  expect(status.out).not.toContain(GOOD_TOKEN);
  expect(await runCli(["auth", "token"], { env })).toMatchObject({ code: 0, out: `${GOOD_TOKEN}\n` });
  expect((await runCli(["context", "list"], { env })).out).not.toContain(GOOD_TOKEN);
  expect(await runCli(["config"], { env })).toMatchObject({ code: 0, out: expect.stringContaining("***") });
  expect(await runCli(["auth", "logout"], { env })).toMatchObject({ code: 0 });
  expect(readFileSync(contextsPath(env), "utf8")).not.toContain(GOOD_TOKEN);
  expect(await runCli(["auth", "status"], { env })).toMatchObject({ code: 4 });
});

test("a wrong token or code is not kept; a set-up code is exchanged", async () => {
  await using server = await identity();
  using home = makeHome();
  const { env } = home;
  const at = ["auth", "login", "--server", server.url];
  expect(await runCli([...at, "--token-stdin"], { env, stdin: "rt_bad" })).toMatchObject({ code: 4 });
  expect(await runCli([...at, "--token-stdin"], { env, stdin: "" })).toMatchObject({ code: 2 });
  expect(await runCli([...at, "--setup-code", "bad"], { env })).toMatchObject({
    code: 4,
    err: expect.not.stringContaining("auth login"),
  });
  expect(await runCli(at, { env })).toMatchObject({ code: 2, err: expect.stringContaining("--token-stdin") });
  expect(readContexts(env).contexts).toEqual({});
  expect(await runCli([...at, "--setup-code", "good", "--context", "prod"], { env })).toMatchObject({ code: 0 });
  expect(readContexts(env)).toMatchObject({ current: "prod", contexts: { prod: { token: GOOD_TOKEN } } });
});

test("contexts are used and removed by name; fields of others stay", async () => {
  using home = makeHome();
  const { env } = home;
  writeContexts(env, {
    ...CONTEXTS,
    contexts: { ...CONTEXTS.contexts, local: { server: "http://127.0.0.1:7480", token: "rt_l", dataDir: "/x" } },
  });
  expect(await runCli(["context", "use", "b"], { env })).toMatchObject({ code: 0 });
  expect(await runCli(["context", "use", "nope"], { env })).toMatchObject({
    code: 2,
    err: expect.stringContaining("There are: a, b"),
  });
  expect(await runCli(["context", "remove", "b"], { env })).toMatchObject({ code: 0 });
  const { current, contexts } = readContexts(env);
  expect(current).toBeUndefined();
  expect(Object.keys(contexts)).toEqual(["a", "out", "local"]);
  expect(contexts["local"]?.dataDir).toBe("/x");
});
