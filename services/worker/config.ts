import { availableParallelism } from "node:os";
import type { Setting, Settings } from "../process/read-settings.ts";
import { boolean, choice, integer, optionalPath, optionalText, path } from "../process/setting-kinds.ts";

export const EXECUTOR_NAMES = ["process", "docker", "scripted"] as const;
export type ExecutorName = (typeof EXECUTOR_NAMES)[number];

/** Every setting of `ritmo worker`, in the order in which the documentation lists them. */
export const WORKER_SETTINGS = {
  controlPlanes: controlPlanes("RITMO_CONTROL_PLANE", "127.0.0.1:7481", {
    help: "Where the control plane takes workers: host:port, or several with commas between; https:// before one means TLS.",
  }),
  tlsCa: optionalPath("RITMO_WORKER_TLS_CA", {
    help: "Certificates (PEM) that sign the control plane's own; set, and the connection is TLS.",
  }),
  tlsCert: optionalPath("RITMO_WORKER_TLS_CERT", {
    help: "This worker's own certificate (PEM), where the control plane asks for one; with RITMO_WORKER_TLS_KEY.",
  }),
  tlsKey: optionalPath("RITMO_WORKER_TLS_KEY", { help: "Its private key (PEM)." }),
  token: optionalText("RITMO_WORKER_TOKEN", {
    help: "What `ritmo worker create` printed. It also says which pool and name this worker has.",
    secret: true,
  }),
  labels: labels("RITMO_LABELS", {
    help: "What this worker offers to steps: k=v,k=v. Only labels that its token allows count.",
  }),
  slots: integer(
    "RITMO_SLOTS",
    availableParallelism(),
    { min: 1, max: 1000 },
    { help: "How many steps run at once.", shownDefault: "one for each CPU" },
  ),
  executors: executors("RITMO_EXECUTORS", {
    help: "How steps are run: process; docker, where a container engine answers; scripted is for tests and benchmarks.",
  }),
  stepEnv: variableNames("RITMO_STEP_ENV", {
    help: "Variables that steps get from the worker's own environment: HTTPS_PROXY,NODE_EXTRA_CA_CERTS,… No secrets.",
  }),
  registryCredentials: optionalPath("RITMO_REGISTRY_CREDENTIALS", {
    help: "A file of mode 0600 with one `host user token` a line, for registries of container images.",
  }),
  imagePull: choice("RITMO_IMAGE_PULL", "missing", ["missing", "always"], {
    help: "When a container image is pulled: when it is not here, or before each step, so that a moved tag is noticed.",
  }),
  engineSeconds: integer(
    "RITMO_ENGINE_SECONDS",
    60,
    { min: 1, max: 3600 },
    { help: "How long a container engine may be away or silent before its steps end as errors." },
  ),
  workDir: path("RITMO_WORK_DIR", ".ritmo/worker", {
    help: "Where workspaces, mirrors of repositories, spooled logs and the journal are kept. One worker per folder.",
  }),
  gitCredentials: optionalPath("RITMO_GIT_CREDENTIALS", {
    help: "A file of mode 0600 with one `host user token` a line, for https repositories.",
  }),
  allowLocalRepositories: boolean("RITMO_ALLOW_LOCAL_REPOSITORIES", false, {
    help: "Allow repositories at file://, loopback and private addresses.",
  }),
  spoolMaxBytes: integer(
    "RITMO_SPOOL_MAX_BYTES",
    1024 ** 3,
    { min: 1024 ** 2, max: 1024 ** 5 },
    { help: "Log bytes kept on disk until they are acknowledged, over all steps; at that many, steps wait." },
  ),
  diskFullSeconds: integer(
    "RITMO_DISK_FULL_SECONDS",
    60,
    { min: 1, max: 86_400 },
    { help: "How long a step waits on a full disk before it ends as an error." },
  ),
  drainSeconds: integer(
    "RITMO_DRAIN_SECONDS",
    3600,
    { min: 0, max: 604_800 },
    { help: "After SIGTERM, how long steps in hand may go on before they are stopped." },
  ),
  logLevel: choice("RITMO_LOG_LEVEL", "info", ["trace", "debug", "info", "warn", "error", "fatal", "silent"], {
    help: "How much the worker says about itself on standard error.",
  }),
};

export type WorkerConfig = Settings<typeof WORKER_SETTINGS>;

export interface ControlPlaneAddress {
  /** `host:port`. */
  target: string;
  tls: boolean;
}

type Described = { help: string; shownDefault?: string };

function controlPlanes(name: string, fallback: string, about: Described): Setting<ControlPlaneAddress[]> {
  const parse = (given: string) => given.split(",").map((one) => parseControlPlane(one.trim()));
  return { name, fallback: parse(fallback), shownDefault: fallback, parse, ...about };
}

function parseControlPlane(given: string): ControlPlaneAddress {
  const match = /^(https?:\/\/)?((?:\[[0-9a-fA-F:.]+\]|[^\s:/[\]]+):(\d{1,5}))\/?$/.exec(given);
  if (!match?.[2] || Number(match[3]) > 65535) {
    throw new Error(`${JSON.stringify(given)} is not an address like 127.0.0.1:7481 or https://ritmo.example.com:7481`);
  }
  return { target: match[2], tls: match[1] === "https://" };
}

function labels(name: string, about: Described): Setting<{ key: string; value: string }[]> {
  const parse = (given: string) => given.split(",").filter(Boolean).map(parseLabel);
  return { name, fallback: [], parse, ...about };
}

function parseLabel(given: string): { key: string; value: string } {
  const match = /^\s*([A-Za-z0-9][A-Za-z0-9._/-]{0,62})=([^\s,=]{0,63})\s*$/.exec(given);
  if (!match) throw new Error(`${JSON.stringify(given)} is not a label like gpu=true`);
  const [, key = "", value = ""] = match;
  if (key.startsWith("ritmo/")) throw new Error(`${JSON.stringify(key)}: labels under ritmo/ are Ritmo's own`);
  return { key, value };
}

// PATH comes through in any case, except into a container, which has that of its image.
const STEPS_OWN = new Set(["PATH", "HOME", "TMPDIR", "CI", "TRACEPARENT", "TRACESTATE"]);

function variableNames(name: string, about: Described): Setting<string[]> {
  const parse = (given: string) => [...new Set(given.split(",").filter(Boolean).map(parseVariableName))];
  return { name, fallback: [], parse, ...about };
}

function parseVariableName(given: string): string {
  const name = given.trim();
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
    throw new Error(`${JSON.stringify(given)} is not the name of a variable, like HTTPS_PROXY`);
  }
  if (/^RITMO(_|$)/i.test(name)) throw new Error(`${JSON.stringify(name)}: what begins with RITMO is never passed on`);
  if (STEPS_OWN.has(name)) throw new Error(`${JSON.stringify(name)}: every step has its own`);
  return name;
}

function executors(name: string, about: Described): Setting<ExecutorName[]> {
  const parse = (given: string) =>
    given.split(",").map((one) => {
      const found = EXECUTOR_NAMES.find((known) => known === one.trim());
      if (!found) throw new Error(`${JSON.stringify(one)} is not one of ${EXECUTOR_NAMES.join(", ")}`);
      return found;
    });
  return { name, fallback: ["process", "docker"], shownDefault: "process,docker", parse, ...about };
}
