import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { usage } from "./exit-codes.ts";
import { type Io, readAll } from "./io.ts";

/** The text of a file, or of standard input for `-`. Throws CliError when it can't be read. */
export async function readText(io: Io, file: string): Promise<string> {
  if (file === "-") return readAll(io.stdin);
  try {
    return await readFile(resolve(io.cwd, file), "utf8");
  } catch (reason) {
    const missing = (reason as NodeJS.ErrnoException).code === "ENOENT";
    throw usage(
      missing ? `There is no file ${JSON.stringify(file)}.` : `The file can't be read: ${(reason as Error).message}`,
    );
  }
}
