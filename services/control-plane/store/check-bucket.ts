import type { Client } from "minio";
import { keepTrying } from "./keep-trying.ts";
import type { S3Settings } from "./s3-client.ts";

const KEY = ".ritmo-check";

/**
 * Writes, reads and removes a small object, so that every right Ritmo needs is tried. Rejects with one line that names
 * the setting to look at.
 */
export async function checkBucket(client: Client, settings: S3Settings): Promise<void> {
  try {
    // Its error says why; the answer to a HEAD has no body to say it in.
    await keepTrying(() => client.listObjectsV2Query(settings.bucket, KEY, "", "", 1, ""));
    await keepTrying(() => client.putObject(settings.bucket, KEY, Buffer.from("ritmo"), 5));
    await keepTrying(() => client.statObject(settings.bucket, KEY));
    await keepTrying(() => client.removeObject(settings.bucket, KEY));
  } catch (reason) {
    throw new Error(explain(reason as Fault, settings), { cause: reason });
  }
}

type Fault = Error & { code?: string };

function explain(fault: Fault, { endpoint, bucket, region }: S3Settings): string {
  switch (fault.code) {
    case "NoSuchBucket":
      return `RITMO_S3_BUCKET: ${endpoint} has no bucket ${bucket}; make it, or name another.`;
    case "InvalidAccessKeyId":
    case "XAdminUserNotFound":
      return `RITMO_S3_ACCESS_KEY_ID: ${endpoint} does not know this key.`;
    case "SignatureDoesNotMatch":
      return `RITMO_S3_SECRET_ACCESS_KEY: ${endpoint} refuses the signature; the secret is not the key's.`;
    case "AuthorizationHeaderMalformed":
    case "PermanentRedirect":
    case "IllegalLocationConstraintException":
      return `RITMO_S3_REGION: ${endpoint} keeps ${bucket} in another region than ${region} (${fault.message}).`;
    case "AccessDenied":
      return `RITMO_S3_ACCESS_KEY_ID: the key may not list, write and delete in ${bucket} at ${endpoint}.`;
    case "RequestTimeTooSkewed":
      return `The clocks of this machine and of ${endpoint} differ too much; set them.`;
    case "ECONNREFUSED":
    case "ENOTFOUND":
    case "EAI_AGAIN":
    case "EHOSTUNREACH":
    case "ETIMEDOUT":
    case "ECONNRESET":
      return `RITMO_S3_ENDPOINT: ${endpoint} can't be reached (${fault.code}).`;
    default:
      return `RITMO_S3_ENDPOINT: ${endpoint} can't be used: ${fault.code ?? fault.name}: ${firstLine(fault.message)}`;
  }
}

const firstLine = (text: string) => text.split("\n")[0] ?? "";
