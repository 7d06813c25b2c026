import { readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { describe, expect, test } from "vitest";

const SERVICES = join(import.meta.dirname, "..");
const ROOT = join(SERVICES, "..");
const LINES_AT_MOST = 300;

const VERBS = [
  "artifacts",
  "builds",
  "events",
  "fleet",
  "incarnation",
  "jobs",
  "logs",
  "queue",
  "retention",
  "source",
  "workers",
];
/** What a replica has open, as a type; no folder needs more of the files beside it. */
const OPEN = ["control-plane/core.ts", "control-plane/config.ts", "control-plane/metrics.ts"];
const GROUND = ["contract", "process", "control-plane/store"];
const PURE = ["control-plane/pipeline", "control-plane/names"];
const inControlPlane = (...folders: string[]) => folders.map((folder) => `control-plane/${folder}`);

/** Who may import whom. What a folder's tests import is their own affair; libraries are everybody's. */
const MAY_IMPORT: Record<string, string[]> = {
  process: [],
  postgres: ["process"],
  sample: [],
  worker: ["contract", "process"],
  cli: ["contract", "process"],
  // It starts the others as processes; what it takes of them is how their settings and contexts are written.
  up: [
    ...["contract", "process", "postgres", "sample"],
    ...["control-plane/config.ts", "control-plane/find-contradictions.ts", "worker/config.ts", "cli/contexts.ts"],
  ],
  "control-plane/config.ts": ["process"],
  "control-plane/find-contradictions.ts": ["control-plane/config.ts"],
  "control-plane/metrics.ts": ["process"],
  "control-plane/core.ts": ["process", "control-plane/store", ...OPEN],
  "control-plane/pipeline": ["contract"],
  "control-plane/store": ["process", "control-plane/config.ts"],
  "control-plane/identity": [...GROUND],
  "control-plane/names": [...GROUND],
  "control-plane/source": [...GROUND, ...PURE, "control-plane/jobs/check-repository.ts"],
  "control-plane/queue": [...GROUND, ...PURE, ...inControlPlane("identity")],
  "control-plane/logs": [...GROUND, ...PURE, ...inControlPlane("identity")],
  "control-plane/artifacts": [...GROUND, ...PURE, ...inControlPlane("identity")],
  "control-plane/jobs": [...GROUND, ...PURE, ...inControlPlane("identity")],
  "control-plane/fleet": [...GROUND, ...PURE, ...OPEN, ...inControlPlane("identity")],
  "control-plane/events": [...GROUND, ...PURE, ...OPEN, ...inControlPlane("identity", "builds", "fleet", "jobs")],
  "control-plane/builds": [...GROUND, ...PURE, ...OPEN, ...inControlPlane("identity", "queue", "source", "fleet")],
  "control-plane/workers": [...GROUND, ...PURE, ...OPEN, ...inControlPlane("identity", "queue", "builds", "fleet")],
  "control-plane/incarnation": [...GROUND, ...inControlPlane("queue")],
  "control-plane/retention": [...GROUND, ...PURE, ...OPEN],
  "control-plane/upkeep": [...GROUND, ...OPEN, ...inControlPlane(...VERBS, "identity")],
  "control-plane/rpc": [
    ...[...GROUND, ...PURE, ...OPEN],
    ...inControlPlane(...VERBS, "identity"),
    // How a handler learns who calls.
    "control-plane/edge/context.ts",
  ],
  "control-plane/edge": ["contract", "process", ...OPEN, ...inControlPlane("identity", "rpc", "store")],
};
/** The other files beside them (app.ts, main.ts, …) know all of the control plane, and no folder knows them. */
const isWhole = (folder: string) => /^control-plane\/[\w-]+\.ts$/.test(folder) && !(folder in MAY_IMPORT);

interface SourceFile {
  /** Within services/. */
  path: string;
  text: string;
  /** What it imports: paths within services/, `contract`, or a library's name. */
  imports: string[];
}

const files = readSources();
const production = files.filter(({ path }) => !path.endsWith(".test.ts") && !path.startsWith("testing/"));

function readSources(): SourceFile[] {
  return readdirSync(SERVICES, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(ts|mjs)$/.test(entry.name) && !entry.parentPath.includes("node_modules"))
    .map((entry) => {
      const full = join(entry.parentPath, entry.name);
      const text = readFileSync(full, "utf8");
      return { path: relative(SERVICES, full), text, imports: importsOf(full, text) };
    });
}

function importsOf(full: string, text: string): string[] {
  return [...text.matchAll(/^(?:import|export)\b[^"';]*?from "([^"]+)"|\bimport\("([^"]+)"\)/gm)].map((match) => {
    const name = (match[1] ?? match[2]) as string;
    if (name.startsWith("@ritmo/contract")) return "contract";
    return name.startsWith(".") ? relative(SERVICES, join(dirname(full), name)) : name;
  });
}

function folderOf(path: string): string {
  const [first = "", second = ""] = path.split("/");
  return first === "control-plane" ? `${first}/${second}` : first;
}

const isWithin = (path: string, place: string) => path === place || path.startsWith(`${place}/`);
const isOurs = (name: string) => name === "contract" || /\.(ts|mjs|js)$/.test(name);

describe("who may import whom", () => {
  const folders = [...new Set(production.map(({ path }) => folderOf(path)))].filter((f) => !isWhole(f)).sort();

  test("every folder has a row", () => {
    expect(folders.filter((folder) => !(folder in MAY_IMPORT))).toEqual([]);
  });

  test.each(folders)("%s imports only what it may", (folder) => {
    const allowed = [folder, ...(MAY_IMPORT[folder] ?? [])];
    const strangers = production
      .filter(({ path }) => folderOf(path) === folder)
      .flatMap(({ path, imports }) => imports.filter(isOurs).map((name) => ({ path, name })))
      .filter(({ name }) => !allowed.some((place) => isWithin(name, place)))
      .map(({ path, name }) => `${path} imports ${name}`);
    expect(strangers).toEqual([]);
  });

  test("Postgres is opened, and the object store reached, in one folder", () => {
    const openers = production
      .filter(({ path }) => !isWithin(path, "control-plane/store") && !isWithin(path, "postgres"))
      .filter(({ text }) => /^import (?!type\b).*from "(?:postgres|minio|drizzle-orm\/postgres-js)"/m.test(text))
      .map(({ path }) => path);
    expect(openers).toEqual([]);
  });

  test("no import goes round", () => {
    // What is imported as a type alone is gone when the program runs.
    const running = production.map(({ path, text }): [string, string[]] => [
      path,
      importsOf(join(SERVICES, path), text.replaceAll(/^import type\b[^;]*;/gm, "")),
    ]);
    expect(findCycle(new Map(running))).toEqual([]);
  });
});

/** The files of one cycle in their order; empty when there is none. */
function findCycle(graph: Map<string, string[]>): string[] {
  const done = new Set<string>();
  const visit = (path: string, above: string[]): string[] => {
    if (above.includes(path)) return [...above.slice(above.indexOf(path)), path];
    if (done.has(path)) return [];
    for (const next of graph.get(path) ?? []) {
      const cycle = visit(next, [...above, path]);
      if (cycle.length > 0) return cycle;
    }
    done.add(path);
    return [];
  };
  for (const path of graph.keys()) {
    const cycle = visit(path, []);
    if (cycle.length > 0) return cycle;
  }
  return [];
}

test("a cycle is found, its absence too", () => {
  const line: [string, string[]][] = [
    ["a", ["b", "c"]],
    ["b", ["c"]],
    ["c", []],
  ];
  expect(findCycle(new Map(line))).toEqual([]);
  expect(findCycle(new Map([...line, ["c", ["a"]]]))).toEqual(["a", "b", "c", "a"]);
});

test("no folder is a drawer for everything, no file a barrel", () => {
  const drawer = /(?:^|\/)(?:utils?|common|shared|types|helpers?|lib|core)\//;
  expect(files.map(({ path }) => path).filter((path) => drawer.test(path))).toEqual([]);
  expect(files.map(({ path }) => path).filter((path) => /^index\./.test(basename(path)))).toEqual([]);
  const barrels = production.filter(({ text }) => /^export (?:\*|\{[^}]*\}) from /m.test(text));
  expect(barrels.map(({ path }) => path)).toEqual([]);
});

test(`no file written by hand has more than ${LINES_AT_MOST} lines`, () => {
  const scripts = readdirSync(ROOT)
    .filter((name) => name.endsWith(".mjs"))
    .map((name) => ({ path: name, text: readFileSync(join(ROOT, name), "utf8") }));
  const long = [...files, ...scripts].filter(({ text }) => text.split("\n").length - 1 > LINES_AT_MOST);
  expect(long.map(({ path }) => path)).toEqual([]);
});

test("settings are read where settings are read, and nowhere else", () => {
  const readers = production.filter(({ text }) => /process\.env(?:\.|\["|\[`)RITMO_/.test(text));
  expect(readers.map(({ path }) => path)).toEqual([]);
});
