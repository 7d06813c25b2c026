import type { Executor, Executors } from "./executor.ts";

export interface Chosen {
  /** For steps without an image: processes of this machine, or the scripted one. */
  plain: Executor | undefined;
  /** For steps with one. */
  containers: Executor | undefined;
}

/** One executor for steps with an image, one for those without. */
export function chooseExecutors({ plain, containers }: Chosen): Executors {
  return {
    of: (step) => (step?.image ? containers : plain),
    every: [plain, containers].filter((one) => one !== undefined),
  };
}
