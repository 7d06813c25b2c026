import { BuildState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import { BUILD_LOOK, type Look } from "../states.ts";

/** How a build's state looks that is told by its name in lower case, as a job's newest build is. */
export function lookOf(state: string): Look {
  const value = (BuildState as unknown as Record<string, BuildState | undefined>)[state.toUpperCase()];
  return BUILD_LOOK[value ?? BuildState.UNSPECIFIED];
}
