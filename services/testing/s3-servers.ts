import { afterAll, beforeAll, test } from "vitest";
import type { S3Settings } from "../control-plane/store/s3-client.ts";
import { findVersitygw, NO_VERSITYGW, startVersitygw } from "./s3-versitygw.ts";
import { findWeed, NO_WEED, startWeed, type TestS3 } from "./start-weed.ts";

export interface S3Server {
  name: string;
  /** Why its tests are skipped, where its program is not installed. */
  absent: string | undefined;
  server(): TestS3;
}

/** The S3 servers that are tested against, started once for the file that calls this. */
export function s3Servers(): { weed: S3Server; versitygw: S3Server } {
  return {
    weed: started("an S3 server (SeaweedFS)", findWeed(), NO_WEED, startWeed),
    versitygw: started("an S3 server (versitygw)", findVersitygw(), NO_VERSITYGW, startVersitygw),
  };
}

function started(
  name: string,
  program: string | undefined,
  absent: string,
  start: (program: string) => Promise<TestS3>,
): S3Server {
  let server: TestS3 | undefined;
  beforeAll(async () => {
    if (program) server = await start(program);
  });
  afterAll(() => server?.[Symbol.asyncDispose]());
  return { name, absent: program ? undefined : absent, server: () => server as TestS3 };
}

/** Settings for a new bucket of a server. */
export async function s3Settings(server: TestS3, more: Partial<S3Settings> = {}): Promise<S3Settings> {
  return {
    endpoint: server.endpoint,
    publicEndpoint: undefined,
    region: "us-east-1",
    bucket: await server.makeBucket(),
    accessKeyId: server.accessKeyId,
    secretAccessKey: server.secretAccessKey,
    pathStyle: true,
    ...more,
  };
}

/** A test that is counted as skipped, with the reason, where what it needs is absent. */
export const testUnless = (absent: string | undefined) => (name: string, run: () => Promise<void>) =>
  test(name, async ({ skip }) => {
    skip(absent !== undefined, absent);
    await run();
  });
