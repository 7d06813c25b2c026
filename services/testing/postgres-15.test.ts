import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BuildState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { expect, test } from "vitest";
import { migrate } from "../control-plane/store/migrate.ts";
import { openDatabase } from "../control-plane/store/open-database.ts";
import { runAs, type ServerUser, serverUser, startAs } from "../postgres/server-user.ts";
import { freePort } from "../process/free-port.ts";
import { openLogger } from "../process/logger.ts";
import { startRitmo } from "./start-ritmo.ts";
import { testRepository } from "./test-repository.ts";
import { logOf } from "./witness.ts";

// The oldest PostgreSQL that Ritmo runs on, as Debian packages it: the tables are made there, and a build goes through.

const BIN = process.env["RITMO_TEST_POSTGRES_15"] ?? "/usr/lib/postgresql/15/bin";

async function startServer(folder: string, user: ServerUser | undefined, port: number) {
  const data = join(folder, "data");
  mkdirSync(data, { mode: 0o700 });
  if (user) for (const path of [folder, data]) chownSync(path, user.uid, user.gid);
  const made = runAs(user, [join(BIN, "initdb"), "-D", data, "-U", "ritmo", "-A", "trust", "--no-sync", "-E", "UTF8"]);
  expect([made.status, made.stderr.toString()]).toEqual([0, expect.any(String)]);
  const options = ["-p", String(port), "-k", "", "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"];
  const child = startAs(user, [join(BIN, "postgres"), "-D", data, ...options], { stdio: "ignore", cwd: folder });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  return {
    url: `postgres://ritmo@127.0.0.1:${port}/postgres`,
    async [Symbol.asyncDispose]() {
      child.kill("SIGINT");
      await ended;
    },
  };
}

test("on PostgreSQL 15 the tables are made and a build of a repository succeeds", async ({ skip }) => {
  skip(!existsSync(join(BIN, "initdb")), `PostgreSQL 15 is not at ${BIN}; RITMO_TEST_POSTGRES_15 names another place`);
  const folder = mkdtempSync(join(tmpdir(), "ritmo-postgres-15-"));
  chmodSync(folder, 0o755);
  try {
    await using server = await startServer(folder, serverUser(), await freePort());
    const db = openDatabase({ url: server.url });
    try {
      const version = () => db.sql<{ version: string }[]>`SELECT current_setting('server_version') AS version`;
      await expect.poll(async () => (await version())[0]?.version, { timeout: 20_000 }).toMatch(/^15\./);
      await migrate(db, openLogger("test", "silent"));
      using repository = testRepository();
      const steps =
        "  a: { run: cat word, artifacts: [word] }\n  b: { needs: [a], inputs: [{ artifacts: a }], run: cat word }";
      repository.commit("main", { ".ritmo.yaml": `version: 1\nsteps:\n${steps}\n`, word: "fifteen\n" });
      await using ritmo = await startRitmo({ databaseUrl: server.url, db });
      await ritmo.startWorker("w1");
      await ritmo.createJob("old", repository.url);
      const build = await ritmo.untilOver(await ritmo.run("old", "main"));
      expect(build).toMatchObject({ state: BuildState.SUCCESS, cause: "" });
      expect(await logOf(ritmo, "old#1/b")).toBe("fifteen\n");
    } finally {
      await db.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
