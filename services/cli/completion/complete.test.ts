import { BuildService } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { JobService } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import { expect, test } from "vitest";
import { makeHome, runCli } from "../testing/run-cli.ts";
import { startFakeServer } from "../testing/start-fake-server.ts";

test("nouns, verbs, options and names may come next", async () => {
  await using server = await startFakeServer((router) => {
    router.service(JobService, { listJobs: () => ({ jobs: [{ name: "hello" }, { name: "other" }] }) });
    router.service(BuildService, { listBuilds: () => ({ builds: [{ name: "hello#1" }] }) });
  });
  const next = async (...words: string[]) => {
    const { code, out } = await runCli(["__complete", "--", ...words], { env: server.env });
    expect(code).toBe(0);
    return out
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => line.split("\t")[0]);
  };
  expect(await next("bu")).toEqual(["build"]);
  expect(await next("build", "")).toEqual(
    expect.arrayContaining(["run", "list", "view", "watch", "logs", "cancel", "retry"]),
  );
  expect(await next("")).not.toContain("__complete");
  expect(await next("build", "run", "--b")).toEqual(["--branch"]);
  expect(await next("build", "run", "h")).toEqual(["hello"]);
  expect(await next("build", "list", "--job", "")).toEqual(["hello", "other"]);
  expect(await next("build", "view", "")).toEqual(["hello#1"]);
  expect(await next("completion", "")).toEqual(["bash", "zsh", "fish"]);
});

test("without a server there are no names, and no words about it", async () => {
  using home = makeHome({ RITMO_SERVER: "http://127.0.0.1:1", RITMO_TOKEN: "x" });
  expect(await runCli(["__complete", "--", "build", "view", ""], { env: home.env })).toEqual(
    expect.objectContaining({ code: 0, out: "", err: "" }),
  );
});

test("a script for each shell, and none for others", async () => {
  for (const shell of ["bash", "zsh", "fish"])
    expect((await runCli(["completion", shell])).out).toContain("ritmo __complete");
  expect(await runCli(["completion", "toString"])).toMatchObject({ code: 2 });
});
