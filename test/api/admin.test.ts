/** The operator's door, and who may call anything at all. */
import { beforeAll, describe, expect, test, vi } from "vitest";
import { z } from "zod";
import type { CreatedApiToken, Tenant } from "../../protocol/tenant-bodies.ts";
import { newId } from "../../protocol/ids.ts";
import { app } from "../../workers/api/app.ts";
import { createdTokenSchema, tenantSchema, tokenSchema } from "../../workers/api/schemas.ts";
import { createWorld, useVirtualTime, World } from "../support/world.ts";
import {
  ask,
  type Asked,
  expectAnswer,
  expectNoTrace,
  expectProblem,
  listOperations,
  OPERATOR,
} from "./answers.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
});

useVirtualTime();

const operate = <Body = unknown>(method: string, path: string, body?: unknown) =>
  ask<Body>(world, method, `/admin${path}`, body, OPERATOR);

const uniqueName = (): string => `tenant-${crypto.randomUUID()}`;

test("a tenant is created once, and listed", async () => {
  const name = uniqueName();
  const created = expectAnswer(await operate("POST", "/tenants", { name }), 201, tenantSchema);
  expect(created.name).toBe(name);
  const again = await operate("POST", "/tenants", { name });
  await expectProblem(again, "tenant_exists", RegExp(`There is a tenant "${name}"`));
  const list = z.object({ items: z.array(tenantSchema) });
  const { items } = expectAnswer(await operate("GET", "/tenants"), 200, list);
  expect(items.filter((tenant) => tenant.name === name)).toEqual([created]);
});

test("a tenant's hint is kept and shown, for its objects to be created near there", async () => {
  const asked = { name: uniqueName(), locationHint: "weur" };
  const created = expectAnswer(await operate("POST", "/tenants", asked), 201, tenantSchema);
  expect(created).toMatchObject({ locationHint: "weur", jurisdiction: null });
  const { body } = await operate<{ items: Tenant[] }>("GET", "/tenants");
  expect(body.items).toContainEqual(created);
});

test("a tenant is made in no jurisdiction where there are none, as in the local runtime", async () => {
  const asked = await operate("POST", "/tenants", { name: uniqueName(), jurisdiction: "eu" });
  await expectProblem(
    asked,
    "invalid_request",
    /no jurisdiction "eu" here: Jurisdiction restrictions/,
  );
});

test("a tenant without a good name is refused", async () => {
  const before = await operate<{ items: Tenant[] }>("GET", "/tenants");
  for (const [body, detail] of [
    [{}, /name is missing/],
    [{ name: "" }, /name must not be empty/],
    [{ name: "a b" }, /letter or digit/],
    [{ name: "n".repeat(201) }, /at most 200 characters/],
    [{ name: "fine", shards: 3 }, /shards is not a field/],
    [{ name: "fine", locationHint: "mars" }, /locationHint .*wnam.*apac-ne/],
    [{ name: "fine", jurisdiction: "ch" }, /jurisdiction .*eu.*fedramp-high/],
    [{ name: "fine", jurisdiction: "eu" }, /Make the tenant without one, or on Cloudflare/],
  ] as const) {
    await expectProblem(await operate("POST", "/tenants", body), "invalid_request", detail);
  }
  expect((await operate<{ items: Tenant[] }>("GET", "/tenants")).body).toEqual(before.body);
});

const tokenList = z.object({ items: z.array(tokenSchema) });

test("a token opens the API, is shown once and kept only as a hash", async () => {
  const path = `/tenants/${world.tenant}/tokens`;
  const created = expectAnswer(
    await operate("POST", path, { name: "ci" }),
    201,
    createdTokenSchema,
  );
  expect(created.token.startsWith(created.prefix)).toBe(true);
  const { token, ...shown } = created;
  const { items } = expectAnswer(await operate("GET", path), 200, tokenList);
  expect(items.find(({ id }) => id === created.id)).toEqual(shown);
  expect((await new World(world.tenant, token).call("GET", "/runs")).status).toBe(200);
  const rows = await world.sql("select a::text as row from v1.api_token a where id = $1", [
    created.id,
  ]);
  expect(JSON.stringify(rows)).not.toContain(token.slice(12));
});

