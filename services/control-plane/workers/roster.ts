import type { Claimant, LeasedStep } from "../queue/claim-steps.ts";
import type { HeldLease } from "../queue/read-leases.ts";

/** A lease as this replica remembers it, to know what is free between reports. */
interface Held {
  cpuMillis: number;
  memoryBytes: number;
  /** When it was offered on this stream and not accepted yet, by this process's clock. */
  offeredAtMs: number | undefined;
  /** False: the database has it and this stream has not offered it, because the answer to a claim was lost. */
  told: boolean;
  /** Reports in a row that did not name it. */
  missed: number;
  stopSent: boolean;
}

export interface AttendingWorker {
  orgId: string;
  workerId: string;
  sessionId: string;
  pool: string;
  labels: string[];
  slots: number;
  cpuMillis: number;
  memoryBytes: number;
}

/** One worker whose stream ends at this replica. */
export class Attending {
  readonly held = new Map<string, Held>();
  draining = false;
  /** When its session was last renewed here, by this process's clock. */
  heardAtMs = performance.now();
  /** A claim ended without an answer, and may have leased steps all the same. */
  doubtful = false;
  readonly worker: AttendingWorker;
  readonly offer: (steps: LeasedStep[]) => void;

  constructor(worker: AttendingWorker, offer: (steps: LeasedStep[]) => void) {
    this.worker = worker;
    this.offer = offer;
  }

  /** What it could take now. */
  claimant(): Claimant {
    let cpu = this.worker.cpuMillis;
    let memory = this.worker.memoryBytes;
    for (const lease of this.held.values()) {
      cpu -= lease.cpuMillis;
      memory -= lease.memoryBytes;
    }
    const freeSlots = this.draining ? 0 : Math.max(0, this.worker.slots - this.held.size);
    return { ...this.worker, freeSlots, freeCpuMillis: Math.max(0, cpu), freeMemoryBytes: Math.max(0, memory) };
  }

  take(step: LeasedStep, nowMs: number): void {
    const { cpuMillis, memoryBytes } = step;
    this.held.set(step.leaseId, { cpuMillis, memoryBytes, offeredAtMs: nowMs, told: true, missed: 0, stopSent: false });
  }

  /** Leases that were offered on this stream just now. */
  tell(leaseIds: string[], nowMs: number): void {
    for (const leaseId of leaseIds) {
      const held = this.held.get(leaseId);
      if (held) Object.assign(held, { told: true, offeredAtMs: nowMs });
    }
  }

  /** Leases that this stream has not offered and its worker has not reported. */
  untold(): string[] {
    return [...this.held].flatMap(([leaseId, { told }]) => (told ? [] : [leaseId]));
  }

  /** Puts what is remembered right by what the database says. */
  adjust(leases: HeldLease[]): void {
    const live = new Set(leases.map((lease) => lease.leaseId));
    for (const id of this.held.keys()) if (!live.has(id)) this.held.delete(id);
    for (const { leaseId, cpuMillis, memoryBytes } of leases) {
      if (!this.held.has(leaseId))
        this.held.set(leaseId, {
          cpuMillis,
          memoryBytes,
          offeredAtMs: undefined,
          told: false,
          missed: 0,
          stopSent: false,
        });
    }
  }
}

/** The workers that attend at this replica, by session. */
export class Roster {
  private readonly bySession = new Map<string, Attending>();
  private readonly wake: () => void;
  private readonly whenEmpty: (() => void)[] = [];

  /** `wake` is called when something became free. */
  constructor(wake: () => void) {
    this.wake = wake;
  }

  add(attending: Attending): void {
    this.bySession.set(attending.worker.sessionId, attending);
    this.wake();
  }

  remove(attending: Attending): void {
    const id = attending.worker.sessionId;
    if (this.bySession.get(id) === attending) this.bySession.delete(id);
    if (this.bySession.size === 0) for (const tell of this.whenEmpty.splice(0)) tell();
  }

  all(): Attending[] {
    return [...this.bySession.values()];
  }

  /** Resolves when nobody attends. */
  empty(): Promise<void> {
    if (this.bySession.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.whenEmpty.push(resolve));
  }

  /** A lease ended; answers whether its worker attends here, or another replica has to be told. */
  ended(sessionId: string, leaseId: string): boolean {
    const attending = this.bySession.get(sessionId);
    attending?.held.delete(leaseId);
    if (attending) this.wake();
    return attending !== undefined;
  }
}
