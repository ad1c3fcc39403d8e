/** Webhooks over the API: stored, changed, listed, read and deleted; and that nobody gets at a secret. */
import { beforeEach, describe, expect, test } from "vitest";
import { MAX_WEBHOOKS } from "../../protocol/limits.ts";
import type { Page } from "../../protocol/http.ts";
import type { Webhook } from "../../protocol/webhook-bodies.ts";
import { webhookSchema } from "../../workers/api/webhook-schemas.ts";
import { createWorld, type World } from "../support/world.ts";
import { ask, expectAnswer, expectNoTrace, expectProblem } from "./answers.ts";
import { deliver, putWebhook } from "./delivering.ts";
import { fromGithub } from "../support/signed-deliveries.ts";

let world: World;

beforeEach(async () => {
  world = await createWorld();
});

const put = (name: string, body: object) => ask(world, "PUT", `/webhooks/${name}`, body);
const GITHUB = { provider: "github", secrets: ["one"] };

test("a webhook is stored with the defaults of its provider, changed, read and deleted", async () => {
  const stored = expectAnswer(await put("repo", GITHUB), 201, webhookSchema);
  expect(stored).toEqual({
    name: "repo",
    provider: "github",
    eventKey: '"github:" + headers["x-github-event"] + (has(body.action) ? ":" + body.action : "")',
    headers: ["x-github-event"],
    secretCount: 1,
    path: `/api/v1/webhooks/${world.tenant}/repo`,
    createdAt: expect.any(String),
    updatedAt: stored.createdAt,
  });
  const change = { ...GITHUB, secrets: ["two", "one"], eventKey: '"push"', headers: ["X-Other"] };
  const changed = expectAnswer(await put("repo", change), 200, webhookSchema);
  expect(changed).toMatchObject({ eventKey: '"push"', headers: ["x-other"], secretCount: 2 });
  expect(changed.updatedAt > stored.updatedAt).toBe(true);
  const same = expectAnswer(await put("repo", change), 200, webhookSchema);
  expect(same).toEqual(changed);
  const read = expectAnswer(await ask(world, "GET", "/webhooks/repo"), 200, webhookSchema);
  expect(read).toEqual(changed);
  const { body } = await ask(world, "DELETE", "/webhooks/repo");
  expect(body).toEqual({ name: "repo" });
  for (const [method, path] of [
    ["GET", "/webhooks/repo"],
    ["GET", "/webhooks/repo/failures"],
    ["DELETE", "/webhooks/repo"],
  ] as const) {
    await expectProblem(await ask(world, method, path), "webhook_not_found", /^There is no/);
  }
});

test.each([
  ["stripe", '"stripe:" + body.type'],
  [
    "slack",
    '"slack:" + (has(body.event) ? body.event.type : has(body.command) ? body.command : body.type)',
  ],
  ["api-key", '"webhook:some"'],
])("the event's key of %s is %s, unless the webhook says another", async (provider, eventKey) => {
  const { body } = await put("some", { provider, secrets: ["one"] });
  expect(body).toMatchObject({ eventKey, headers: [] });
});

test("webhooks are listed by name, by pages", async () => {
  for (const name of ["c", "a", "b"]) await putWebhook(world, { provider: "stripe" }, name);
  const list = async (query: string) =>
    (await ask<Page<Webhook>>(world, "GET", `/webhooks?${query}`)).body;
  const first = await list("limit=2");
  expect(first).toMatchObject({ items: [{ name: "a" }, { name: "b" }], nextCursor: "b" });
  expect(await list("limit=2&cursor=b")).toMatchObject({
    items: [{ name: "c" }],
    nextCursor: null,
  });
});

