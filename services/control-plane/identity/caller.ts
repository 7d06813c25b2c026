export type Scope = "read" | "write" | "admin";

/** Who makes a call on the public port. */
export interface Caller {
  orgId: string;
  /** The token's id: what an idempotency key belongs to. */
  tokenId: string;
  /** The token's name: what people read in `created_by`. */
  name: string;
  scope: Scope;
}

/** Who makes a call on the worker port: the worker that its token says. */
export interface WorkerCaller {
  orgId: string;
  workerId: string;
  name: string;
  pool: string;
}
