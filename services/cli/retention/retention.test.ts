import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { BuildService, type PreviewRetentionRequest } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { JobService, type UpdateJobRequest } from "@ritmo/contract/ritmo/job/v1/job_pb.js";
import { expect, test } from "vitest";
import { runCli } from "../testing/run-cli.ts";
import { startFakeServer } from "../testing/start-fake-server.ts";

test("preview tells what would go, with rules to try, and that nothing was taken", async () => {
  const asked: PreviewRetentionRequest[] = [];
  await using server = await startFakeServer((router) =>
    router.service(BuildService, {
      previewRetention: (request) => {
        asked.push(request);
        const finishedAt = timestampFromMs(Date.now() - 100 * 86_400_000);
        if (request.days === 0) return {};
        return {
          builds: [{ id: "bld_1", name: "hello#1", finishedAt, bytes: 3n << 30n, reason: "AGE" }],
          totalBuilds: 7n,
          totalBytes: 9n << 30n,
        };
      },
    }),
  );
  const { env } = server;
  const table = await runCli(["retention", "preview", "--job", "hello", "--size", "20GiB", "--builds", "5"], { env });
  expect(table.out).toMatch(/hello#1 +100 d ago +3\.0 GiB +too old/);
  expect(table.err).toBe("7 builds (the 1 oldest are shown) with 9.0 GiB would go. Nothing was taken.\n");
  expect(asked[0]).toMatchObject({ job: "hello", bytes: 20n << 30n, builds: 5, pageSize: 50 });
  expect(asked[0]?.days).toBeUndefined();
  expect((await runCli(["retention", "preview", "--days", "0"], { env })).err).toBe("Nothing would go.\n");
  const json = await runCli(["retention", "preview", "--json", "name,bytes"], { env });
  expect(JSON.parse(json.out)).toEqual([{ name: "hello#1", bytes: 3 * 2 ** 30 }]);
  for (const bad of [
    ["--days", "soon"],
    ["--size", "20 Gib"],
    ["--builds", "-1"],
  ])
    expect((await runCli(["retention", "preview", ...bad], { env })).code).toBe(2);
});

test("set gives a job its rules, or the server's again, and never both", async () => {
  const asked: UpdateJobRequest[] = [];
  await using server = await startFakeServer((router) =>
    router.service(JobService, {
      updateJob: (request) => {
        asked.push(request);
        return { job: { name: "hello", ...(request.job?.retention ? { retention: request.job.retention } : {}) } };
      },
    }),
  );
  const { env } = server;
  const set = await runCli(["retention", "set", "hello", "--days", "30", "--size", "0"], { env });
  expect(set.err).toBe("hello keeps 30 days, any size.\n");
  expect(asked[0]).toMatchObject({ updateMask: { paths: ["retention"] }, job: { retention: { days: 30, bytes: 0n } } });
  const back = await runCli(["retention", "set", "hello", "--defaults"], { env });
  expect(back.err).toBe("hello keeps what the server's settings say.\n");
  expect(asked[1]?.job?.retention).toBeUndefined();
  expect((await runCli(["retention", "set", "hello"], { env })).code).toBe(2);
  expect((await runCli(["retention", "set", "hello", "--days", "1", "--defaults"], { env })).code).toBe(2);
});

test("pin and unpin say what follows", async () => {
  const calls: string[] = [];
  await using server = await startFakeServer((router) =>
    router.service(BuildService, {
      pinBuild: ({ name }) => {
        calls.push(`pin ${name}`);
        return { build: { name, pinned: true } };
      },
      unpinBuild: ({ name }) => {
        calls.push(`unpin ${name}`);
        return { build: { name } };
      },
    }),
  );
  const { env } = server;
  expect((await runCli(["build", "pin", "hello#7"], { env })).err).toContain("hello#7 is kept until");
  expect(JSON.parse((await runCli(["build", "pin", "hello#7", "--json", "pinned"], { env })).out)).toEqual({
    pinned: true,
  });
  expect((await runCli(["build", "unpin", "hello#7"], { env })).err).toContain("ritmo retention preview");
  expect(calls).toEqual(["pin hello#7", "pin hello#7", "unpin hello#7"]);
});
