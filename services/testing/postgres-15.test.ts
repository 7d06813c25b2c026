import { chmodSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BuildState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { expect, test } from "vitest";
import { migrate } from "../control-plane/store/migrate.ts";
import { openDatabase } from "../control-plane/store/open-database.ts";
import { serverUser } from "../postgres/server-user.ts";
import { freePort } from "../process/free-port.ts";
import { openLogger } from "../process/logger.ts";
import { NO_POSTGRES_15, POSTGRES_15, startPostgres15 } from "./start-postgres-15.ts";
import { startRitmo } from "./start-ritmo.ts";
import { testRepository } from "./test-repository.ts";
import { logOf } from "./witness.ts";

// The oldest PostgreSQL that Ritmo runs on, as Debian packages it: the tables are made there, and a build goes through.

test("on PostgreSQL 15 the tables are made and a build of a repository succeeds", async ({ skip }) => {
  skip(!existsSync(join(POSTGRES_15, "initdb")), NO_POSTGRES_15);
  const folder = mkdtempSync(join(tmpdir(), "ritmo-postgres-15-"));
  chmodSync(folder, 0o755);
  try {
    await using server = await startPostgres15(folder, serverUser(), await freePort());
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
