import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["services/**/*.test.ts"],
    globalSetup: ["services/testing/start-test-postgres.ts"],
    reporters: ["default", "./services/testing/closing-line-reporter.ts"],
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    restoreMocks: true,
    // Waiting for a condition costs nothing when it comes soon, and a busy machine its time.
    expect: { poll: { timeout: 15_000 } },
  },
});
