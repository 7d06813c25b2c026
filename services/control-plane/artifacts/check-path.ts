import { Refusal } from "../../process/refusal.ts";

const MAX_PATH_BYTES = 4 * 1024 - 1;
const MAX_NAME_BYTES = 255;
const MAX_DEPTH = 100;
// Names that Windows keeps for devices, also with an ending: https://learn.microsoft.com/windows/win32/fileio/naming-a-file
const DEVICE = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?$/i;
// biome-ignore lint/suspicious/noControlCharactersInRegex: those are what is looked for.
const CONTROL = /[\u0000-\u001f\u007f]/;

/**
 * Answers the path of an artifact when it is the plain, relative name of one file that any machine can have. Errors:
 * INVALID_ARGUMENT (PATH_REFUSED) with what is wrong with it.
 */
export function checkPath(path: string, field = "path"): string {
  const fault = faultOf(path);
  if (fault === undefined) return path;
  const shown = JSON.stringify(path.length > 200 ? `${path.slice(0, 200)}…` : path);
  throw new Refusal("invalid_argument", "PATH_REFUSED", `${field}: ${shown} ${fault}`, {
    violations: [{ field, description: fault }],
  });
}

function faultOf(path: string): string | undefined {
  if (path === "") return "is empty";
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) return `is over ${MAX_PATH_BYTES} bytes`;
  if (CONTROL.test(path)) return "has a control character";
  if (path.includes("\\")) return "has a backslash";
  if (path.startsWith("/")) return "is absolute";
  if (/^[A-Za-z]:/.test(path)) return "begins with a drive letter";
  const names = path.split("/");
  if (names.length > MAX_DEPTH) return `is over ${MAX_DEPTH} folders deep`;
  return names.map(faultOfName).find((fault) => fault !== undefined);
}

function faultOfName(name: string): string | undefined {
  if (name === "") return "has an empty name in it";
  if (name === "." || name === "..") return `has ${JSON.stringify(name)} in it`;
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) return `has a name over ${MAX_NAME_BYTES} bytes`;
  // What is brought into a checkout must not become its hooks.
  if (name.toLowerCase() === ".git") return "has .git in it";
  if (DEVICE.test(name)) return `has ${JSON.stringify(name)} in it, which is a device on Windows`;
  return undefined;
}
