// Read by whatever Node (20 or newer) is on PATH, so: plain JavaScript, and nothing but Node's own modules.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder of the checkout. */
export const ROOT = dirname(fileURLToPath(import.meta.url));

const MODULES = join(ROOT, "node_modules");
const INSTALLED = join(MODULES, ".ritmo-lock");
const WINDOWS = process.platform === "win32";

/** Runs `npm ci` where node_modules is missing or was made from another lockfile. Ends the process when it fails. */
export function installWhatIsMissing() {
  const lock = createHash("sha256")
    .update(readFileSync(join(ROOT, "package-lock.json")))
    .digest("hex");
  if (existsSync(INSTALLED) && readFileSync(INSTALLED, "utf8") === lock) return;
  if (spawnSync("git", ["--version"]).error) fail("git is not on PATH. Install git, then run this again.");
  const startedAt = Date.now();
  process.stderr.write("Installing what Ritmo needs (npm ci, about a minute) … ");
  const done = spawnSync("npm", ["ci", "--no-progress", "--loglevel=error"], {
    cwd: ROOT,
    encoding: "utf8",
    shell: WINDOWS,
    stdio: ["ignore", "pipe", "pipe"],
  });
  process.stderr.write("\n");
  if (done.error) fail("npm is not on PATH. It comes with Node (https://nodejs.org); install it, then run this again.");
  if (done.status !== 0) fail(`npm ci failed: ${firstError(done.stderr)} Run \`npm ci\` to see all it says.`);
  writeFileSync(INSTALLED, lock);
  process.stderr.write(`Installed in ${Math.round((Date.now() - startedAt) / 1000)} s.\n`);
}

/** The environment in which the programs of the lockfile, Node among them, come first. */
export function pinnedEnvironment() {
  return { ...process.env, PATH: `${join(MODULES, ".bin")}${delimiter}${process.env.PATH ?? ""}` };
}

/**
 * Goes on with a program under the pinned Node: its terminal is ours, SIGINT and SIGTERM are passed on, and it ends as we end. The
 * channel tells it when this process was killed, so that it isn't left behind.
 */
export function goOnUnderPinnedNode(program, args) {
  const child = spawn(pinnedNode(), [join(ROOT, program), ...args], {
    env: pinnedEnvironment(),
    stdio: ["inherit", "inherit", "inherit", "ipc"],
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  child.once("error", (reason) => fail(`Node of the lockfile can't be started: ${reason.message}`));
  child.once("exit", (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)));
}

/** The Node that the lockfile pins for this platform; ends the process where there is none. */
export function pinnedNode() {
  const names = [
    `node-${WINDOWS ? "win" : process.platform}-${process.arch}`,
    `node-bin-${process.platform}-${process.arch}`,
  ];
  const found = names
    .map((name) => join(MODULES, name, "bin", WINDOWS ? "node.exe" : "node"))
    .find((path) => existsSync(path));
  if (found) return found;
  if (Number(process.versions.node.split(".")[0]) >= 24) return process.execPath;
  return fail(
    `No Node comes with Ritmo for ${process.platform} on ${process.arch}. Put Node 24 or newer on PATH, then run this again.`,
  );
}

function firstError(text) {
  const lines = text
    .split("\n")
    .map((line) => line.replace(/^npm (error|ERR!) ?/, "").trim())
    .filter((line) => line !== "");
  const line = lines.find((line) => !/^(code|errno|syscall|path) /.test(line)) ?? "no reason was given";
  return /[.!?]$/.test(line) ? line : `${line}.`;
}

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
