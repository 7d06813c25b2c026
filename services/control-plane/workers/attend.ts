import type { AttendRequest, AttendResponse } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { type Pushable, pushable } from "../../process/pushable.ts";
import { Refusal } from "../../process/refusal.ts";
import { aborted } from "../../process/wait.ts";
import type { WorkerCaller } from "../identity/caller.ts";
import { untilAborted } from "./until-aborted.ts";
import { type Attendance, WorkerStream } from "./worker-stream.ts";

/**
 * The life of one stream of a worker: Hello opens or resumes its session, every report renews it and is answered
 * with verdicts, and orders are pushed as they come. Losing the stream loses nothing: what it would have said is in
 * the database, and the next Hello is reconciled against it.
 */
export async function* attend(
  attendance: Attendance,
  worker: WorkerCaller,
  requests: AsyncIterable<AttendRequest>,
  signal: AbortSignal,
): AsyncGenerator<AttendResponse> {
  const out = pushable<AttendResponse>();
  const over = new AbortController();
  const ends = AbortSignal.any([signal, over.signal]);
  const reading = readRequests(attendance, worker, requests, out, ends).then(
    () => out.end(),
    (reason: unknown) => out.fail(reason),
  );
  void aborted(signal).then(() => out.end());
  try {
    yield* out;
  } finally {
    over.abort();
    await reading;
  }
}

async function readRequests(
  attendance: Attendance,
  worker: WorkerCaller,
  requests: AsyncIterable<AttendRequest>,
  out: Pushable<AttendResponse>,
  signal: AbortSignal,
): Promise<void> {
  let stream: WorkerStream | undefined;
  try {
    for await (const { message } of untilAborted(requests, signal)) {
      if (!stream) {
        if (message.case !== "hello")
          throw new Refusal("invalid_argument", "HELLO_FIRST", "the first request must be Hello");
        stream = await WorkerStream.open(attendance, worker, message.value, out, signal);
        continue;
      }
      if (message.case === "report") await stream.report(message.value);
      else if (message.case === "accepted") stream.accepted(message.value.leaseId);
      else if (message.case === "declined") await stream.declined(message.value.leaseId, message.value.reason);
      else
        throw new Refusal("invalid_argument", "UNEXPECTED_MESSAGE", "after Hello come reports and answers to offers");
    }
  } finally {
    await stream?.close();
  }
}
