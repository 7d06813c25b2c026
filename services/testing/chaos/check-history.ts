import type { AttemptFact, History, StepFact, Witnessed } from "./history.ts";

/** A broken promise, by its number in the design (I3: one outcome, …), and the thing that broke it. */
export interface Violation {
  invariant: "I1" | "I2" | "I3" | "I4" | "I5" | "I6" | "I8" | "I9" | "I12" | "I13" | "I16";
  about: string;
  what: string;
}

const OVER = new Set(["success", "failure", "error", "timeout", "cancellation", "skip"]);
/** How an attempt ends by what the author's commands did. */
const ITS_OWN = new Set(["success", "failure", "timeout"]);

/** Holds what a run left behind against what is promised; none: every promise was kept. */
export function checkHistory(history: History): Violation[] {
  return [
    ...noLostBuild(history),
    ...oneOutcome(history),
    ...eventsInOrder(history),
    ...onceEach(history),
    ...attemptsFenced(history),
    ...logsWhole(history),
    ...artifactsAtomic(history),
    ...cancelIsMonotone(history),
    ...needsCameFirst(history),
    ...nothingLeft(history),
  ];
}

/** I4, I9: every build that was answered is there, and each request made one. */
function noLostBuild({ asked, builds }: History): Violation[] {
  const there = new Set(builds.map((build) => build.name));
  const lost = asked.filter(({ build }) => !there.has(build));
  const byBuild = Map.groupBy(asked, ({ build }) => build);
  const unasked = builds.filter(({ name }) => !byBuild.has(name));
  const merged = [...byBuild].filter(([, requests]) => requests.length > 1);
  return [
    ...lost.map(({ build }) => violation("I4", build, "was answered and is not there")),
    ...unasked.map(({ name }) => violation("I9", name, "nobody asked for it: a request had two effects")),
    ...merged.map(([name, requests]) => violation("I9", name, `${requests.length} requests were answered with it`)),
  ];
}

/** I3: one outcome each, and nothing after it. */
function oneOutcome({ builds, steps, events }: History): Violation[] {
  const bySubject = Map.groupBy(events, ({ subject }) => subject);
  return [...builds, ...steps].flatMap(({ name, state }) => {
    const told = bySubject.get(name) ?? [];
    const first = told.findIndex((event) => OVER.has(event.state));
    if (!OVER.has(state)) return [violation("I3", name, `is ${state} when everything should be over`)];
    if (first < 0) return [violation("I3", name, `is ${state}, and no event says so`)];
    const after = told.slice(first + 1);
    if (after.length > 0) return [violation("I3", name, `went on to ${after[0]?.state} after ${told[first]?.state}`)];
    return told[first]?.state === state
      ? []
      : [violation("I3", name, `is ${state}, but ended as ${told[first]?.state}`)];
  });
}

/** I13: each event begins where the one before it ended. */
function eventsInOrder({ events }: History): Violation[] {
  return [...Map.groupBy(events, ({ subject }) => subject)].flatMap(([subject, told]) =>
    told.flatMap((event, i) => {
      const before = told[i - 1]?.state;
      return event.before === before
        ? []
        : [violation("I13", subject, `an event goes from ${event.before} to ${event.state}, after ${before}`)];
    }),
  );
}

/** I1: what is leased once is executed once. */
function onceEach({ witnessed }: History): Violation[] {
  return [...witnessed].flatMap(([name, { starts }]) =>
    starts > 1 ? [violation("I1", name, `was executed ${starts} times`)] : [],
  );
}

/** I2: attempts are numbered without a gap, and only the last one can decide; what it decided is the step's. */
function attemptsFenced({ steps, attempts, witnessed }: History): Violation[] {
  const byStep = Map.groupBy(attempts, ({ step }) => step);
  return steps.flatMap((step) => {
    const of = (byStep.get(step.name) ?? []).toSorted((a, b) => a.number - b.number);
    const last = of.at(-1);
    const wrongNumbers = of.some(({ number }, i) => number !== i + 1) || of.length !== step.attempt;
    return [
      ...(wrongNumbers
        ? [violation("I2", step.name, `has attempts ${of.map((a) => a.number)}, and was leased ${step.attempt} times`)]
        : []),
      ...of
        .slice(0, -1)
        .filter(({ state }) => state !== "error")
        .map(({ name, state }) => violation("I2", name, `ended as ${state}, and another attempt came after it`)),
      ...(last && step.state !== "cancellation" && last.state !== step.state
        ? [violation("I2", step.name, `is ${step.state}, but its last attempt ended as ${last.state}`)]
        : []),
      ...agreesWithWitness(step, last, last && witnessed.get(last.name)),
    ];
  });
}

