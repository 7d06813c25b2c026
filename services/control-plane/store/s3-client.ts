import http from "node:http";
import https from "node:https";
import { Client } from "minio";

export interface S3Settings {
  endpoint: string;
  /** The same server's address for browsers and workers, where it differs. */
  publicEndpoint: string | undefined;
  region: string;
  bucket: string;
  accessKeyId: string;
  secretAccessKey: string;
  pathStyle: boolean;
  /** How long the server may say nothing before a request is given up. */
  silenceMs?: number;
}

// The client holds one part in memory, and takes a part of ~525 MiB for a stream of unknown size unless told.
export const S3_PART_BYTES = 8 * 1024 * 1024;
const SILENCE_MS = 30_000;

/** A client of the server at that address. Nothing is connected before its first request. */
export function openS3Client(settings: S3Settings, endpoint: string): Client {
  const url = new URL(endpoint);
  const useSSL = url.protocol === "https:";
  return new Client({
    endPoint: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? (useSSL ? 443 : 80) : Number(url.port),
    useSSL,
    accessKey: settings.accessKeyId,
    secretKey: settings.secretAccessKey,
    // Given, so that the client never asks for it.
    region: settings.region,
    pathStyle: settings.pathStyle,
    partSize: S3_PART_BYTES,
    // It would tell of its retries on standard error; `keepTrying` tries again.
    retryOptions: { disableRetry: true },
    transport: impatient(useSSL, settings.silenceMs ?? SILENCE_MS),
  });
}

/** The client waits for ever on a server that says nothing; this gives up. */
function impatient(useSSL: boolean, silenceMs: number) {
  const request = useSSL ? https.request : http.request;
  return {
    request(options: http.RequestOptions | string | URL, answer?: (response: http.IncomingMessage) => void) {
      const sent = request(options as http.RequestOptions, (response) => {
        // The client throws for these without reading them, and their connection would be held for ever.
        if ((response.statusCode ?? 0) >= 500 || response.statusCode === 429) response.resume();
        answer?.(response);
      });
      sent.setTimeout(silenceMs, () =>
        sent.destroy(
          Object.assign(new Error(`the S3 server said nothing for ${silenceMs / 1000} s`), { code: "ETIMEDOUT" }),
        ),
      );
      return sent;
    },
  } as never;
}
