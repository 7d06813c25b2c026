import { randomUUID } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import {
  AttendRequestSchema,
  type AttendResponse,
  HelloSchema,
  type Offer,
  WorkerService,
} from "@ritmo/contract/ritmo/worker/v1/worker_pb.js";
import { expect } from "vitest";
import { createWorker } from "../control-plane/fleet/create-worker.ts";
import { PROTOCOL_VERSION } from "../control-plane/workers/limits.ts";
import { pushable } from "../process/pushable.ts";
import { ORG } from "./build-fixture.ts";
import type { FreshDatabase } from "./fresh-database.ts";

/** A peer that says what it is told to say, over a real connection. */
export class FakeWorker {
  readonly client: Client<typeof WorkerService>;
  readonly heard: AttendResponse[] = [];
  readonly out = pushable<MessageInitShape<typeof AttendRequestSchema>>();
  ended: Promise<unknown> = Promise.resolve();
  private seq = 0n;

  constructor(address: string, token: string) {
    this.client = createClient(
      WorkerService,
      createGrpcTransport({
        baseUrl: `http://${address}`,
        interceptors: [
          (next) => (request) => {
            request.header.set("authorization", `Bearer ${token}`);
            return next(request);
          },
        ],
      }),
    );
  }

  async hello(more: MessageInitShape<typeof HelloSchema> = {}) {
    const stream = this.client.attend(this.out);
    this.ended = (async () => {
      try {
        for await (const message of stream) this.heard.push(message);
        return undefined;
      } catch (reason) {
        return reason;
      }
    })();
    const value = create(HelloSchema, { protocolVersion: PROTOCOL_VERSION, slots: 2, executors: ["process"], ...more });
    this.out.push({ message: { case: "hello", value } });
    return await this.hear("welcome");
  }

  report(leases: string[] = [], draining = false) {
    this.seq++;
    const held = leases.map((leaseId) => ({ leaseId, stage: { case: "running" as const, value: {} } }));
    this.out.push(
      create(AttendRequestSchema, { message: { case: "report", value: { seq: this.seq, held, draining } } }),
    );
    return this.seq;
  }

  /** The first message of that kind that was not heard before. */
  async hear<K extends AttendResponse["message"]["case"]>(
    kind: K,
  ): Promise<Extract<AttendResponse["message"], { case: K }>["value"]> {
    await expect.poll(() => this.heard.some((m) => m.message.case === kind), { timeout: 10_000 }).toBe(true);
    const i = this.heard.findIndex((m) => m.message.case === kind);
    return this.heard.splice(i, 1)[0]?.message.value as never;
  }

  finish(offer: Offer, code = 0) {
    return this.client.finishStep({
      leaseId: offer.leaseId,
      resultId: randomUUID(),
      end: { case: "exited", value: { code } },
      logSha256: new Uint8Array(32),
    });
  }
}

/** The token of a new worker that has zone=a and may report os. */
export async function workerToken({ db }: FreshDatabase, name = "w1") {
  const worker = { name, pool: "default", fixedLabels: ["zone=a"], allowedLabelKeys: ["os"] };
  return (await createWorker(db.sql, ORG, worker)).token;
}
