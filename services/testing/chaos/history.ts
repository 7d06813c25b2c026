/** What a run left behind, from every side that can be asked; none of it is Ritmo's word alone. */
export interface History {
  /** Every CreateBuild of the harness, each repeated under its request id until it was answered. */
  asked: { requestId: string; build: string }[];
  builds: BuildFact[];
  steps: StepFact[];
  attempts: AttemptFact[];
  artifacts: ArtifactFact[];
  /** The committed events of builds and steps, in their order. */
  events: EventFact[];
  /** What the attempts themselves wrote to disk, by attempt: `build/step@n`. */
  witnessed: Map<string, Witnessed>;
  /** Rows of the queue and leases that are left when everything is over. */
  left: { queued: number; leased: number };
}

export interface BuildFact {
  /** `job#number`. */
  name: string;
  state: string;
  /** When somebody was told that its end is wished for; one clock, as everything is on one machine. */
  cancelAnsweredAtMs: number | undefined;
}

export interface StepFact {
  /** `build/step`. */
  name: string;
  build: string;
  state: string;
  exitCode: number | undefined;
  needs: string[];
  /** How often it was leased. */
  attempt: number;
}

export interface AttemptFact {
  /** `build/step@n`. */
  name: string;
  step: string;
  number: number;
  state: string;
  reason: string;
  leasedAtMs: number;
  /** Bytes that were acknowledged. */
  logEnd: number;
  incomplete: boolean;
  /** As LogService gives it. */
  log: string;
}

export interface ArtifactFact {
  attempt: string;
  path: string;
  sha256: string;
  /** Of the bytes as ArtifactService gives them; undefined: it could not. */
  foundSha256: string | undefined;
}

export interface EventFact {
  subject: string;
  before: string | undefined;
  state: string;
  attempt: number;
}

export interface Witnessed {
  /** Everything that it wrote to its log, written to disk first. */
  wrote: string;
  /** By the machine's clock; an attempt that was ended has no end. */
  startedAtMs: number;
  /** How often it began; twice would be two executions of one lease. */
  starts: number;
  endedAtMs: number | undefined;
  exitCode: number | undefined;
  artifactSha256: string | undefined;
}
