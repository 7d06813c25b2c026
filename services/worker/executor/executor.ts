import type { AttemptLog } from "../log/attempt-log.ts";
import type { Folders } from "../workspace/make-folders.ts";
import type { MachineEnv } from "./step-env.ts";

/**
 * An executor runs the commands of one attempt somewhere: in a process, a container, a virtual machine.
 *
 * The life of what it runs, the same for every kind:
 * 1. `start` makes what the commands need beyond the folders (a container, a machine) and starts them. It throws
 *    BrokenStep when they can't be started. The environment it is given is all that the commands see.
 * 2. While they run, what they write goes into the log, both outputs in the order they were written, and each entry
 *    of `run` begins a group there. Where the log is full it reads no more, and the commands wait.
 * 3. They end by themselves, or `stop` ends them: asked first, after the grace forced, with everything they started.
 * 4. `ended` resolves when nothing of them runs any more and every byte they wrote is in the log. An exit code that
 *    is not 0 is an end like any other; `ended` never rejects.
 * 5. After a crash of the worker `endLeftovers` ends what an earlier life started for a lease, from what the journal
 *    remembers of it. An executor whose commands outlive the worker has `adopt` as well, and goes on with them.
 */
export interface Executor {
  readonly name: string;
  /** False: its commands use no folders. */
  readonly needsFolders?: false;
  start(work: Work): Promise<Running>;
  endLeftovers(left: Leftover): Promise<void>;
  /** Where the commands find the folders, and what surrounds them, when that is not as on this machine. */
  inside?(folders: Folders): { folders: Folders; machine: MachineEnv };
  /**
   * Goes on with what an earlier life started; `taken` is how much of its output is in the log already. Undefined when
   * it is not there any more.
   */
  adopt?(left: Leftover, work: Work & { taken: number }): Promise<Running | undefined>;
  /** Lets go of what it has open, once nothing of it runs. */
  close?(): Promise<void>;
}

/** The executors of a worker, by what a step asks for. */
export interface Executors {
  /** Undefined when this worker has none for it. */
  of(step: { image: string } | undefined): Executor | undefined;
  readonly every: readonly Executor[];
}

export interface Work {
  leaseId: string;
  attemptId: string;
  run: string[];
  /** The container image; empty for a process. */
  image: string;
  /** 0 reserves nothing. */
  resources: { cpuMillis: number; memoryBytes: number };
  /** Empty: the executor's own choice. */
  shell: string;
  env: Record<string, string>;
  folders: Folders;
  log: AttemptLog;
  /** Adds a line to the log of the preparation. */
  tell(line: string): void;
  /** Aborts when the attempt is ended; what prepares the commands stops then. */
  signal: AbortSignal;
}

export interface Running {
  /** What the journal remembers, so that a later life finds it again. */
  readonly remember: Record<string, unknown>;
  readonly ended: Promise<RunEnd>;
  stop(graceMs: number): void;
}

export interface RunEnd {
  how:
    | { kind: "exited"; code: number }
    | { kind: "signalled"; signal: string }
    | { kind: "out of memory" }
    | { kind: "broken"; reason: string; message: string; authorFault: boolean };
  startedAtMs: number;
  endedAtMs: number;
  /** The entry of `run` that failed, from 1; 0 when none did or it is not known. */
  failedEntry: number;
}

export interface Leftover {
  leaseId: string;
  folders: Folders;
  remembered: Record<string, unknown>;
}

/** The attempt can't go on, for a reason that is not the commands' own. */
export class BrokenStep extends Error {
  override readonly name = "BrokenStep";
  readonly reason: string;
  readonly authorFault: boolean;

  constructor(reason: string, message: string, { authorFault = false } = {}) {
    super(message);
    this.reason = reason;
    this.authorFault = authorFault;
  }
}
