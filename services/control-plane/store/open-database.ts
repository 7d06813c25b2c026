import { drizzle, type PostgresJsDatabase } from "drizzle-orm/postgres-js";
import postgres from "postgres";

/** Statements as postgres.js runs them: the pool, or one transaction of it. */
export type Sql = postgres.ISql<{ bigint: number }>;

export interface Db {
  /** Single statements; what moves state is written in SQL, where its guard can be read. */
  sql: postgres.Sql<{ bigint: number }>;
  /** Typed queries for plain reading and keeping. A client of its own: drizzle changes how one parses times. */
  orm: PostgresJsDatabase;
  /** Runs several statements as one transaction. Never for hot paths, which are single statements. */
  transaction<T>(run: (tx: Sql) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  url: string;
  /** Connections for single statements; transactions and drizzle have a few of their own. */
  maxConnections?: number;
  onNotice?: (notice: postgres.Notice) => void;
}

// A statement that takes longer is a fault; the client gives up soon after, so that no call outlives its caller.
const STATEMENT_TIMEOUT_MS = 15_000;
const LOCK_TIMEOUT_MS = 2_000;
const IDLE_IN_TRANSACTION_MS = 10_000;
const TRANSACTIONS = 4;

/**
 * Seconds before a connection that could not be made is tried again. What postgres.js does by itself grows to 20, for
 * all connections together, and a database that is back would not be noticed for as long as a lease.
 */
export function reconnectSeconds(): number {
  return 0.1 + Math.random() * 0.3;
}

/** Opens the pools; nothing is connected before the first statement. Close it last. */
export function openDatabase({ url, maxConnections = 12, onNotice }: DatabaseOptions): Db {
  const open = (max: number) =>
    postgres(url, {
      max,
      connect_timeout: 5,
      backoff: reconnectSeconds,
      idle_timeout: 60,
      max_lifetime: 30 * 60,
      onnotice: onNotice ?? (() => {}),
      types: { bigint: { to: 20, from: [20], parse: Number, serialize: String } },
      connection: {
        application_name: "ritmo",
        statement_timeout: STATEMENT_TIMEOUT_MS,
        lock_timeout: LOCK_TIMEOUT_MS,
        idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
        TimeZone: "UTC",
      },
    });
  const sql = open(maxConnections);
  // As many `begin`s at once as connections, never more: postgres.js 3.4.9 throws an uncaught TypeError when a
  // transaction begins at the edge of a full pipeline (porsager/postgres #823, #1189).
  const tx = open(TRANSACTIONS);
  const ormClient = open(4);
  const gate = limitConcurrency(TRANSACTIONS);
  return {
    sql,
    orm: drizzle({ client: ormClient }),
    transaction: (run) => gate(() => tx.begin((inner) => run(inner as unknown as Sql)) as Promise<never>),
    async close() {
      await Promise.all([sql.end({ timeout: 5 }), tx.end({ timeout: 5 }), ormClient.end({ timeout: 5 })]);
    },
  };
}

function limitConcurrency(limit: number) {
  let running = 0;
  const queue: (() => void)[] = [];
  return async function run<T>(work: () => Promise<T>): Promise<T> {
    while (running >= limit) await new Promise<void>((resolve) => queue.push(resolve));
    running++;
    try {
      return await work();
    } finally {
      running--;
      queue.shift()?.();
    }
  };
}
