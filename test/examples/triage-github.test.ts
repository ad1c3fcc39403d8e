/** The demonstration's GitHub signs as the real one does, and what it sends starts what it should. */
import { expect, test } from "vitest";
import { readDeliveries } from "../../examples/github-triage/deliveries.ts";
import { GITHUB_WEBHOOK, signDelivery } from "../../examples/github-triage/github.ts";
import { TEXT_KINDS } from "../../examples/github-triage/text.ts";
import { githubDigest, githubTriage } from "../../examples/github-triage/workflows.ts";
import type { PublishEvent } from "../../protocol/http.ts";
import { newId } from "../../protocol/ids.ts";
import { FilterSet } from "../../workers/matching/filter-set.ts";
import { compileTriggers, matchEvent } from "../../workers/matching/match-event.ts";
import { eventOf } from "../../workers/webhooks/delivery-event.ts";
import { withDefaults } from "../../workers/webhooks/providers.ts";
import { filterRow } from "../support/filter-row.ts";
import { encode } from "../../workers/webhooks/signatures.ts";
import { verify } from "../../workers/webhooks/verify.ts";

const deliveries = readDeliveries();
const definition = withDefaults("github", GITHUB_WEBHOOK);

/** The events that a round of deliveries becomes. */
function eventsOf(round: number): Promise<PublishEvent[]> {
  return Promise.all(
    deliveries.map((delivery) => {
      const { headers, body } = signDelivery(delivery, round, "one");
      const said = { headers: new Headers(headers), body: JSON.parse(body) };
      return eventOf({ webhook: "github", definition, fingerprint: undefined, ...said });
    }),
  );
}

test("every real delivery is verified with the secret it was signed with, and no other", async () => {
  for (const delivery of deliveries) {
    const { headers, body } = signDelivery(delivery, 1, "one");
    const sent = { headers: new Headers(headers), body: encode(body) };
    const judge = (secret: string) => verify({ definition, secrets: [secret] }, sent, 0);
    expect(await judge("one"), delivery.name).toMatchObject({ isVerified: true });
    expect(await judge("two"), delivery.name).toMatchObject({ code: "wrong_signature" });
  }
});

test("every kind of delivery starts one of the two workflows by its filter, and only one", async () => {
  const listeners = [githubTriage, githubDigest].map((workflow) => {
    const { name, events = [], filters = [] } = workflow.definition();
    const rows = filters.map(({ expression, ...rest }) => filterRow(expression, rest));
    return { name, events, filterSets: [new FilterSet(rows)] };
  });
  const triggers = compileTriggers(listeners);
  const kinds = { "github-triage": new Set<string>(), "github-digest": new Set<string>() };
  for (const { key, payload = null, metadata = {} } of await eventsOf(1)) {
    const event = { id: newId(), key, payload, metadata };
    const { starts, failures } = matchEvent(event, triggers);
    expect(failures).toEqual([]);
    expect(starts, key).toHaveLength(1);
    kinds[starts[0]?.listener.name as keyof typeof kinds].add(key);
  }
  expect([...kinds["github-triage"]].toSorted()).toEqual(
    TEXT_KINDS.map((kind) => `github:${kind}`).toSorted(),
  );
  expect(kinds["github-digest"].size).toBe(58 - TEXT_KINDS.length);
});

test("a delivery is another event in each round, and the same one when it is sent again", async () => {
  const idsOf = async (round: number) =>
    (await eventsOf(round)).map(({ idempotencyKey }) => idempotencyKey);
  expect(await idsOf(1)).toEqual(await idsOf(1));
  expect(new Set([...(await idsOf(1)), ...(await idsOf(2))]).size).toBe(2 * deliveries.length);
});
