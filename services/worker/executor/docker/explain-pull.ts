import { BrokenStep } from "../executor.ts";
import type { ImageName } from "./image-name.ts";

interface Row {
  said: RegExp;
  reason: string;
  authorFault: boolean;
  sentence(shown: string, host: string): string;
}

// What engines and registries say is prose; what it has in common is matched here, the more certain first.
const ROWS: Row[] = [
  {
    said: /no matching manifest|does not match the specified platform/i,
    reason: "IMAGE_WRONG_ARCHITECTURE",
    authorFault: true,
    sentence: (shown) => `${shown} is not made for this worker's architecture`,
  },
  {
    said: /toomanyrequests|rate limit|\b429\b/i,
    reason: "REGISTRY_LIMITED",
    authorFault: false,
    sentence: (shown, host) => `${host} allows no more pulls for now, so ${shown} could not be had`,
  },
  {
    said: /manifest unknown|not found: manifest|name unknown|repository .* not found|manifest for .* not found|\b404\b/i,
    reason: "IMAGE_NOT_FOUND",
    authorFault: true,
    sentence: (shown) => `there is no image ${shown}`,
  },
  {
    said: /unauthorized|authentication required|no basic auth|access denied|access to the resource is denied|\b40[13]\b/i,
    reason: "REGISTRY_REFUSED",
    authorFault: false,
    sentence: (shown, host) =>
      `${host} does not give ${shown} to this worker: it is not there, or RITMO_REGISTRY_CREDENTIALS needs a line for ${host}`,
  },
  {
    said: /no space left/i,
    reason: "DISK_FULL",
    authorFault: false,
    sentence: (shown) => `the engine's disk is too full for ${shown}`,
  },
  {
    said: /dial |lookup |timeout|connection refused|connection reset|no route|i\/o|tls|x509|server misbehaving|\b50\d\b|http response|EOF/i,
    reason: "REGISTRY_UNREACHABLE",
    authorFault: false,
    sentence: (shown, host) => `${host} can't be reached for ${shown}`,
  },
];

/** Why an image could not be pulled, from what the engine said about it. */
export function explainPull({ host, repository, version, byDigest }: ImageName, said: string): BrokenStep {
  const shown = `${repository}${byDigest ? "@" : ":"}${version}`;
  const row = ROWS.find((one) => one.said.test(said));
  const tail = said.replaceAll(/\s+/g, " ").trim().slice(0, 300);
  const sentence = row?.sentence(shown, host) ?? `${shown} could not be pulled`;
  return new BrokenStep(row?.reason ?? "IMAGE_NOT_PULLED", `${sentence} (${tail})`, {
    authorFault: row?.authorFault ?? false,
  });
}
