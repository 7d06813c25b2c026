/** A reference to a container image, taken apart. */
export interface ImageName {
  /** Of the registry, with its port where there is one. */
  host: string;
  /** Without tag and digest, as the engine takes it. */
  repository: string;
  /** `26`, or `sha256:…`. */
  version: string;
  byDigest: boolean;
}

// The grammar of references of the OCI distribution specification 1.1 and of distribution/reference, which the engine
// itself reads names by.
const COMPONENT = "[a-z0-9]+(?:(?:[.]|_{1,2}|-+)[a-z0-9]+)*";
const DOMAIN =
  "(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)(?:[.][a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*(?::[0-9]{1,5})?";
const REFERENCE = new RegExp(
  `^(?:(${DOMAIN})/)?(${COMPONENT}(?:/${COMPONENT})*)(?::([\\w][\\w.-]{0,127}))?(?:@(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}))?$`,
);
const MAX_NAME = 255;

/** Reads a reference, or undefined when it is none: nothing else ever reaches the engine. */
export function parseImageName(text: string): ImageName | undefined {
  if (text.length > MAX_NAME + 300) return undefined;
  const match = REFERENCE.exec(text);
  if (!match) return undefined;
  const [, domain, path = "", tag, digest] = match;
  // As the engine does: without a dot, a port or `localhost` the first part is the first folder of Docker Hub's path.
  const isHost = domain !== undefined && (/[.:]/.test(domain) || domain === "localhost");
  if (domain !== undefined && !isHost && !new RegExp(`^${COMPONENT}$`).test(domain)) return undefined;
  const repository = domain === undefined ? path : `${domain}/${path}`;
  if (repository.length > MAX_NAME) return undefined;
  return {
    host: isHost ? domain.toLowerCase() : "docker.io",
    repository,
    version: digest ?? tag ?? "latest",
    byDigest: digest !== undefined,
  };
}
