import type { FinishStepRequest } from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import type { FakeAttempt } from "./fake-attempt.ts";
import { type FakeControlPlane, fakeControlPlane } from "./fake-control-plane.ts";
import { startWorker, type TestWorker, workFolder } from "./start-worker.ts";

type Step = Parameters<FakeControlPlane["offer"]>[0];

/** A worker within the test's own process whose engine is the given one. */
export interface ContainerScene extends AsyncDisposable {
  peer: FakeControlPlane;
  worker: TestWorker;
  workDir: string;
  offer(step: Step): FakeAttempt;
  run(step: Step): Promise<{ attempt: FakeAttempt; finish: FinishStepRequest; text: string; prepare: string }>;
}

export async function containerScene(
  engine: { host: string; image: string },
  env: Record<string, string> = {},
): Promise<ContainerScene> {
  const folder = workFolder();
  const peer = await fakeControlPlane();
  const worker = await startWorker(peer, folder.path, { RITMO_SLOTS: "8", ...env }, { DOCKER_HOST: engine.host });
  const offer = (step: Step) => peer.offer({ image: engine.image, ...step });
  return {
    peer,
    worker,
    workDir: folder.path,
    offer,
    async run(step) {
      const attempt = offer(step);
      const finish = await peer.finished(attempt);
      return { attempt, finish, text: attempt.step.toString(), prepare: attempt.prepare.toString() };
    },
    async [Symbol.asyncDispose]() {
      await worker[Symbol.asyncDispose]();
      await peer[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}
