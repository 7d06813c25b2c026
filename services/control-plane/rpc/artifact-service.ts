import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { ArtifactService } from "@ritmo/contract/ritmo/artifact/v1/artifact_pb.js";
import { artifactMessage, findArtifact } from "../artifacts/artifact-row.ts";
import { getDownloadUrl } from "../artifacts/get-download-url.ts";
import { type ArtifactPosition, artifactsMessage, listArtifacts } from "../artifacts/list-artifacts.ts";
import { readObject } from "../artifacts/read-object.ts";
import { downloadSigner } from "../artifacts/sign-download.ts";
import type { Core } from "../core.ts";
import { callerOf } from "../edge/context.ts";
import { pageSize } from "./page-size.ts";
import { openPageTokens } from "./page-token.ts";

/** What builds kept: listed, told, and delivered. */
export function artifactService(core: Pick<Core, "db" | "blobs" | "url">): ServiceImpl<typeof ArtifactService> {
  const { db, blobs } = core;
  const tokens = openPageTokens(db);
  const signer = downloadSigner(db.sql);
  return {
    async listArtifacts(request, context) {
      const { orgId } = callerOf(context);
      const { build, step, attemptId, paths } = request;
      const of = { orgId, list: "artifacts", filters: { build, step, attemptId, paths } };
      const after = await tokens.read<ArtifactPosition>(of, request.pageToken);
      const size = pageSize(request.pageSize, { fallback: 200, max: 1_000 });
      const { rows, next } = await listArtifacts(db.sql, orgId, request, { size, after });
      return artifactsMessage(rows, next ? await tokens.write(of, next) : "");
    },
    async getArtifact({ id }, context) {
      return { artifact: artifactMessage(await findArtifact(db.sql, callerOf(context).orgId, id)) };
    },
    async getDownloadUrl({ id }, context) {
      const artifact = await findArtifact(db.sql, callerOf(context).orgId, id);
      const { url, expiresAtMs } = await getDownloadUrl({ blobs, signer, url: core.url }, artifact);
      return { url, expiresAt: timestampFromMs(expiresAtMs) };
    },
    async *downloadArtifact({ id, offset, length }, context) {
      const artifact = await findArtifact(db.sql, callerOf(context).orgId, id);
      const range = { offset: Number(offset), length: Number(length) };
      for await (const message of readObject(blobs, artifact, range)) {
        yield { data: message.data, offset: BigInt(message.offset) };
      }
    },
  };
}
