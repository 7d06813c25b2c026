/** What a step asks of a worker, and how the workers of its pool stand to that. */
export interface BlockFacts {
  pool: string;
  /** `k=v`, pseudo-labels among them. */
  requires: string[];
  cpuMillis: number;
  memoryBytes: number;
  /** Workers of the pool that take work now. */
  online: number;
  /** Those required labels that none of them has. */
  missing: string[];
  /** How many of them have every label; when not 0, all of those are too small. */
  labelled: number;
  /** Workers that are there and could, were they not draining. */
  draining: number;
  /** The first of them by its name. */
  firstDraining: { name: string; reason: string } | null;
  /** When a worker with every label was last seen; null: never. */
  lastSeenAt: Date | null;
}

/** `a step of this kind waits: …` without its beginning: why no worker can take it. */
export function describeBlock(facts: BlockFacts): string {
  const where = facts.pool === "default" ? "" : ` in the pool ${facts.pool}`;
  const labels = peopleLabels(facts.requires);
  if (facts.firstDraining) return describeDrain(facts.firstDraining, facts.draining, where);
  const seen = facts.lastSeenAt && `; one that could was last seen ${showTime(facts.lastSeenAt)}`;
  if (facts.labelled > 0) return `no worker${where} has ${describeSize(facts)}`;
  if (labels.length > 0 && peopleLabels(facts.missing).length > 0)
    return `no worker${where} has ${peopleLabels(facts.missing).join(" and ")}${seen ?? ""}`;
  if (facts.online === 0) return `no worker${where} is online${seen ?? ""}`;
  if (facts.missing.includes(DOCKER)) return `no worker${where} has a container engine${seen ?? ""}`;
  if (facts.missing.length > 0) return `no worker${where} runs plain processes${seen ?? ""}`;
  return `no worker${where} has ${[...labels, ...engine(facts.requires)].join(" and ")} together${seen ?? ""}`;
}

function describeDrain({ name, reason }: { name: string; reason: string }, count: number, where: string): string {
  if (count > 1) return `${count} workers${where} that could are draining`;
  return `the only worker${where} that could, ${name}, is draining${reason && `: ${reason}`}`;
}

/** What unblocks it, as a sentence that names the command. */
export function describeRemedy(facts: BlockFacts): string {
  if (facts.firstDraining) return `\`ritmo worker resume ${facts.firstDraining.name}\` ends that.`;
  const flags = [
    ...(facts.pool === "default" ? [] : [`--pool ${facts.pool}`]),
    ...(peopleLabels(facts.requires).length > 0 ? [`--labels ${peopleLabels(facts.requires).join(",")}`] : []),
  ].join(" ");
  if (facts.labelled > 0)
    return `Start a worker with ${describeSize(facts)}${flags && ` and ${flags}`}, or ask for less in \`resources\`.`;
  const machine = facts.requires.includes(DOCKER) ? " on a machine with a container engine" : "";
  if (!flags) return `Start a worker${machine} (ritmo worker create NAME).`;
  return `Start a worker${machine} with ${flags} (ritmo worker create NAME ${flags}).`;
}

export const DOCKER = "ritmo/executor=docker";

/** The labels that people know, without ours. */
export function peopleLabels(labels: string[]): string[] {
  return labels.filter((label) => !label.startsWith("ritmo/"));
}

function engine(requires: string[]): string[] {
  return requires.includes(DOCKER) ? ["a container engine"] : [];
}

export function describeSize({ cpuMillis, memoryBytes }: { cpuMillis: number; memoryBytes: number }): string {
  const cpu = cpuMillis > 0 ? [`${cpuMillis / 1_000} ${cpuMillis === 1_000 ? "CPU" : "CPUs"}`] : [];
  const memory = memoryBytes > 0 ? [`${showBytes(memoryBytes)} of memory`] : [];
  return [...cpu, ...memory].join(" and ");
}

function showBytes(bytes: number): string {
  const gib = bytes / 2 ** 30;
  return gib >= 1 ? `${Math.round(gib * 10) / 10} GiB` : `${Math.ceil(bytes / 2 ** 20)} MiB`;
}

/** To the minute, in UTC: what people compare with a clock. */
export function showTime(at: Date): string {
  return `${at.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}
