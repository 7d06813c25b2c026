import { type Artifact, ArtifactService } from "@ritmo/contract/ritmo/artifact/v1/artifact_pb.js";
import { collectPages } from "../collect-pages.ts";
import type { Io } from "../io.ts";
import type { Server } from "../open-client.ts";
import { buildNameOf } from "../target.ts";

interface Which {
  build: string;
  globs: string[];
  step?: string | undefined;
  limit: number;
}

/** The artifacts of a build that a command line names. Errors as ArtifactService.ListArtifacts. */
export async function findArtifacts(
  io: Io,
  server: Server,
  { build, globs, step = "", limit }: Which,
): Promise<Artifact[]> {
  const name = await buildNameOf(server, build);
  const artifacts = server.client(ArtifactService);
  return collectPages(io, limit, async (page) => {
    const { artifacts: items, nextPageToken: next } = await artifacts.listArtifacts({
      build: name,
      paths: globs,
      step,
      ...page,
    });
    return { items, next };
  });
}
