/**
 * Webhooks as the database keeps them: what a change replaces, how many there may be, and that what is
 * refused there is written down within bounds, however much of it there is.
 */
import { describe, expect, inject, test } from "vitest";
import {
  deleteWebhook,
  type PutWebhookReply,
  putWebhook,
  readVerifier,
  recordWebhookFailure,
} from "../../database/webhooks.ts";
import type { DeliveryFailureCode } from "../../protocol/errors.ts";
import type { StoredWebhook } from "../../protocol/webhook-bodies.ts";
import { openPool, postgres, queryOf, TestShard, untilBlocked } from "./support.ts";

const GITHUB: StoredWebhook = { provider: "github", eventKey: '"push"', headers: [] };
const STRIPE: StoredWebhook = { ...GITHUB, provider: "stripe" };
const MOST = 5;

describe.each(inject("databases"))("webhooks on $name", (database) => {
  const pool = openPool(database);
  const query = queryOf(pool);

  function put(
    { tenant }: TestShard,
    {
      name = "repo",
      definition = GITHUB,
      secrets = undefined as string[] | undefined,
      most = MOST,
    },
  ): Promise<PutWebhookReply> {
    return putWebhook(query, tenant, name, { definition, secrets, most });
  }

  /** A tenant with the webhook `repo`. */
  async function withWebhook(): Promise<TestShard> {
    const shard = await TestShard.create(pool);
    await put(shard, { secrets: ["one"] });
    return shard;
  }

  function fail(
    { tenant }: TestShard,
    code: DeliveryFailureCode = "wrong_signature",
    name = "repo",
  ): Promise<void> {
    return recordWebhookFailure(query, tenant, name, { code, detail: null, most: MOST });
  }

  async function failures(shard: TestShard): Promise<string[]> {
    const rows = await shard.rows<{ code: string }>(
      "select code from v1.webhook_failure where tenant_id = $1 order by id desc",
      [shard.tenant],
    );
    return rows.map(({ code }) => code);
  }

  function age(shard: TestShard): Promise<unknown> {
    const text = "update v1.webhook_failure set at = at - interval '61 s' where tenant_id = $1";
    return shard.rows(text, [shard.tenant]);
  }

  test("are stored, changed and deleted; a change without secrets keeps them", async () => {
    const shard = await withWebhook();
    const { tenant } = shard;
    expect(await readVerifier(query, tenant, "repo")).toEqual({
      definition: GITHUB,
      secrets: ["one"],
    });
    const definition = { ...GITHUB, description: "of the team" };
    const changed = await put(shard, { definition });
    expect(changed).toMatchObject({ created: false, stored: { definition, secretCount: 1 } });
    expect(await put(shard, { definition })).toEqual(changed);
    await put(shard, { definition, secrets: ["two", "one"] });
    expect(await readVerifier(query, tenant, "repo")).toEqual({
      definition,
      secrets: ["two", "one"],
    });
    expect(await deleteWebhook(query, tenant, "repo")).toBe(true);
    expect(await deleteWebhook(query, tenant, "repo")).toBe(false);
    expect(await readVerifier(query, tenant, "repo")).toBeUndefined();
  });

  test("are a tenant's own", async () => {
    const [shard, other] = [await withWebhook(), await TestShard.create(pool)];
    expect(await readVerifier(query, other.tenant, "repo")).toBeUndefined();
    expect(await deleteWebhook(query, other.tenant, "repo")).toBe(false);
    await fail(other);
    expect(await readVerifier(query, shard.tenant, "repo")).toBeDefined();
    expect([await failures(shard), await failures(other)]).toEqual([[], []]);
  });

  test("need secrets when they are new, or of another provider", async () => {
    const shard = await withWebhook();
    expect(await put(shard, { name: "new" })).toEqual({ refused: "secrets" });
    expect(await put(shard, { definition: STRIPE })).toEqual({ refused: "secrets" });
    const stripe = await put(shard, { definition: STRIPE, secrets: ["two"] });
    expect(stripe).toMatchObject({ created: false, stored: { definition: STRIPE } });
  });

  test("answer a change with all but their secrets", async () => {
    const shard = await TestShard.create(pool);
    const put = "select v1.put_webhook($1, 'repo', $2, array['nobody-sees'], 5)::text as reply";
    for (const definition of [GITHUB, GITHUB, STRIPE]) {
      const [row] = await shard.rows<{ reply: string }>(put, [shard.tenant, definition]);
      expect(row?.reply).toContain("secret_count");
      expect(row?.reply).not.toContain("nobody-sees");
    }
  });

  test("of failures the last ones are kept, and no more are written in a minute", async () => {
    const shard = await withWebhook();
    for (let count = 0; count < MOST + 2; count++) await fail(shard);
    expect(await failures(shard)).toHaveLength(MOST);
    await fail(shard, "missing_signature");
    expect(await failures(shard)).not.toContain("missing_signature");
    await age(shard);
    await fail(shard, "missing_signature");
    await fail(shard, "malformed_signature");
    expect(await failures(shard)).toEqual([
      "malformed_signature",
      "missing_signature",
      ...Array.from({ length: MOST - 2 }, () => "wrong_signature"),
    ]);
  });

  test("of failures none is left behind, and none is of a webhook that is not there", async () => {
    const shard = await withWebhook();
    await fail(shard);
    await fail(shard, "wrong_signature", "other");
    expect(await failures(shard)).toHaveLength(1);
    await deleteWebhook(query, shard.tenant, "repo");
    expect(await failures(shard)).toEqual([]);
  });
});

describe.runIf(postgres)("webhooks, by many at once", () => {
  const pool = openPool(postgres ?? { databaseUrl: "" });
  const query = queryOf(pool);

  test("are never more than there may be", async () => {
    const { tenant } = await TestShard.create(pool);
    const replies = await Promise.all(
      Array.from({ length: 8 }, (_, number) =>
        putWebhook(query, tenant, `webhook-${number}`, {
          definition: GITHUB,
          secrets: ["one"],
          most: MOST,
        }),
      ),
    );
    expect(replies.filter((reply) => "refused" in reply)).toHaveLength(3);
  });

  test("have no more failures written than there may be", async () => {
    const shard = await TestShard.create(pool);
    const { tenant } = shard;
    const definition = GITHUB;
    await putWebhook(query, tenant, "repo", { definition, secrets: ["one"], most: MOST });
    const fail = (code: DeliveryFailureCode): Promise<void> =>
      recordWebhookFailure(query, tenant, "repo", { code, detail: null, most: MOST });
    await fail("missing_signature");
    const holder = await pool.connect();
    try {
      await holder.query("begin");
      await holder.query("select pg_advisory_xact_lock(v1.webhook_lock($1, 'repo'))", [tenant]);
      const flood = Promise.all(Array.from({ length: MOST + 1 }, () => fail("wrong_signature")));
      await untilBlocked(shard, holder, MOST + 1);
      await holder.query("commit");
      await flood;
    } finally {
      holder.release();
    }
    const codes = await shard.rows<{ code: string }>(
      "select code from v1.webhook_failure where tenant_id = $1 order by id",
      [tenant],
    );
    // The first is still there: none was written beyond what is kept.
    expect(codes.map(({ code }) => code)).toEqual([
      "missing_signature",
      ...Array.from({ length: MOST - 1 }, () => "wrong_signature"),
    ]);
  });
});
