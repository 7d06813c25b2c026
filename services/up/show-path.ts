import { isAbsolute, relative } from "node:path";

/** A path as a person in this folder would type it. */
export function showPath(path: string): string {
  const within = relative(process.cwd(), path);
  return within === "" || within.startsWith("..") || isAbsolute(within) ? path : within;
}
