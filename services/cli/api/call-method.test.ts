import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Code } from "@connectrpc/connect";
import { Health, HealthCheckResponse_ServingStatus } from "@ritmo/contract/grpc/health/v1/health_pb.js";
import { BuildService, BuildState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { EventService } from "@ritmo/contract/ritmo/event/v1/event_pb.js";
import { expect, test } from "vitest";
import { makeHome, runCli } from "../testing/run-cli.ts";
import { refusal, startFakeServer } from "../testing/start-fake-server.ts";

const start = () =>
  startFakeServer((router) => {
    router.service(Health, { check: () => ({ status: HealthCheckResponse_ServingStatus.SERVING }) });
    router.service(BuildService, {
      getBuild: ({ name }) => ({ build: { name, state: BuildState.RUNNING, number: 1n } }),
      cancelBuild: ({ name }) => ({ build: { name } }),
      listBuilds: () => {
        throw refusal(Code.InvalidArgument, "PAGE_TOKEN_INVALID", "this page token is of another list");
      },
    });
    router.service(EventService, {
      async *watch({ cursor }, { signal }) {
        yield { cursor: "a" };
        yield { cursor: "b" };
        if (cursor === "wait") await new Promise((resolve) => signal.addEventListener("abort", resolve));
      },
    });
  });

test("any unary method, its request from the line, a file or standard input", async () => {
  await using server = await start();
  using home = makeHome();
  const answer = { build: { name: "hello#1", number: "1", state: "BUILD_STATE_RUNNING" } };
  const call = (data: string, stdin = "") =>
    runCli(["api", "ritmo.build.v1.BuildService/GetBuild", "-d", data], { env: server.env, cwd: home.path, stdin });
  expect(JSON.parse((await call('{"name":"hello#1"}')).out)).toEqual(answer);
  writeFileSync(join(home.path, "request.json"), '{"name":"hello#1"}');
  expect(JSON.parse((await call("@request.json")).out)).toEqual(answer);
  expect(JSON.parse((await call("-", '{"name":"hello#1"}')).out)).toEqual(answer);
  expect(
    JSON.parse((await runCli(["api", "BuildService/GetBuild", "-d", '{"name":"hello#1"}'], { env: server.env })).out),
  ).toEqual(answer);
});

test("a stream prints one object a line; --timeout ends it with 3", async () => {
  await using server = await start();
  const ended = await runCli(["api", "EventService/Watch"], { env: server.env });
  expect(ended).toMatchObject({ code: 0, out: '{"cursor":"a"}\n{"cursor":"b"}\n' });
  const cut = await runCli(["api", "EventService/Watch", "-d", '{"cursor":"wait"}', "--timeout", "500ms"], {
    env: server.env,
  });
  expect(cut).toMatchObject({ code: 3, out: ended.out });
});

test("a request_id is filled in, and one that is given is kept", async () => {
  await using server = await start();
  await runCli(["api", "BuildService/CancelBuild", "-d", '{"name":"x#1"}'], { env: server.env });
  await runCli(["api", "BuildService/CancelBuild", "-d", '{"name":"x#1","requestId":"mine"}'], { env: server.env });
  expect(server.calls[0]?.requestId).toMatch(/^[0-9a-f-]{36}$/);
  expect(server.calls[1]?.requestId).toBe("mine");
});

test("what is wrong with the call is told with what would be right", async () => {
  await using server = await start();
  const { env } = server;
  const method = await runCli(["api", "BuildService/GetBild"], { env });
  expect(method).toMatchObject({ code: 2, err: expect.stringContaining("ritmo.build.v1.BuildService/GetBuild") });
  const service = await runCli(["api", "nonsense"], { env });
  expect(service).toMatchObject({ code: 2, err: expect.stringContaining("ritmo.log.v1.LogService/FollowLog") });
  expect(await runCli(["api", "BuildService/GetBuild", "-d", "{"], { env })).toMatchObject({
    code: 2,
    err: expect.stringContaining("not JSON"),
  });
  expect(await runCli(["api", "BuildService/GetBuild", "-d", '{"nam":1}'], { env })).toMatchObject({
    code: 2,
    err: expect.stringContaining("Its fields: name."),
  });
  expect(await runCli(["api", "BuildService/GetBuild", "-d", "@none"], { env })).toMatchObject({ code: 2 });
  expect(await runCli(["api", "BuildService/ListBuilds"], { env })).toMatchObject({
    code: 1,
    err: expect.stringContaining("PAGE_TOKEN_INVALID"),
  });
  expect(server.calls.map((c) => c.method)).toEqual(["ListBuilds"]);
});

test("health needs no token, the rest does", async () => {
  await using server = await start();
  using home = makeHome({ RITMO_SERVER: server.url });
  expect(await runCli(["api", "Health/Check"], { env: home.env })).toMatchObject({
    code: 0,
    out: '{"status":"SERVING"}\n',
  });
  expect(await runCli(["api", "BuildService/GetBuild"], { env: home.env })).toMatchObject({ code: 4 });
});
