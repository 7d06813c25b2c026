import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import postgres from "postgres";
import { afterEach, beforeEach, expect, test } from "vitest";
import { copyOnce } from "./find-binaries.ts";
import { canReach } from "./server-user.ts";
import { type EmbeddedPostgres, startPostgres } from "./start-postgres.ts";

let folder: string;
const servers: EmbeddedPostgres[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ritmo-postgres-"));
  chmodSync(folder, 0o755);
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function start(options: { port?: number } = {}): Promise<EmbeddedPostgres> {
  const server = await startPostgres({ folder: join(folder, "pg"), ...options });
  servers.push(server);
  return server;
}

async function query<T>(url: string, text: string): Promise<T> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    return (await sql.unsafe(text)) as T;
  } finally {
    await sql.end();
  }
}

test("data stays over an orderly stop, a kill -9, and a postmaster that its parent left running", async () => {
  const first = await start();
  await query(first.url, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)");
  await first.stop();

  const second = await start({ port: first.port });
  expect(second.port).toBe(first.port);
  await query(second.url, "INSERT INTO kept VALUES (2)");
  process.kill(second.pid, "SIGKILL");
  await second.ended;

  const third = await start({ port: first.port });
  await query(third.url, "INSERT INTO kept VALUES (3)");
  // Nobody stops the third; the fourth finds it by the lock file of the data folder, and ends it.
  const fourth = await start();
  await third.ended;
  expect(await query(fourth.url, "SELECT array_agg(n ORDER BY n) AS all FROM kept")).toEqual([{ all: [1, 2, 3] }]);
});

test("the first start may be killed half way", async () => {
  mkdirSync(join(folder, "pg", "data.new"), { recursive: true });
  writeFileSync(join(folder, "pg", "data.new", "PG_VERSION"), "18\n");
  const server = await start();
  expect(await query(server.url, "SELECT 1 AS one")).toEqual([{ one: 1 }]);
});

test("data of another version, or of something else, is refused and left as it is", async () => {
  const data = join(folder, "pg", "data");
  mkdirSync(data, { recursive: true });
  writeFileSync(join(data, "thesis.txt"), "years");
  await expect(start()).rejects.toThrow(/holds something else than PostgreSQL's data\. Move it away/);
  writeFileSync(join(data, "PG_VERSION"), "15\n");
  await expect(start()).rejects.toThrow(/is of PostgreSQL 15; this Ritmo carries 18\. Move it with pg_dump/);
  expect(readFileSync(join(data, "thesis.txt"), "utf8")).toBe("years");
});

test("a setting that the server refuses: one line with its cause", async () => {
  const options = { folder: join(folder, "pg"), careless: true, settings: { shared_buffers: "lots" } };
  await expect(startPostgres(options)).rejects.toThrow(/^PostgreSQL did not start: .*shared_buffers.*\(all of it: /);
});

test("as root: what the server's user can't reach is refused, or copied where it can be", async (context) => {
  context.skip(userInfo().uid !== 0, "only root has another user for the server");
  const hidden = join(folder, "hidden");
  mkdirSync(hidden, { mode: 0o700 });
  await expect(startPostgres({ folder: join(hidden, "pg") })).rejects.toThrow(
    /^The user `postgres`, as which PostgreSQL runs here, can't reach .*hidden\/pg\. Name a RITMO_DATA_DIR/,
  );

  const outsider = { name: "nobody", uid: 65_534, gid: 65_534 };
  expect(canReach(outsider, hidden)).toBe(false);
  writeFileSync(join(hidden, "postgres"), "");
  const copy = copyOnce(hidden, join(folder, "cache", "postgresql"));
  expect(canReach(outsider, copy)).toBe(true);
  expect(readdirSync(copy)).toContain("postgres");
  expect(copyOnce(hidden, copy)).toBe(copy);
});
