import type { Client } from "@connectrpc/connect";
import { type BuildService, StepState } from "@ritmo/contract/ritmo/build/v1/build_pb.js";
import type { StepEvent } from "@ritmo/contract/ritmo/event/v1/event_pb.js";
import type { Io } from "../io.ts";
import { neutralise } from "../neutralise.ts";
import { sentence } from "../sentence.ts";

const PATIENCE_MS = 5_000;

/** Says on stderr why the build stands still, once nothing has run for a while and a step is queued. */
export function explainWaiting(io: Io, builds: Client<typeof BuildService>) {
  const states = new Map<string, StepEvent>();
  const said = new Set<string>();
  let timer: NodeJS.Timeout | undefined;

  const explain = async () => {
    const step = [...states.values()].find((s) => s.state === StepState.QUEUED);
    if (!step) return;
    try {
      const { summary, remedy } = await builds.explainStep({ name: step.stepId });
      const text = `${sentence(summary)} ${sentence(remedy)}`.trim();
      if (!said.has(text)) await io.stderr.write(`${neutralise(text)}\n`);
      said.add(text);
    } catch {
      // Only a courtesy: what is wrong with the connection is told by those who need it.
    }
  };
  return {
    take(event: StepEvent) {
      states.set(event.stepId, event);
      clearTimeout(timer);
      const all = [...states.values()];
      const runs = all.some((s) => s.state >= StepState.LEASED && s.state <= StepState.FINISHING);
      if (runs || !all.some((s) => s.state === StepState.QUEUED)) return;
      timer = setTimeout(() => void explain(), PATIENCE_MS);
    },
    stop: () => clearTimeout(timer),
  };
}
