import { mkdir, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { boundaryWords } from "./boundaries.ts";

/** Where the attempt's folders are in its container. */
export const INSIDE = {
  root: "/ritmo",
  workspace: "/ritmo/workspace",
  home: "/ritmo/home",
  tmp: "/ritmo/tmp",
  script: "/ritmo/script",
  /** What the worker wrote for the container, read-only in there. */
  step: "/ritmo/step",
};

const ARGS: Record<string, string[]> = {
  bash: ["-eo", "pipefail"],
  zsh: ["-eo", "pipefail"],
  ksh: ["-eo", "pipefail"],
  sh: ["-e"],
  dash: ["-e"],
  ash: ["-e"],
};

// Descriptors of the script itself; nothing that the entries run inherits them.
const OUTPUT = 7;
const WORDS = 9;
const SAY = `{ IFS= read -r RITMO_WORD <&${WORDS} && printf %s "$RITMO_WORD"; unset RITMO_WORD; }`;

/** The exit code of the container when the shell that was asked for is not in the image. */
export const NO_SUCH_SHELL = 127;

export interface Commands {
  entrypoint: string[];
  cmd: string[];
  words: string[];
  /** Each entry begins at a boundary of its own. */
  posix: boolean;
}

/**
 * Writes into `folder` (INSIDE.step in the container) what the container is to run, and answers how it is called.
 *
 * Both outputs are one pipe, so that their order is kept. At each boundary the script says the next word of a file
 * that is open in the script alone: the worker takes it out of the output and knows the very byte. Nothing is waited
 * for, so that the script also goes on while no worker listens. When the shell ends by itself, its code is in `ended`.
 */
export async function writeCommands(folder: string, key: string, shell: string, run: string[]): Promise<Commands> {
  await mkdir(folder, { mode: 0o755 });
  const [word, ...args] = shell.split(/\s+/).filter(Boolean);
  const known = word === undefined ? [] : ARGS[basename(word)];
  const posix = known !== undefined;
  const words = boundaryWords(key, posix ? run.length + 1 : 1);
  const files = posix ? posixFiles(run) : { run: `${run.join("\n")}\n` };
  const all = Object.entries({ ...files, words: `${words.join("\n")}\n` });
  await Promise.all(all.map(([name, text]) => writeFile(join(folder, name), text, { mode: 0o644 })));
  const script = `${INSIDE.step}/run`;
  const asked = word === undefined ? [] : [word, ...(args.length > 0 ? args : (known ?? [])), script];
  return { entrypoint: ["/bin/sh"], cmd: ["-c", opening(posix, script), "sh", ...asked], words, posix };
}

function opening(posix: boolean, script: string): string {
  const bash = `if command -v bash >/dev/null 2>&1; then set -- bash -eo pipefail ${script}; else set -- sh -e ${script}; fi`;
  return [
    `exec 2>&1 ${WORDS}<${INSIDE.step}/words`,
    `[ $# -gt 0 ] || ${bash}`,
    `command -v "$1" >/dev/null 2>&1 || exit ${NO_SUCH_SHELL}`,
    SAY,
    posix ? 'exec "$@"' : `exec "$@" ${WORDS}<&-`,
  ].join("\n");
}

function posixFiles(run: string[]): Record<string, string> {
  const entries = run.map((text, index) => [`run-${index + 1}`, `${text}\n`] as const);
  const lines = entries.flatMap(([name]) => [
    // Without its errors, so that `set -x` of an entry does not show this.
    `{ ${SAY} >&${OUTPUT} || :; } 2>/dev/null`,
    `. ${INSIDE.step}/${name} ${OUTPUT}>&- ${WORDS}<&-`,
  ]);
  const main = [`exec ${OUTPUT}>&1`, `trap '{ echo $? >${INSIDE.script}/ended; } 2>/dev/null' EXIT`, ...lines, ""];
  return { ...Object.fromEntries(entries), run: main.join("\n") };
}
