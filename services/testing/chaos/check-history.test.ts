import { expect, test } from "vitest";
import { checkHistory, type Violation } from "./check-history.ts";
import type { History } from "./history.ts";

/** One build of two steps: `a` lost its first worker and made an artifact in its second attempt; `b` failed with 3. */
function goodHistory(): History {
  const event = (subject: string, before: string | undefined, state: string, attempt = 0) => ({
    subject,
    before,
    state,
    attempt,
  });
  return {
    asked: [{ requestId: "r1", build: "j#1" }],
    builds: [{ name: "j#1", state: "failure", cancelAnsweredAtMs: undefined }],
    steps: [
      { name: "j#1/a", build: "j#1", state: "success", exitCode: 0, needs: [], attempt: 2 },
      { name: "j#1/b", build: "j#1", state: "failure", exitCode: 3, needs: ["j#1/a"], attempt: 1 },
    ],
    attempts: [
      {
        ...{ name: "j#1/a@1", step: "j#1/a", number: 1, state: "error", reason: "WORKER_LOST" },
        ...{ leasedAtMs: 1, logEnd: 4, incomplete: true, log: "one\n" },
      },
      {
        ...{ name: "j#1/a@2", step: "j#1/a", number: 2, state: "success", reason: "" },
        ...{ leasedAtMs: 5, logEnd: 8, incomplete: false, log: "one\ntwo\n" },
      },
      {
        ...{ name: "j#1/b@1", step: "j#1/b", number: 1, state: "failure", reason: "" },
        ...{ leasedAtMs: 9, logEnd: 0, incomplete: false, log: "" },
      },
    ],
    artifacts: [{ attempt: "j#1/a@2", path: "out", sha256: "ab", foundSha256: "ab" }],
    events: [
      event("j#1", undefined, "pending"),
      event("j#1", "pending", "running"),
      event("j#1/a", undefined, "waiting"),
      event("j#1/b", undefined, "waiting"),
      event("j#1/a", "waiting", "queued"),
      event("j#1/a", "queued", "leased", 1),
      event("j#1/a", "leased", "queued", 1),
      event("j#1/a", "queued", "leased", 2),
      event("j#1/a", "leased", "success", 2),
      event("j#1/b", "waiting", "queued"),
      event("j#1/b", "queued", "leased", 1),
      event("j#1/b", "leased", "failure", 1),
      event("j#1", "running", "failure"),
    ],
    witnessed: new Map([
      [
        "j#1/a@1",
        {
          wrote: "one\ntwo\n",
          startedAtMs: 2,
          starts: 1,
          endedAtMs: undefined,
          exitCode: undefined,
          artifactSha256: undefined,
        },
      ],
      ["j#1/a@2", { wrote: "one\ntwo\n", startedAtMs: 6, starts: 1, endedAtMs: 8, exitCode: 0, artifactSha256: "ab" }],
      ["j#1/b@1", { wrote: "", startedAtMs: 10, starts: 1, endedAtMs: 11, exitCode: 3, artifactSha256: undefined }],
    ]),
    left: { queued: 0, leased: 0 },
  };
}

test("a history in which every promise was kept has nothing to tell", () => {
  expect(checkHistory(goodHistory())).toEqual([]);
});

type Planted = [what: string, Violation["invariant"], plant: (history: History) => void];

const PLANTED: Planted[] = [
  ["a build that was answered is lost", "I4", (h) => void h.builds.pop()],
  [
    "a request that was repeated made two builds",
    "I9",
    (h) => void (h.builds[0] && h.builds.push({ ...h.builds[0], name: "j#2" })),
  ],
  ["two requests got one build", "I9", (h) => void h.asked.push({ requestId: "r2", build: "j#1" })],
  ["one attempt was executed twice", "I1", (h) => void Object.assign(witness(h, "j#1/a@2"), { starts: 2 })],
  ["a step that never ends", "I3", (h) => void Object.assign(step(h, 1), { state: "queued" })],
  [
    "a second outcome",
    "I3",
    (h) => void h.events.push({ subject: "j#1/a", before: "success", state: "failure", attempt: 2 }),
  ],
  ["an outcome that no event told", "I3", (h) => void h.events.splice(8, 1)],
  ["an event that was lost", "I13", (h) => void h.events.splice(5, 1)],
  ["an event out of order", "I13", (h) => void h.events.splice(4, 0, ...h.events.splice(6, 1))],
  ["a stale attempt's success was taken", "I2", (h) => void Object.assign(attempt(h, 0), { state: "success" })],
  ["an attempt's number was used twice", "I2", (h) => void Object.assign(attempt(h, 1), { number: 1 })],
  ["an attempt that the step knows nothing of", "I2", (h) => void Object.assign(step(h, 0), { attempt: 1 })],
  ["success of what exited with 1", "I2", (h) => void Object.assign(witness(h, "j#1/a@2"), { exitCode: 1 })],
  ["success of what never ended", "I2", (h) => void Object.assign(witness(h, "j#1/a@2"), { exitCode: undefined })],
  ["another exit code than its own", "I2", (h) => void Object.assign(step(h, 1), { exitCode: 4 })],
  [
    "a byte of a log is missing in the middle",
    "I5",
    (h) => void Object.assign(attempt(h, 1), { log: "one\nwo\n", logEnd: 7 }),
  ],
  ["a chunk is there twice", "I5", (h) => void Object.assign(attempt(h, 0), { log: "one\none\n", logEnd: 8 })],
  ["acknowledged bytes are gone", "I5", (h) => void Object.assign(attempt(h, 0), { log: "" })],
  [
    "the end of a log is missing, and nothing says so",
    "I5",
    (h) => void Object.assign(attempt(h, 1), { log: "one\n", logEnd: 4 }),
  ],
  ["bytes that a stale attempt never wrote", "I5", (h) => void Object.assign(witness(h, "j#1/a@1"), { wrote: "on" })],
  ["an artifact without its object", "I6", (h) => void Object.assign(h.artifacts[0] ?? {}, { foundSha256: undefined })],
  ["an object with other bytes", "I6", (h) => void Object.assign(h.artifacts[0] ?? {}, { foundSha256: "cd" })],
  [
    "an artifact of other bytes than were made",
    "I6",
    (h) => void Object.assign(witness(h, "j#1/a@2"), { artifactSha256: "cd" }),
  ],
  ["success without its artifact", "I6", (h) => void h.artifacts.pop()],
  ["a lease after the cancel", "I8", (h) => void Object.assign(h.builds[0] ?? {}, { cancelAnsweredAtMs: 7 })],
  [
    "a step that ran before what it needs was over",
    "I16",
    (h) => void Object.assign(witness(h, "j#1/b@1"), { startedAtMs: 7 }),
  ],
  ["a step that ran although what it needs failed", "I16", (h) => void Object.assign(step(h, 0), { state: "failure" })],
  ["a row of the queue that stayed", "I12", (h) => void Object.assign(h.left, { queued: 1 })],
  ["a lease that stayed", "I12", (h) => void Object.assign(h.left, { leased: 1 })],
];

test.each(PLANTED)("%s is caught", (_, invariant, plant) => {
  const history = goodHistory();
  plant(history);
  expect(checkHistory(history).map((violation) => violation.invariant)).toContain(invariant);
});

const step = (history: History, i: number) => history.steps[i] as History["steps"][number];
const attempt = (history: History, i: number) => history.attempts[i] as History["attempts"][number];
const witness = (history: History, name: string) =>
  history.witnessed.get(name) as NonNullable<ReturnType<History["witnessed"]["get"]>>;
