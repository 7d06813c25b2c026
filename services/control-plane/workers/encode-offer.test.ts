import { create, toBinary } from "@bufbuild/protobuf";
import { StepSchema } from "@ritmo/contract/ritmo/pipeline/v1/pipeline_pb.js";
import { expect, test } from "vitest";
import type { LeasedStep } from "../queue/claim-steps.ts";
import { encodeOffer } from "./encode-offer.ts";

const leased = (more: Partial<LeasedStep>, submodules = false): LeasedStep => ({
  leaseId: "l",
  attemptId: "att_1",
  attempt: 1,
  stepId: "stp_1",
  spec: Buffer.from(toBinary(StepSchema, create(StepSchema, { name: "test", checkout: true, submodules }))),
  cpuMillis: 0,
  memoryBytes: 0,
  buildId: "bld_1",
  buildNumber: 3,
  job: "hello",
  repository: "https://git.example.com/hello.git",
  commit: "c".repeat(40),
  sourceKind: "branch",
  sourceName: "main",
  pool: "default",
  waitedSeconds: 0,
  ...more,
});

test.each([
  ["branch", "main", "refs/heads/main"],
  ["tag", "v1", "refs/tags/v1"],
  ["commit", "abcdef1", ""],
] as const)(
  "a build of a %s is fetched by its ref where bare commits are not handed out",
  (sourceKind, sourceName, ref) => {
    expect(encodeOffer(leased({ sourceKind, sourceName }), "http://r").source?.ref).toBe(ref);
  },
);

test("submodules come when the step asks for them", () => {
  expect(encodeOffer(leased({}), "http://r").source?.submodules).toBe(false);
  expect(encodeOffer(leased({}, true), "http://r").source?.submodules).toBe(true);
});

test("attempts of one build share a trace, each with a span of its own", () => {
  const parent = (more: Partial<LeasedStep>) => encodeOffer(leased(more), "http://r").traceContext["traceparent"] ?? "";
  const [one, two, other] = [parent({}), parent({ attemptId: "att_2" }), parent({ buildId: "bld_2" })];
  expect(one).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  expect(two.slice(0, 35)).toBe(one.slice(0, 35));
  expect(two).not.toBe(one);
  expect(other.slice(0, 35)).not.toBe(one.slice(0, 35));
});
