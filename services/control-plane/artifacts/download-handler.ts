import type { IncomingMessage, ServerResponse } from "node:http";
import { posix } from "node:path";
import { pipeline } from "node:stream/promises";
import type { Logger } from "../../process/logger.ts";
import { BlobMissing, type BlobStore } from "../store/blobs.ts";
import { contentDisposition } from "../store/content-disposition.ts";
import type { Db, Sql } from "../store/open-database.ts";
import { type ArtifactRow, artifactColumns } from "./artifact-row.ts";
import { parseRange } from "./parse-range.ts";
import { type DownloadSigner, downloadSigner } from "./sign-download.ts";

const PATH = /^\/download\/(art_[0-9a-z]{26})$/;

interface DownloadDeps {
  db: Pick<Db, "sql">;
  blobs: BlobStore;
  logger: Logger;
}

/**
 * Serves the addresses that GetDownloadUrl gives out for the file-system store: signed, ending, with one range, and
 * never shown as a page. Answers false for a request that is none of its own; true, and later the bytes, for others.
 */
export function downloadHandler(deps: DownloadDeps): (request: IncomingMessage, response: ServerResponse) => boolean {
  const signer = downloadSigner(deps.db.sql);
  return (request, response) => {
    if (!request.url?.startsWith("/download/")) return false;
    answer(deps, signer, request, response).catch((reason: unknown) => {
      // A reader that went away is nobody's fault.
      if (!response.destroyed) deps.logger.error({ err: reason }, "a download failed");
      if (response.headersSent) response.destroy();
      else refuse(response, 500, "the download failed by our fault");
    });
    return true;
  };
}

async function answer(
  deps: DownloadDeps,
  signer: DownloadSigner,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const address = new URL(request.url ?? "/", "http://localhost");
  const id = PATH.exec(address.pathname)?.[1];
  if (request.method !== "GET" && request.method !== "HEAD")
    return refuse(response, 405, "only GET", { allow: "GET, HEAD" });
  if (!id) return refuse(response, 404, "no such download");
  const verdict = await signer.verify(id, address.searchParams, Date.now());
  if (verdict === "forged") return refuse(response, 403, "this address was not signed here");
  if (verdict === "expired") return refuse(response, 403, "this address has ended; ask for a new one");
  return serve(deps, id, request, response);
}

async function serve(deps: DownloadDeps, id: string, request: IncomingMessage, response: ServerResponse) {
  const artifact = await findStored(deps.db.sql, id);
  if (!artifact) return refuse(response, 404, "the artifact is gone");
  const etag = `"${artifact.sha256.toString("hex")}"`;
  if (request.headers["if-none-match"] === etag) return end(response, 304, { etag });
  const condition = request.headers["if-range"];
  const asked = condition === undefined || condition === etag ? request.headers.range : undefined;
  const range = parseRange(asked, artifact.sizeBytes);
  if (range === "unsatisfiable") {
    return refuse(response, 416, "one range within the file, please", {
      "content-range": `bytes */${artifact.sizeBytes}`,
    });
  }
  const { offset, length } = range ?? { offset: 0, length: artifact.sizeBytes };
  const headers = {
    ...safeHeaders(artifact),
    etag,
    "content-length": String(length),
    ...(range ? { "content-range": `bytes ${offset}-${offset + length - 1}/${artifact.sizeBytes}` } : {}),
  };
  if (request.method === "HEAD" || length === 0) return end(response, range ? 206 : 200, headers);
  const body = await deps.blobs.get(artifact.key, { offset, length }).catch((reason: unknown) => {
    if (!(reason instanceof BlobMissing)) throw reason;
  });
  if (!body) return refuse(response, 404, "the artifact is gone");
  response.writeHead(range ? 206 : 200, headers);
  await pipeline(body, response);
}

async function findStored(sql: Sql, id: string): Promise<ArtifactRow | undefined> {
  const [row] = await sql<ArtifactRow[]>`
    SELECT ${artifactColumns(sql)} FROM artifacts f JOIN steps s ON s.id = f.step_id
    WHERE f.id = ${id} AND f.stored_at IS NOT NULL`;
  return row;
}

// What a build made is a stranger's: kept as a file, never run on this origin (ASVS 3.2.1, 5.4.2).
function safeHeaders(artifact: ArtifactRow): Record<string, string> {
  return {
    "content-type": artifact.mediaType,
    "content-disposition": contentDisposition(posix.basename(artifact.path)),
    "content-security-policy": "sandbox; default-src 'none'",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "cache-control": "private, no-store",
    "accept-ranges": "bytes",
  };
}

function refuse(response: ServerResponse, status: number, why: string, headers: Record<string, string> = {}): void {
  end(
    response,
    status,
    { "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff", ...headers },
    `${why}\n`,
  );
}

function end(response: ServerResponse, status: number, headers: Record<string, string>, body?: string): void {
  response.writeHead(status, headers).end(body);
}
