import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Shell } from "./choose-shell.ts";

// Where the script keeps the channel on which it tells the worker where it is. Nothing that it runs inherits it.
const CHANNEL = 8;

/**
 * Writes what the shell is to run, outside the workspace, and answers the file's path.
 *
 * A POSIX shell reads each entry from a file of its own, in one shell, so that variables and folders carry over and a
 * syntax error stays in its entry. Before each it says the entry's number on descriptor 3 and waits for an answer:
 * the worker reads the output up to there first, so that the groups of the log begin at the right byte and nothing of
 * this is in the log. Another interpreter gets all entries as one file.
 */
export async function writeScript(folder: string, shell: Shell, run: string[]): Promise<string> {
  const main = join(folder, "run");
  if (!shell.posix) {
    await writeFile(main, `${run.join("\n")}\n`);
    return main;
  }
  const entries = run.map((text, index) => ({ text, path: join(folder, `run-${index + 1}`) }));
  const lines = entries.flatMap(({ path }, index) => [
    // Without its errors, so that `set -x` of an entry does not show this.
    `{ printf '${index + 1}\\n' >&${CHANNEL}; IFS= read -r RITMO_ACK <&${CHANNEL} || :; } 2>/dev/null`,
    `. ${quote(path)} ${CHANNEL}<&-`,
  ]);
  await Promise.all([
    ...entries.map(({ text, path }) => writeFile(path, `${text}\n`)),
    writeFile(main, [`exec ${CHANNEL}<&3 3<&-`, ...lines, ""].join("\n")),
  ]);
  return main;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