describe("secrets", () => {
  test("are in no answer, and in no table that the application reads", async () => {
    const secret = "a-word-that-nobody-sees";
    const answers = [
      await put("repo", { ...GITHUB, secrets: [secret] }),
      await put("repo", { ...GITHUB, secrets: [secret, "b"] }),
      await put("repo", { ...GITHUB, secrets: [secret], scope: "body." }),
      await ask(world, "GET", "/webhooks"),
      await ask(world, "GET", "/webhooks/repo"),
      await ask(world, "GET", "/webhooks/repo/failures"),
      await ask(world, "DELETE", "/webhooks/repo"),
    ];
    expect(JSON.stringify(answers.map(({ body }) => body))).not.toContain(secret);
  });

  test("stay when a change leaves them out", async () => {
    const webhook = await putWebhook(world, { provider: "github", secrets: ["one", "two"] });
    const { body } = await put("github", { provider: "github", description: "of the team" });
    expect(body).toMatchObject({ description: "of the team", secretCount: 2 });
    expect((await deliver(webhook, fromGithub("two", {}))).status).toBe(200);
  });

  test("must be given to a new webhook, and to one of another provider", async () => {
    await putWebhook(world, { provider: "github" });
    await expectNoTrace(world, async () => {
      for (const [name, provider] of [
        ["new", "github"],
        ["github", "stripe"],
      ] as const) {
        const asked = await put(name, { provider });
        const { errors } = await expectProblem(asked, "invalid_request", /secrets: is missing/);
        expect(errors?.map(({ path }) => path)).toEqual(["secrets"]);
      }
    });
  });
});

const REFUSED: [webhook: object, path: string, message: RegExp][] = [
  [{ provider: "gitlab" }, "provider", /one of github, stripe/],
  [{ ...GITHUB, secrets: [] }, "secrets", /at least 1 items/],
  [{ ...GITHUB, secrets: ["a", "b", "c", "d"] }, "secrets", /at most 3 items, and has 4/],
  [{ ...GITHUB, secrets: [""] }, "secrets[0]", /must not be empty/],
  [{ ...GITHUB, secret: "one" }, "secret", /is not a field/],
  [{ ...GITHUB, headers: ["a b"] }, "headers[0]", /must be a header's name/],
  [{ ...GITHUB, headers: ["X-Hub-Signature-256"] }, "headers[0]", /verification only/],
  [{ ...GITHUB, toleranceMs: 1_000 }, "toleranceMs", /no time is signed/],
  [{ ...GITHUB, signature: { header: "a" } }, "signature", /of hmac only, not of github/],
  [{ provider: "hmac", secrets: ["a"] }, "signature", /is missing/],
  [{ provider: "basic", secrets: ["a"] }, "secrets[0]", /a colon between/],
  [
    { provider: "hmac", secrets: ["a"], signature: { header: "a", content: "x" } },
    "signature.content",
    /must have \{body\} once/,
  ],
];

test.each(REFUSED)("a webhook %j is refused", async (webhook, path, message) => {
  await expectNoTrace(world, async () => {
    const problem = await expectProblem(await put("some", webhook), "invalid_request", message);
    expect(problem.errors?.map((error) => error.path)).toEqual([path]);
  });
});

test("expressions are checked when they are stored: code, place and excerpt", async () => {
  await expectNoTrace(world, async () => {
    const expressions = { eventKey: '"a:" + bodi.type', scope: "body.team == 1" };
    const asked = await put("some", { ...GITHUB, ...expressions });
    const { errors } = await expectProblem(asked, "invalid_request", /eventKey.*\(and 1 more\)/);
    expect(errors).toMatchObject([
      {
        path: "eventKey",
        code: "unknown_variable",
        position: { line: 1, column: 8 },
        excerpt: '"a:" + bodi.type\n       ^',
      },
      { path: "scope", code: "wrong_result", message: expect.stringContaining("string") },
    ]);
  });
});

test("there are only so many webhooks", async () => {
  await world.sql(
    `insert into v1.webhook (tenant_id, name, definition, secrets, secret_count)
       select $1, 'webhook-' || n, '{"provider": "github"}', '{a}', 1 from generate_series(1, $2::integer) n`,
    [world.tenant, MAX_WEBHOOKS],
  );
  await expectProblem(await put("more", GITHUB), "too_many_webhooks", /1000 webhooks already/);
  expect((await put("webhook-1", GITHUB)).status).toBe(200);
});
