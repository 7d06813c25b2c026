import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

/** What a replica counts, by the names in docs/metrics.md. Labels are few and never a person's input. */
export interface Metrics {
  registry: Registry;
  builds: Counter<"result">;
  buildDuration: Histogram;
  stepDuration: Histogram;
  queueWait: Histogram<"pool">;
  queueDepth: Gauge<"pool">;
  queueOldest: Gauge<"pool">;
  workers: Gauge<"pool" | "state">;
  workerSlots: Gauge<"pool" | "state">;
  logBytes: Counter;
  artifactBytes: Counter;
  rpcHandled: Counter<"service" | "method" | "code">;
  rpcHandling: Histogram<"service" | "method">;
}

const BUILD_SECONDS = [1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200];
const WAIT_SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 15, 60, 300, 1800];
const RPC_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];

/** A registry of its own for each call, so that two replicas in one process do not count for each other. */
export function openMetrics({ processMetrics = true }: { processMetrics?: boolean } = {}): Metrics {
  const registry = new Registry();
  if (processMetrics) collectDefaultMetrics({ register: registry });
  return {
    registry,
    ...buildMetrics(registry),
    ...fleetMetrics(registry),
    ...byteMetrics(registry),
    ...rpcMetrics(registry),
  };
}

function buildMetrics(register: Registry) {
  const registers = [register];
  return {
    builds: new Counter({
      name: "ritmo_builds_total",
      help: "Builds that ended on this replica, by outcome.",
      labelNames: ["result"],
      registers,
    }),
    buildDuration: new Histogram({
      name: "ritmo_build_duration_seconds",
      help: "From a build's creation to its end.",
      buckets: BUILD_SECONDS,
      registers,
    }),
    stepDuration: new Histogram({
      name: "ritmo_step_duration_seconds",
      help: "From the start of an attempt's commands to its end.",
      buckets: BUILD_SECONDS,
      registers,
    }),
  } as const;
}

function fleetMetrics(register: Registry) {
  const registers = [register];
  return {
    queueWait: new Histogram({
      name: "ritmo_queue_wait_seconds",
      help: "How long a step waited in the queue before a worker got it.",
      labelNames: ["pool"],
      buckets: WAIT_SECONDS,
      registers,
    }),
    queueDepth: new Gauge({
      name: "ritmo_queue_depth",
      help: "Steps that wait in the queue.",
      labelNames: ["pool"],
      registers,
    }),
    queueOldest: new Gauge({
      name: "ritmo_queue_oldest_seconds",
      help: "How long the oldest step in the queue has waited.",
      labelNames: ["pool"],
      registers,
    }),
    workers: new Gauge({ name: "ritmo_workers", help: "Workers, by state.", labelNames: ["pool", "state"], registers }),
    workerSlots: new Gauge({
      name: "ritmo_worker_slots",
      help: "Slots of the workers that are online or draining, by whether a step is in them.",
      labelNames: ["pool", "state"],
      registers,
    }),
  } as const;
}

function byteMetrics(register: Registry) {
  const registers = [register];
  return {
    logBytes: new Counter({
      name: "ritmo_log_bytes_total",
      help: "Log bytes made durable by this replica, uncompressed.",
      registers,
    }),
    artifactBytes: new Counter({
      name: "ritmo_artifact_bytes_total",
      help: "Bytes of artifacts that were committed.",
      registers,
    }),
  } as const;
}

function rpcMetrics(register: Registry) {
  const registers = [register];
  return {
    rpcHandled: new Counter({
      name: "ritmo_rpc_handled_total",
      help: "Calls that ended, also those that were refused before their handler, by gRPC code.",
      labelNames: ["service", "method", "code"],
      registers,
    }),
    rpcHandling: new Histogram({
      name: "ritmo_rpc_handling_seconds",
      help: "From a handler's begin to the end of its answer; of a stream, how long it was open.",
      labelNames: ["service", "method"],
      buckets: RPC_SECONDS,
      registers,
    }),
  } as const;
}
