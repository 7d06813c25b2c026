import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Diagnostic, PipelineService, Severity } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import { expect, test } from "vitest";
import { makeHome, runCli } from "../testing/run-cli.ts";
import { startFakeServer } from "../testing/start-fake-server.ts";

const TEXT = "version: 1\nsteps:\n  test:\n    needz: [compile]\n";
const FOUND: Partial<Diagnostic>[] = [
  {
    severity: Severity.ERROR,
    code: "unknown-key",
    message: "no key is named needz",
    fix: "write needs",
    line: 4,
    column: 5,
    endLine: 4,
    endColumn: 10,
  },
];

const start = (diagnostics: Partial<Diagnostic>[]) =>
  startFakeServer((router) =>
    router.service(PipelineService, {
      validatePipeline: ({ file }) => ({
        diagnostics: diagnostics.map((d) => ({ ...d, file }) as Diagnostic),
        canonicalText: "canonical\n",
        pipeline: { steps: [{}] },
      }),
      getSchema: () => ({ jsonSchema: '{"$schema":"x"}' }),
    }),
  );

test("a fault: its place, the line with a caret under what is meant, the fix, exit 1", async () => {
  await using server = await start(FOUND);
  using home = makeHome();
  writeFileSync(join(home.path, ".ritmo.yaml"), TEXT);
  const { code, out } = await runCli(["pipeline", "lint"], { env: server.env, cwd: home.path });
  expect(code).toBe(1);
  expect(out).toBe(
    [
      ".ritmo.yaml:4:5: error: no key is named needz [unknown-key]",
      "    4 |     needz: [compile]",
      "      |     ^^^^^",
      "  fix: write needs",
      "",
    ].join("\n"),
  );
  const json = await runCli(["pipeline", "lint", "-", "--json", "line,code,severity"], {
    env: server.env,
    stdin: TEXT,
  });
  expect(json.code).toBe(1);
  expect(JSON.parse(json.out)).toEqual([{ line: 4, code: "unknown-key", severity: "ERROR" }]);
});

test("a warning is not a fault; a good file can be printed in its long form; one that is not there is told", async () => {
  await using server = await start([{ severity: Severity.WARNING, message: "unlikely", line: 1, column: 1 }]);
  const { env } = server;
  expect(await runCli(["pipeline", "lint", "-"], { env, stdin: TEXT })).toMatchObject({
    code: 0,
    err: expect.stringContaining("1 warning"),
  });
  const canonical = await runCli(["pipeline", "lint", "-", "--canonical"], { env, stdin: TEXT });
  expect(canonical.out).toContain("canonical\n");
  expect(await runCli(["pipeline", "lint", "none.yaml"], { env })).toMatchObject({
    code: 2,
    err: expect.stringContaining("none.yaml"),
  });
  expect(await runCli(["pipeline", "schema"], { env })).toMatchObject({ code: 0, out: '{"$schema":"x"}\n' });
});

test("a hostile line does nothing to the terminal, and a very long one is cut around its fault", async () => {
  await using server = await start([
    { severity: Severity.ERROR, message: "bad", line: 1, column: 5001, endLine: 1, endColumn: 5003 },
  ]);
  const { out } = await runCli(["pipeline", "lint", "-"], {
    env: server.env,
    stdin: `${"x".repeat(5000)}\u001b]${"y".repeat(5000)}\n`,
  });
  expect(out).not.toContain("\u001b");
  expect(out.length).toBeLessThan(600);
  const [, source = "", carets = ""] = out.split("\n");
  expect(source.slice(carets.indexOf("^"), carets.lastIndexOf("^") + 1)).toBe("\\x1b]");
});
