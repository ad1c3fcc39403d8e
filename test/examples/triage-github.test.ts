/** The demonstration's GitHub signs as the real one does, and what it sends starts what it should. */
import { expect, test } from "vitest";
import { readDeliveries } from "../../examples/github-triage/deliveries.ts";
import { GITHUB_WEBHOOK, signDelivery } from "../../examples/github-triage/github.ts";
import { githubDigest, githubTriage } from "../../examples/github-triage/workflows.ts";
import type { PublishEvent } from "../../protocol/http.ts";
import { eventOf } from "../../workers/webhooks/delivery-event.ts";
import { withDefaults } from "../../workers/webhooks/providers.ts";
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

test("every kind of delivery starts one of the two workflows, and only one", async () => {
  const triaged = githubTriage.definition().events ?? [];
  const digested = githubDigest.definition().events ?? [];
  const keys = new Set((await eventsOf(1)).map(({ key }) => key));
  expect(new Set([...triaged, ...digested])).toEqual(keys);
  expect(triaged.length + digested.length).toBe(58);
});

test("a delivery is another event in each round, and the same one when it is sent again", async () => {
  const idsOf = async (round: number) =>
    (await eventsOf(round)).map(({ idempotencyKey }) => idempotencyKey);
  expect(await idsOf(1)).toEqual(await idsOf(1));
  expect(new Set([...(await idsOf(1)), ...(await idsOf(2))]).size).toBe(2 * deliveries.length);
});
