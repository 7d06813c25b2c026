#!/usr/bin/env node
// Plain JavaScript that Node 18 can read: it finds the Node that Ritmo is pinned to and goes on under it.
import { spawn } from "node:child_process";
import { accessSync, constants, existsSync, realpathSync } from "node:fs";
import { constants as os } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const OLDEST_MAJOR = 24;
const here = dirname(realpathSync(fileURLToPath(import.meta.url)));
const main = join(here, "main.ts");

/** The nearest `name` under a node_modules folder at or above this file. */
function findInstalled(name) {
  for (let folder = here; ; folder = dirname(folder)) {
    const path = join(folder, "node_modules", name);
    if (existsSync(path)) return path;
    if (folder === dirname(folder)) return undefined;
  }
}

function runs(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function complain(line) {
  process.stderr.write(`ritmo: ${line}\n`);
  process.exit(1);
}

function choosePinned() {
  const name = process.platform === "win32" ? "node.exe" : "node";
  const pinned = findInstalled(join(".bin", name));
  if (pinned && runs(pinned)) return realpathSync(pinned);
  if (Number(process.versions.node.split(".")[0]) >= OLDEST_MAJOR) return process.execPath;
  return complain(
    `this needs Node ${OLDEST_MAJOR} or newer and runs under ${process.versions.node}; the pinned one is not installed. Run \`npm ci\` in the checkout, then try again.`,
  );
}

if (!findInstalled("commander")) {
  complain("its dependencies are not installed. Run `npm ci` (or `npm start`) in the checkout, then try again.");
}

// Node warns on stderr when both are set; FORCE_COLOR is the one that counts, unless it is empty.
const env = { ...process.env };
if (env.NO_COLOR && env.FORCE_COLOR !== undefined) delete env[env.FORCE_COLOR === "" ? "FORCE_COLOR" : "NO_COLOR"];

const node = choosePinned();
const args = ["--disable-warning=ExperimentalWarning", main, ...process.argv.slice(2)];

if (typeof process.execve === "function" && process.platform !== "win32") {
  // Becoming the other process leaves nothing to pass on: signals, terminal and exit code are its own.
  process.execve(node, [node, ...args], env);
} else {
  const child = spawn(node, args, { stdio: "inherit", env });
  // A terminal sends Ctrl-C to the child by itself; a second one would mean "at once".
  const fromTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  process.on("SIGINT", () => fromTerminal || child.kill("SIGINT"));
  for (const name of ["SIGTERM", "SIGHUP", "SIGQUIT"]) process.on(name, () => child.kill(name));
  child.on("error", (reason) => complain(`can't run ${node}: ${reason.message}`));
  child.on("exit", (code, signal) => process.exit(signal ? 128 + (os.signals[signal] || 0) : (code ?? 1)));
}
