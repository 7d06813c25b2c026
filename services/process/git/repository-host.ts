export interface RepositoryHost {
  transport: "https" | "http" | "ssh" | "file";
  /** As credentials name it, with a port where the address has one; empty for a file. */
  host: string;
  /** The name alone, without brackets; empty for a file. */
  hostname: string;
  port: number;
}

const DEFAULT_PORTS = { "https:": 443, "http:": 80, "ssh:": 22 } as const;

/** Where a repository's address leads, `user@host:path` included; undefined when it is none that Ritmo knows. */
export function repositoryHost(repository: string): RepositoryHost | undefined {
  const scp = /^(?:[A-Za-z0-9][\w.-]*@)?([A-Za-z0-9][\w.-]*):(?!\/\/)/.exec(repository);
  if (scp?.[1]) return { transport: "ssh", host: scp[1].toLowerCase(), hostname: scp[1].toLowerCase(), port: 22 };
  if (!URL.canParse(repository)) return undefined;
  const url = new URL(repository);
  if (url.protocol === "file:") return { transport: "file", host: "", hostname: "", port: 0 };
  if (url.protocol !== "https:" && url.protocol !== "http:" && url.protocol !== "ssh:") return undefined;
  return {
    transport: url.protocol.slice(0, -1) as "https" | "http" | "ssh",
    host: url.host.toLowerCase(),
    hostname: url.hostname.replace(/^\[|\]$/g, "").toLowerCase(),
    port: url.port ? Number(url.port) : DEFAULT_PORTS[url.protocol],
  };
}