/** A step that went well or badly did so before its own witness, with that exit code. */
function agreesWithWitness(step: StepFact, last: AttemptFact | undefined, seen: Witnessed | undefined): Violation[] {
  if (step.state !== "success" && step.state !== "failure") return [];
  const code = step.state === "success" ? 0 : step.exitCode;
  if (seen?.exitCode === code) return [];
  return [violation("I2", last?.name ?? step.name, `is ${step.state} with ${code}, but ended with ${seen?.exitCode}`)];
}

/** I5: what was acknowledged is a prefix of what was written; all of it, where the attempt ended by itself. */
function logsWhole({ attempts, witnessed }: History): Violation[] {
  return attempts.flatMap((attempt) => {
    const wrote = witnessed.get(attempt.name)?.wrote ?? "";
    const { name, log, logEnd } = attempt;
    if (log.length !== logEnd)
      return [violation("I5", name, `${logEnd} bytes were acknowledged, ${log.length} are there`)];
    if (!wrote.startsWith(log)) return [violation("I5", name, `its log differs at byte ${differsAt(log, wrote)}`)];
    if (!ITS_OWN.has(attempt.state) || attempt.incomplete || log === wrote) return [];
    return [violation("I5", name, `${log.length} of ${wrote.length} bytes are there, and nothing says so`)];
  });
}

function differsAt(a: string, b: string): number {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  return at;
}

/** I6: what is listed is there, is what was promised and what was made, and success lists all that was declared. */
function artifactsAtomic({ artifacts, attempts, witnessed }: History): Violation[] {
  const listed = new Map(artifacts.map((artifact) => [artifact.attempt, artifact]));
  const bad = artifacts.flatMap(({ attempt, path, sha256, foundSha256 }) => {
    const made = witnessed.get(attempt)?.artifactSha256;
    if (foundSha256 !== sha256)
      return [violation("I6", `${attempt} ${path}`, `is listed as ${sha256}, found ${foundSha256}`)];
    return made === sha256 ? [] : [violation("I6", `${attempt} ${path}`, `is listed as ${sha256}, made as ${made}`)];
  });
  const missing = attempts.filter(
    ({ name, state }) => state === "success" && witnessed.get(name)?.artifactSha256 !== undefined && !listed.has(name),
  );
  return [...bad, ...missing.map(({ name }) => violation("I6", name, "succeeded, and its artifact is not listed"))];
}

/** I8: after a cancel was committed nothing of the build is leased any more. */
function cancelIsMonotone({ builds, steps, attempts }: History): Violation[] {
  const cancelled = new Map(builds.map(({ name, cancelAnsweredAtMs }) => [name, cancelAnsweredAtMs]));
  const buildOf = new Map(steps.map(({ name, build }) => [name, build]));
  return attempts.flatMap(({ name, step, leasedAtMs }) => {
    const at = cancelled.get(buildOf.get(step) ?? "");
    return at !== undefined && leasedAtMs > at
      ? [violation("I8", name, "was leased after its build was cancelled")]
      : [];
  });
}

/** I16: no attempt began before the last attempt of each step that it needs had ended well. */
function needsCameFirst({ steps, attempts, witnessed }: History): Violation[] {
  const byName = new Map(steps.map((step) => [step.name, step]));
  return attempts.flatMap(({ name, step }) => {
    const startedAtMs = witnessed.get(name)?.startedAtMs;
    if (startedAtMs === undefined) return [];
    return (byName.get(step)?.needs ?? []).flatMap((need) => {
      const before = byName.get(need);
      const endedAtMs = witnessed.get(`${need}@${before?.attempt}`)?.endedAtMs;
      if (before?.state === "success" && endedAtMs !== undefined && endedAtMs <= startedAtMs) return [];
      return [violation("I16", name, `ran, and ${need} (${before?.state}) had not ended well before it`)];
    });
  });
}

/** I12: nothing stays behind. */
function nothingLeft({ left }: History): Violation[] {
  return [
    ...(left.queued > 0 ? [violation("I12", "queue", `${left.queued} rows are left`)] : []),
    ...(left.leased > 0 ? [violation("I12", "steps", `${left.leased} are still leased`)] : []),
  ];
}

function violation(invariant: Violation["invariant"], about: string, what: string): Violation {
  return { invariant, about, what };
}
