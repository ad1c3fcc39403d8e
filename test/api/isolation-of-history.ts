/**
 * How another tenant tries to get at a tenant's history, by operation: exports, imports, checks, and how long
 * it is kept.
 */
import { expect } from "vitest";
import type { ProblemCode } from "../../protocol/errors.ts";
import type { World } from "../support/world.ts";
import { ask, expectProblem } from "./answers.ts";

interface Of {
  owner: () => World;
  other: () => World;
  runs: () => string[];
  /** The owner's import of its first run. */
  imported: () => string;
  /** The name of the owner's workflow. */
  secret: string;
  renewOther: () => Promise<void>;
  seesNothing: (path: string) => Promise<void>;
  isNotFound: (path: string, code: ProblemCode) => Promise<void>;
  isUnknown: (method: string, path: string, code: ProblemCode) => Promise<void>;
}

/** The owner keeps its history for 1,234 days. */
export function historyAttempts({
  owner,
  other,
  runs,
  imported,
  secret,
  renewOther,
  seesNothing,
  isNotFound,
  isUnknown,
}: Of): Record<string, () => Promise<void>> {
  return {
    exportRun: async () => {
      for (const run of runs()) await isNotFound(`/runs/${run}/export`, "run_not_found");
    },
    checkReplay: async () => {
      const path = `/workflows/${secret}/check`;
      const definition = { name: secret, steps: [{ name: "only" }, { name: "more" }] };
      for (const [body, code] of [
        [{ definition }, "workflow_not_found"],
        [{ version: 1 }, "workflow_not_found"],
        [{ definition, runs: { ids: [runs()[0]] } }, "run_not_found"],
        [{ definition, imports: [imported()] }, "import_not_found"],
      ] as const) {
        await expectProblem(await ask(other(), "POST", path, body), code, /^(There is no|No) /);
      }
      const { body } = await owner().call("POST", path, { definition, imports: [imported()] });
      expect(body).toMatchObject({ checked: 1, divergent: 1 });
    },
    createImport: async () => {
      // The same document: an import of their own, of which the owner's is none.
      const { body } = await owner().call("GET", `/imports/${imported()}/export`);
      const created = await ask<{ id: string }>(other(), "POST", "/imports", body);
      expect(created).toMatchObject({ status: 201, body: { created: true } });
      expect(created.body.id).not.toBe(imported());
      await renewOther();
    },
    listImports: () => seesNothing("/imports"),
    readImport: () => isNotFound(`/imports/${imported()}`, "import_not_found"),
    exportImport: () => isNotFound(`/imports/${imported()}/export`, "import_not_found"),
    deleteImport: () => isUnknown("DELETE", `/imports/${imported()}`, "import_not_found"),
    readRetention: async () => {
      expect((await ask(other(), "GET", "/tenant/retention")).body).toEqual({ days: 90 });
    },
    putRetention: async () => {
      const { status } = await ask(other(), "PUT", "/tenant/retention", { days: 1 });
      expect(status).toBe(200);
      expect((await owner().call("GET", "/tenant/retention")).body).toEqual({ days: 1234 });
    },
    readTenantShards: async () => {
      await ask(other(), "PUT", "/tenant/shards", { count: 2 });
      expect((await owner().call("GET", "/tenant/shards")).body).toMatchObject({ count: 1 });
      expect((await other().call("GET", "/tenant/shards")).body).toMatchObject({ count: 2 });
      await renewOther();
    },
    setTenantShards: async () => {
      const { status } = await ask(other(), "PUT", "/tenant/shards", { count: 3 });
      expect(status).toBe(200);
      expect((await owner().call("GET", "/tenant/shards")).body).toMatchObject({ version: 1 });
      await renewOther();
    },
  };
}
