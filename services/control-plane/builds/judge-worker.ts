import { DOCKER, describeSize, peopleLabels, showTime } from "./describe-block.ts";

/** A worker as far as it matters to whether it can run a step. */
export interface WorkerFacts {
  id: string;
  name: string;
  state: "new" | "online" | "draining" | "offline";
  draining: boolean;
  drainReason: string;
  /** Its labels and executors, as they are matched. */
  labels: string[];
  cpuMillis: number | null;
  memoryBytes: number | null;
  slots: number;
  busy: number;
  lastSeenAt: Date | null;
}

export interface Wish {
  requires: string[];
  cpuMillis: number;
  memoryBytes: number;
}

export type VerdictCode =
  | "MATCHES_BUSY"
  | "DRAINING"
  | "OFFLINE"
  | "TOO_SMALL"
  | "NO_CONTAINER_ENGINE"
  | "LABELS_MISSING";

export interface Verdict {
  worker: string;
  workerId: string;
  code: VerdictCode;
  text: string;
}

/** Why one worker does not run a step: what it lacks comes before where it is, because only the first is for ever. */
export function judgeWorker(worker: WorkerFacts, wish: Wish): Verdict {
  const say = (code: VerdictCode, text: string) => ({ worker: worker.name, workerId: worker.id, code, text });
  const lacking = wish.requires.filter((label) => !worker.labels.includes(label));
  // What its machine can do is not known before its process has called.
  const missing = worker.state === "new" ? peopleLabels(lacking) : lacking;
  const named = peopleLabels(missing);
  if (named.length > 0) return say("LABELS_MISSING", `lacks ${named.join(" and ")}${has(worker, named)}`);
  if (missing.includes(DOCKER))
    return say("NO_CONTAINER_ENGINE", "has no container engine, which the step's image needs");
  if (missing.length > 0) return say("LABELS_MISSING", "runs no plain processes, only containers");
  if (isSmall(worker, wish)) return say("TOO_SMALL", `has ${size(worker)}; the step reserves ${describeSize(wish)}`);
  if (worker.state === "new") return say("OFFLINE", "was made, and its process has never called");
  if (worker.state === "offline")
    return say("OFFLINE", worker.lastSeenAt ? `offline since ${showTime(worker.lastSeenAt)}` : "offline");
  if (worker.draining || worker.state === "draining")
    return say("DRAINING", worker.drainReason ? `draining: ${worker.drainReason}` : "draining");
  if (worker.busy >= worker.slots) return say("MATCHES_BUSY", `all ${worker.slots} slots are busy`);
  return say(
    "MATCHES_BUSY",
    `has a free slot (${worker.busy} of ${worker.slots} busy) and is about to be offered the step`,
  );
}

function has(worker: WorkerFacts, missing: string[]): string {
  const values = missing.flatMap((label) => {
    const key = label.slice(0, label.indexOf("=") + 1);
    return worker.labels.filter((own) => own.startsWith(key));
  });
  return values.length > 0 ? ` (it has ${values.join(" and ")})` : "";
}

function isSmall(worker: WorkerFacts, wish: Wish): boolean {
  return (
    (worker.cpuMillis !== null && worker.cpuMillis < wish.cpuMillis) ||
    (worker.memoryBytes !== null && worker.memoryBytes < wish.memoryBytes)
  );
}

function size(worker: WorkerFacts): string {
  return describeSize({ cpuMillis: worker.cpuMillis ?? 0, memoryBytes: worker.memoryBytes ?? 0 });
}
