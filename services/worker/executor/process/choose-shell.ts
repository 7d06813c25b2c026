import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { basename, delimiter, join } from "node:path";
import { BrokenStep } from "../executor.ts";

export interface Shell {
  path: string;
  args: string[];
  /** It reads the POSIX shell language, so that one of it can run all entries and tell where it is. */
  posix: boolean;
}

const ARGS: Record<string, string[]> = {
  bash: ["-eo", "pipefail"],
  zsh: ["-eo", "pipefail"],
  ksh: ["-eo", "pipefail"],
  sh: ["-e"],
  dash: ["-e"],
  ash: ["-e"],
};

/**
 * The shell of a step: what it asked for, else bash, else sh. Throws BrokenStep SHELL_NOT_FOUND, the author's fault,
 * when what it asked for is not on this machine.
 */
export async function chooseShell(asked: string, path: string): Promise<Shell> {
  const [word, ...args] = asked.split(/\s+/).filter(Boolean);
  if (word === undefined) {
    const bash = await findProgram("bash", path);
    if (bash) return shellAt(bash);
    return shellAt((await findProgram("sh", path)) ?? "/bin/sh");
  }
  const found = await findProgram(word, path);
  if (!found) throw new BrokenStep("SHELL_NOT_FOUND", `this worker has no ${word}`, { authorFault: true });
  const shell = shellAt(found);
  return args.length > 0 ? { ...shell, args } : shell;
}

function shellAt(path: string): Shell {
  const known = ARGS[basename(path)];
  return { path, args: known ?? [], posix: known !== undefined };
}

// Looked for anew after this time: machines get shells, and seldom lose them.
const FOUND_FOR_MS = 10_000;
const foundLately = new Map<string, { place: string; untilMs: number }>();

async function findProgram(name: string, path: string): Promise<string | undefined> {
  const key = `${name}\n${path}`;
  const lately = foundLately.get(key);
  if (lately && performance.now() < lately.untilMs) return lately.place;
  const place = await lookFor(name, path);
  if (foundLately.size > 100) foundLately.clear();
  if (place) foundLately.set(key, { place, untilMs: performance.now() + FOUND_FOR_MS });
  return place;
}

async function lookFor(name: string, path: string): Promise<string | undefined> {
  const places = name.includes("/") ? [name] : path.split(delimiter).map((folder) => join(folder || ".", name));
  for (const place of places) {
    const may = await access(place, constants.X_OK).then(
      async () => (await stat(place)).isFile(),
      () => false,
    );
    if (may) return place;
  }
  return undefined;
}
