import { join } from "node:path";
import { credentialFor, type GitCredential } from "./read-git-credentials.ts";
import { repositoryHost } from "./repository-host.ts";

/**
 * The configuration of ssh for one repository: no prompts, no agent, the key of exactly this host. Host keys are
 * taken at first sight and held to after that, in a file beside the credentials (docs/decisions/ssh-host-keys.md).
 */
export function writeSshConfig(
  { repository, credentialsFile, pinnedAddress }: ForSsh,
  credentials: readonly GitCredential[],
  dir: string,
): string {
  const host = repositoryHost(repository);
  const name = host?.transport === "ssh" ? host.hostname : undefined;
  const credential = host?.transport === "ssh" ? credentialFor(credentials, "ssh", host.host) : undefined;
  const others = credentials.filter((one) => one.kind === "ssh" && one !== credential && !one.host.includes(":"));
  return [
    ...(name ? [`Host ${name}`, ...identity(credential)] : []),
    ...(name && pinnedAddress ? [`  HostName ${pinnedAddress}`, `  HostKeyAlias ${host?.host}`] : []),
    // Submodules may live elsewhere.
    ...others.filter((one) => one.host !== name).flatMap((one) => [`Host ${one.host}`, ...identity(one)]),
    "Host *",
    "  IdentityFile none",
    "  IdentitiesOnly yes",
    "  IdentityAgent none",
    "  BatchMode yes",
    "  ConnectTimeout 15",
    "  StrictHostKeyChecking accept-new",
    `  UserKnownHostsFile ${sshWord(credentialsFile ? `${credentialsFile}.known_hosts` : join(dir, "known_hosts"))}`,
    "  ForwardAgent no",
    "  ClearAllForwardings yes",
    "  PermitLocalCommand no",
    "  UpdateHostKeys no",
    "",
  ].join("\n");
}

interface ForSsh {
  repository: string;
  credentialsFile?: string | undefined;
  pinnedAddress?: string | undefined;
}

function identity(credential: GitCredential | undefined): string[] {
  return credential?.kind === "ssh" ? [`  IdentityFile ${sshWord(credential.keyFile)}`] : [];
}

function sshWord(path: string): string {
  return `"${path.replaceAll("%", "%%")}"`;
}
