import { BuildService } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { IdentityService } from "@ritmo/contract/ritmo/identity/v1/identity_pb.js";
import { JobService } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import { expect, test } from "vitest";
import { runCli } from "./testing/run-cli.ts";
import { startFakeServer } from "./testing/start-fake-server.ts";

const OUTSIDE = "https://ritmo.example";

const startServer = (url = OUTSIDE) =>
  startFakeServer((router) => {
    router.service(IdentityService, { whoAmI: () => ({ url }) });
    router.service(BuildService, {
      getBuild: () => ({ build: { name: "hello#1" } }),
      listSteps: () => ({}),
      cancelBuild: () => ({ build: { name: "hello#1" } }),
    });
    router.service(JobService, { getJob: () => ({ job: { name: "hello" } }), deleteJob: () => ({}) });
  });

const path = "/jobs/hello/builds/1";

test.each([
  ["build", "view"],
  ["build", "cancel"],
  ["build", "retry"],
  ["build", "pin"],
  ["build", "unpin"],
  ["build", "watch"],
  ["build", "logs"],
  ["build", "run"],
  ["build", "list", "--job"],
  ["step", "list"],
  ["step", "view"],
  ["step", "explain"],
  ["artifact", "list"],
  ["artifact", "download"],
  ["job", "view"],
  ["job", "pause"],
  ["job", "delete", "--yes"],
  ["job", "edit", "--name", "x"],
  ["retention", "set", "--days", "1"],
  ["retention", "preview", "--job"],
  ["event", "watch", "--build"],
])("an address of another server is not taken for this one's: %s %s", async (...line) => {
  await using server = await startServer();
  const { code, out, err } = await runCli([...line, `http://other.example:1${path}`], { env: server.env });
  expect({ code, out }).toEqual({ code: 2, out: "" });
  expect(err).toContain("http://other.example:1");
  expect(err).toContain(`${server.url} (from RITMO_SERVER)`);
  expect(err).toContain("--server http://other.example:1");
  expect(err).toContain("ritmo context use");
  expect(server.calls.map((call) => call.method)).toEqual(["WhoAmI"]);
});

test("its own address does, as it is called or as it is linked to; asked only when they differ", async () => {
  await using server = await startServer();
  const view = (address: string) => runCli(["build", "view", address], { env: server.env });
  expect(await view(server.url + path)).toMatchObject({ code: 0 });
  expect(await view(server.url.replace("127.0.0.1", "localhost") + path)).toMatchObject({ code: 0 });
  expect(server.calls.map((call) => call.method)).not.toContain("WhoAmI");
  expect(await view(OUTSIDE + path)).toMatchObject({ code: 0 });
  expect(server.calls.map((call) => call.method)).toContain("WhoAmI");
});

test("a server that does not tell its address takes only the one that it is called by", async () => {
  await using server = await startServer("");
  expect(await runCli(["build", "view", OUTSIDE + path], { env: server.env })).toMatchObject({ code: 2 });
});