test("a revoked token is not listed, can't be revoked again, and soon opens nothing", async () => {
  const path = `/tenants/${world.tenant}/tokens`;
  const { body: created } = await operate<CreatedApiToken>("POST", path, { name: "gone" });
  const owner = new World(world.tenant, created.token);
  expect((await owner.call("GET", "/runs")).status).toBe(200);

  const revoked = await operate("DELETE", `${path}/${created.id}`);
  expect(expectAnswer(revoked, 200, z.object({ id: z.string() }))).toEqual({ id: created.id });
  const { items } = expectAnswer(await operate("GET", path), 200, tokenList);
  expect(items.map(({ id }) => id)).not.toContain(created.id);
  const again = await operate("DELETE", `${path}/${created.id}`);
  await expectProblem(again, "token_not_found", /has no token .* in force/);

  vi.setSystemTime(Date.now() + 30_001);
  await expectProblem(
    await ask(owner, "GET", "/runs"),
    "unauthenticated",
    /unknown or has been revoked/,
  );
});

test("a token is revoked only at its own tenant", async () => {
  const other = await createWorld();
  const [token] = (
    await operate<{ items: { id: string }[] }>("GET", `/tenants/${world.tenant}/tokens`)
  ).body.items;
  await expectNoTrace(world, async () => {
    const asked = await operate("DELETE", `/tenants/${other.tenant}/tokens/${token?.id}`);
    await expectProblem(asked, "token_not_found", RegExp(`Tenant ${other.tenant} has no token`));
  });
});

test("tokens of a tenant that does not exist are neither made nor listed", async () => {
  const path = `/tenants/${newId()}/tokens`;
  await expectProblem(
    await operate("POST", path, { name: "x" }),
    "tenant_not_found",
    /GET \/api\/v1\/admin\/tenants/,
  );
  await expectProblem(await operate("GET", path), "tenant_not_found", /There is no tenant/);
  const asked = await operate("GET", "/tenants/acme/tokens");
  await expectProblem(asked, "invalid_request", /In the address, id is not an id: expected a UUID/);
});

/** The address of an operation, with something in place of its parameters. */
const fill = (path: string): string => path.replaceAll(/\{\w+\}/g, newId());

describe("without what opens it, no operation answers:", () => {
  const send = async (method: string, path: string, authorization: string): Promise<Asked> =>
    await ask(world, method, fill(path), method === "GET" ? undefined : {}, { authorization });

  /** Those that anybody may call have something else to be refused by, and tests of their own. */
  const guarded = async () =>
    (await listOperations()).filter(({ operation }) => operation.security?.length !== 0);

  test("no token, another scheme, an unknown token", async () => {
    await expectNoTrace(world, async () => {
      for (const { method, path } of await guarded()) {
        const isAdmin = path.startsWith("/admin");
        for (const header of ["", "Basic abc", "Bearer", "Bearer skein_wrong"]) {
          const asked = await send(method, path, header);
          const detail = isAdmin
            ? /Send the header Authorization: Bearer ADMIN_SECRET/
            : header === "Bearer skein_wrong"
              ? /The token is unknown or has been revoked/
              : /Send the header Authorization: Bearer YOUR_TOKEN/;
          await expectProblem(asked, "unauthenticated", detail);
          expect(asked.headers.get("www-authenticate")).toBe("Bearer");
        }
      }
    });
  });

  test("a tenant's token at the operator's door, the operator's secret at a tenant's", async () => {
    for (const { method, path } of await guarded()) {
      const isAdmin = path.startsWith("/admin");
      const wrong = isAdmin ? `Bearer ${world.token}` : OPERATOR.authorization;
      await expectProblem(await send(method, path, wrong), "unauthenticated", /./);
    }
  });

  test("the right secret where the deployment has none", async () => {
    const { ADMIN_SECRET: _, ...env } = world.env;
    for (const authorization of ["", "Bearer ", "Bearer undefined", OPERATOR.authorization]) {
      const request = new Request("http://skein.test/api/v1/admin/tenants", {
        headers: { authorization },
      });
      const response = await app.fetch(request, env);
      expect(response.status).toBe(401);
      expect(await response.text()).toContain("has no ADMIN_SECRET");
    }
  });
});

test("the scheme's name may be in any case", async () => {
  const headers = { authorization: `bearer ${world.token}` };
  expect((await ask(world, "GET", "/runs", undefined, headers)).status).toBe(200);
});
