// `npm run check`: everything that can be held against the text alone. Each line is one check.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { installWhatIsMissing, pinnedEnvironment, ROOT } from "./install.mjs";

const RELEASED = "proto/released.binpb";

const CHECKS = {
  "format and lint": () => run("biome", "ci", "--colors=off", "--error-on-warnings", "."),
  "no promise is left alone": () => run("oxlint", "--type-aware", "--deny-warnings", "services"),
  types: () => run("tsc", "--noEmit"),
  "the contract's style": () => run("buf", "lint"),
  "the contract still serves the last release": breaking,
  "generated code is fresh": generatedIsFresh,
  "the lockfile is whole": lockfileIsWhole,
  "no dead code, no unused dependency": () => run("knip", "--no-progress"),
};

/** Runs every check, two at a time; answers how many passed and failed, and which were skipped and why. */
export async function runChecks() {
  const tally = { passed: 0, failed: 0, skipped: [] };
  const waiting = Object.entries(CHECKS);
  const lane = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) await runOne(next[0], next[1], tally);
  };
  await Promise.all([lane(), lane()]);
  return tally;
}

async function runOne(name, check, tally) {
  const startedAt = Date.now();
  const { ok, output, skip } = await check();
  const seconds = ((Date.now() - startedAt) / 1000).toFixed(1);
  if (skip) tally.skipped.push(`check: ${name}: ${skip}`);
  else if (ok) tally.passed++;
  else tally.failed++;
  process.stdout.write(`${skip ? "-" : ok ? "✓" : "✗"} ${name} ${skip ? `(skipped: ${skip})` : `${seconds} s`}\n`);
  if (!ok && !skip) process.stdout.write(`${output.trimEnd().replace(/^/gm, "    ")}\n`);
}

function run(program, ...args) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd: ROOT, env: pinnedEnvironment(), stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    child.stdout.on("data", (data) => (output += data));
    child.stderr.on("data", (data) => (output += data));
    child.once("error", (reason) => resolve({ ok: false, output: reason.message }));
    child.once("close", (code) => resolve({ ok: code === 0, output }));
  });
}

function breaking() {
  if (existsSync(join(ROOT, RELEASED))) return run("buf", "breaking", "--against", RELEASED);
  return { skip: `no release is frozen yet; \`npm run contract:freeze\` makes ${RELEASED}` };
}

async function generatedIsFresh() {
  const folder = mkdtempSync(join(tmpdir(), "ritmo-generated-"));
  try {
    const made = await run("buf", "generate", "--output", folder);
    if (!made.ok) return made;
    const stale = differences(join(folder, "proto/gen"), join(ROOT, "proto/gen"));
    return { ok: stale.length === 0, output: `${stale.join("\n")}\nRun \`npm run contract:generate\`.` };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function differences(wanted, found) {
  const paths = new Set([...filesUnder(wanted), ...filesUnder(found)]);
  const text = (folder, path) =>
    existsSync(join(folder, path)) ? readFileSync(join(folder, path), "utf8") : undefined;
  return [...paths]
    .filter((path) => text(wanted, path) !== text(found, path))
    .map((path) => `stale: proto/gen/${path}`);
}

function filesUnder(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
}

// npm silently leaves an optional dependency out of the lock when the registry lags, and `npm ci` then fails elsewhere.
function lockfileIsWhole() {
  const { packages } = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8"));
  const present = new Set(Object.keys(packages).map((path) => path.replace(/^.*node_modules\//, "")));
  const missing = Object.entries(packages).flatMap(([path, entry]) =>
    Object.keys(entry.optionalDependencies ?? {})
      .filter((name) => !present.has(name))
      .map((name) => `${path || "the checkout"} wants ${name}, which has no entry`),
  );
  return { ok: missing.length === 0, output: missing.join("\n") };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  installWhatIsMissing();
  const { passed, failed, skipped } = await runChecks();
  process.stdout.write(`${passed} passed, ${failed} failed, ${skipped.length} skipped\n`);
  process.exitCode = failed > 0 ? 1 : 0;
}
