import { BuildService } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { expect, test } from "vitest";
import { runCli } from "../testing/run-cli.ts";
import { startFakeServer } from "../testing/start-fake-server.ts";

test.each(["cancel", "retry", "pin", "unpin"])(
  "build %s takes a job's bare name for its newest build",
  async (verb) => {
    const named: string[] = [];
    const take = ({ name }: { name: string }) => {
      named.push(name);
      return { build: { name } };
    };
    await using server = await startFakeServer((router) =>
      router.service(BuildService, {
        listBuilds: () => ({ builds: [{ name: "hello#7" }] }),
        cancelBuild: take,
        retryBuild: take,
        pinBuild: take,
        unpinBuild: take,
      }),
    );
    expect(await runCli(["build", verb, "hello"], { env: server.env })).toMatchObject({ code: 0 });
    expect(await runCli(["build", verb, "hello#3"], { env: server.env })).toMatchObject({ code: 0 });
    expect(named).toEqual(["hello#7", "hello#3"]);
  },
);
