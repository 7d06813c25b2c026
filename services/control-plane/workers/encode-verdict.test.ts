import { expect, test } from "vitest";
import { encodeVerdict } from "./encode-verdict.ts";

const lease = {
  sessionId: "ses_1",
  leaseId: "l",
  stepId: "stp_1",
  cancelRequested: false,
  cancelReason: "Enough.",
  logEnd: 80,
  prepareEnd: 7,
  cpuMillis: 0,
  memoryBytes: 0,
};
const durable = { durableLogOffset: 80n, durablePrepareOffset: 7n };

test("a lease that holds and one that is to stop both say how far the logs are durable; an unknown one says nothing", () => {
  expect(encodeVerdict({ leaseId: "l", verdict: "go-on", lease }).verdict).toMatchObject({
    case: "goOn",
    value: durable,
  });
  const stop = encodeVerdict({ leaseId: "l", verdict: "stop", lease }).verdict;
  expect(stop).toMatchObject({ case: "stop", value: { leaseId: "l", reason: "Enough.", ...durable } });
  expect(encodeVerdict({ leaseId: "l", verdict: "unknown" }).verdict.case).toBe("unknown");
});
