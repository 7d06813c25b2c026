import { createWorker } from "./fleet/create-worker.ts";
import { createToken } from "./identity/create-token.ts";
import { makeSetupCode } from "./identity/make-setup-code.ts";
import type { Db } from "./store/open-database.ts";

/** What the all-in-one start needs to sign in the machine's own command line and worker. */
export interface Bootstrapped {
  adminToken: string;
  workerToken: string;
  setupCode: string;
  /** True: nothing was ever configured here. */
  empty: boolean;
}

const ORG_ID = "org_default";
const NAME = "local";

/**
 * Hands out an admin token and a worker token named `local`, and a setup code. Whoever can reach the database may
 * run it; earlier tokens of that name are revoked, since their values are lost.
 */
export async function bootstrap(db: Db): Promise<Bootstrapped> {
  const setupCode = (await makeSetupCode({ db }, { alsoWithTokens: true })) ?? "";
  return await db.transaction(async (tx) => {
    const [row] = await tx<{ empty: boolean }[]>`SELECT NOT EXISTS (SELECT FROM jobs) AS empty`;
    await tx`UPDATE tokens SET revoked_at = clock_timestamp() WHERE org_id = ${ORG_ID} AND name = ${NAME} AND revoked_at IS NULL`;
    const { value: adminToken } = await createToken(tx, ORG_ID, { name: NAME, scope: "admin" });
    await tx`UPDATE workers SET deleted_at = clock_timestamp(), state = 'offline', token_hash = NULL
      WHERE org_id = ${ORG_ID} AND name = ${NAME} AND deleted_at IS NULL`;
    const worker = { name: NAME, pool: "default", fixedLabels: [], allowedLabelKeys: ["*"] };
    const { token: workerToken } = await createWorker(tx, ORG_ID, worker);
    return { adminToken, workerToken, setupCode, empty: row?.empty ?? false };
  });
}
