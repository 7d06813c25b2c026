import { isPrivateAddress } from "../../process/git/pin-address.ts";
import { type RepositoryHost, repositoryHost } from "../../process/git/repository-host.ts";

const MAX_LENGTH = 2_000;
const ALLOW = "RITMO_ALLOW_LOCAL_REPOSITORIES=true allows it";
const FORMS = "write it like https://host/path, ssh://git@host/path or git@host:path";

// Where clouds and resolvers answer for the machine itself, whatever DNS says.
const OWN_NAMES =
  /^(localhost|localhost\.localdomain|ip6-localhost|ip6-loopback|metadata|metadata\.google\.internal|.+\.localhost)$/;
// A misspelt scheme (`https:host/path`) reads like the `host:path` of ssh.
const SCHEMES = new Set(["https", "http", "ssh", "git", "file", "ext", "ftp"]);

/**
 * What is wrong with a repository's address, or undefined. It looks at the text alone: what a name resolves to is
 * checked again when it is connected to (source/read-source).
 */
export function checkRepository(address: string, { allowLocal }: { allowLocal: boolean }): string | undefined {
  if (address.length > MAX_LENGTH) return `is longer than ${MAX_LENGTH} characters`;
  // Before any parser sees it: URL drops tabs and line ends, and git takes options and programs from some of these.
  if (/[\s\p{C}\\]/u.test(address)) return "holds a space, a backslash or a control character";
  if (address.startsWith("-")) return "starts with a dash, which git would read as an option";
  if (/^[a-z0-9+.-]*::/i.test(address)) return `names a git remote helper, which could run any program; ${FORMS}`;
  const host = repositoryHost(address);
  if (!host) return unknownForm(address);
  if (host.transport === "file") return checkFile(address, allowLocal);
  return checkUser(address, host) ?? checkHost(host, allowLocal) ?? checkTransport(host, allowLocal);
}

function unknownForm(address: string): string {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(address)?.[1];
  if (scheme) return `has the scheme ${scheme.slice(0, 20)}, which Ritmo does not fetch from; ${FORMS}`;
  if (address.startsWith("/"))
    return `is a path; a repository of this machine is written file://${address.slice(0, 100)}`;
  return `is no address of a repository; ${FORMS}`;
}

function checkFile(address: string, allowLocal: boolean): string | undefined {
  if (!allowLocal) return `is a repository of the server's own machine, which is refused here; ${ALLOW}`;
  const { host, pathname, search, hash } = new URL(address);
  if (host !== "") return "names a host; a file's address has three slashes: file:///path";
  if (pathname === "/") return "names no folder: file:///path";
  return search || hash ? "holds a ? or a #; write them as %3F and %23" : undefined;
}

function checkUser(address: string, { transport }: RepositoryHost): string | undefined {
  if (!address.includes("://")) return checkScp(address);
  const { username, password, pathname } = new URL(address);
  if (password !== "" || (username !== "" && transport !== "ssh"))
    return "holds credentials, which everyone who sees the job could read; take them out and put them into the file that RITMO_GIT_CREDENTIALS names";
  if (/^(-|%2d)/i.test(username)) return "has a user that starts with a dash";
  return /^\/*$/.test(pathname) ? "names a host and no repository on it" : undefined;
}

function checkScp(address: string): string | undefined {
  const colon = address.indexOf(":");
  const [before, path] = [address.slice(0, colon), address.slice(colon + 1)];
  if (SCHEMES.has(before.toLowerCase())) return `has no // after ${before}:`;
  if (path === "") return "names a host and no repository on it";
  return path.startsWith("-") ? "has a path that starts with a dash" : undefined;
}

function checkHost({ hostname }: RepositoryHost, allowLocal: boolean): string | undefined {
  // The rules of https for hosts turn decimal, octal, hexadecimal and shortened addresses into plain ones; ssh has none.
  const bracketed = hostname.includes(":") ? `[${hostname}]` : hostname;
  if (!URL.canParse(`https://${bracketed}/`)) return "has a host that is neither a name nor an address";
  const plain = new URL(`https://${bracketed}/`).hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "");
  if (!/^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$|^[0-9a-f:.]+$/.test(plain))
    return "has a host that is neither a name nor an address";
  if (allowLocal) return undefined;
  const address = /^[\d.]+$/.test(plain) || plain.includes(":");
  if (OWN_NAMES.test(plain) || (address && isPrivateAddress(plain)))
    return `leads to ${plain}, an address of the server's own machine or network, which is refused here; ${ALLOW}`;
  return undefined;
}

function checkTransport({ transport }: RepositoryHost, allowLocal: boolean): string | undefined {
  return transport === "http" && !allowLocal ? "is http, which anyone on the way could change; use https" : undefined;
}
