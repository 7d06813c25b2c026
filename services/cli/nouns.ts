import type { Command } from "commander";
import type { Cli } from "./cli.ts";

export interface Noun {
  name: string;
  summary: string;
  /** Adds the noun's verbs; loaded only when the noun is called. */
  load: () => Promise<(noun: Command, cli: Cli) => void>;
  hidden?: boolean;
}

/** Everything that may follow `ritmo`, in the order in which help lists it. */
export const NOUNS: Noun[] = [
  {
    name: "job",
    summary: "what is built: repositories and their pipelines",
    load: async () => (await import("./job/verbs.ts")).addJobVerbs,
  },
  {
    name: "build",
    summary: "start, watch, read, cancel and retry builds",
    load: async () => (await import("./build/verbs.ts")).addBuildVerbs,
  },
  {
    name: "step",
    summary: "the steps of a build, and why one waits",
    load: async () => (await import("./step/verbs.ts")).addStepVerbs,
  },
  {
    name: "artifact",
    summary: "the files that builds kept",
    load: async () => (await import("./artifact/verbs.ts")).addArtifactVerbs,
  },
  {
    name: "pipeline",
    summary: "check pipeline files",
    load: async () => (await import("./pipeline/verbs.ts")).addPipelineVerbs,
  },
  {
    name: "retention",
    summary: "how long builds are kept, and what would go",
    load: async () => (await import("./retention/verbs.ts")).addRetentionVerbs,
  },
  {
    name: "worker",
    summary: "the fleet; without a verb, be a worker",
    load: async () => (await import("./worker/verbs.ts")).addWorkerVerbs,
  },
  {
    name: "event",
    summary: "everything that happens, as it happens",
    load: async () => (await import("./event/verbs.ts")).addEventVerbs,
  },
  { name: "auth", summary: "sign in and out", load: async () => (await import("./auth/verbs.ts")).addAuthVerbs },
  {
    name: "context",
    summary: "the servers that you use",
    load: async () => (await import("./context/verbs.ts")).addContextVerbs,
  },
  {
    name: "token",
    summary: "who may call the server",
    load: async () => (await import("./token/verbs.ts")).addTokenVerbs,
  },
  { name: "api", summary: "call any method of the server", load: async () => (await import("./api/verbs.ts")).addApi },
  {
    name: "config",
    summary: "settings, and where each comes from",
    load: async () => (await import("./process/verbs.ts")).addConfig,
  },
  {
    name: "up",
    summary: "run all of Ritmo on this machine",
    load: async () => (await import("./process/verbs.ts")).addUp,
  },
  { name: "server", summary: "run a control plane", load: async () => (await import("./process/verbs.ts")).addServer },
  {
    name: "sample",
    summary: "make a repository to try Ritmo with",
    load: async () => (await import("./process/verbs.ts")).addSample,
  },
  {
    name: "completion",
    summary: "completion for bash, zsh or fish",
    load: async () => (await import("./completion/verbs.ts")).addCompletion,
  },
  {
    name: "__complete",
    summary: "what may come next, for completion",
    load: async () => (await import("./completion/verbs.ts")).addComplete,
    hidden: true,
  },
];
