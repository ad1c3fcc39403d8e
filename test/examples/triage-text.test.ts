/** The pure parts of the triage demonstration, on the real deliveries it publishes. */
import { expect, test } from "vitest";
import { readDeliveries } from "../../examples/github-triage/deliveries.ts";
import { estimateEffort } from "../../examples/github-triage/effort.ts";
import { summarise } from "../../examples/github-triage/summary.ts";
import {
  type Delivery,
  deliverySchema,
  type ExtractedText,
  extractText,
  TEXT_KINDS,
} from "../../examples/github-triage/text.ts";
import { labelTopics } from "../../examples/github-triage/topics.ts";

const deliveries = readDeliveries();

function payloadOf(name: string): Delivery {
  const delivery = deliveries.find((candidate) => candidate.name === name);
  return deliverySchema.parse(delivery?.payload);
}

function textOf(name: string): ExtractedText {
  return extractText(name.split("/")[0] ?? "", payloadOf(name));
}

test("there are 329 real deliveries of 58 kinds, each with a name of its own", () => {
  expect(deliveries).toHaveLength(329);
  expect(new Set(deliveries.map(({ kind }) => kind)).size).toBe(58);
  expect(new Set(deliveries.map(({ name }) => name)).size).toBe(329);
});

test("every delivery fits the schema that both workflows check it with", () => {
  const refused = deliveries.filter(({ payload }) => !deliverySchema.safeParse(payload).success);
  expect(refused.map(({ name }) => name)).toEqual([]);
});

test("every delivery of a kind with text names its subject and its author", () => {
  const texts = deliveries.filter(({ kind }) => TEXT_KINDS.includes(kind));
  expect(texts.length).toBeGreaterThan(140);
  for (const { name } of texts) {
    const { subject, author } = textOf(name);
    expect(subject, name).toMatch(/^[\w./#-]+$/);
    expect(author, name).not.toBe("");
  }
});

test("an issue's text is its title and body, about the issue itself", () => {
  expect(textOf("issues/15")).toEqual({
    subject: "Codertocat/Hello-World/issues/1",
    title: "Spelling error in the README file",
    body: "It looks like you accidently spelled 'commit' with two 't's.",
    author: "Codertocat",
    diff: null,
  });
});

test("a comment's text is the comment, under the title of what it comments on", () => {
  expect(textOf("issue_comment/0")).toMatchObject({
    title: "Spelling error in the README file",
    body: "You are totally right! I'll get this fixed right away.",
  });
  expect(textOf("pull_request_review_thread/1").body).toBe(
    "Maybe you should use more emoji on this line.",
  );
});

test("a push's text is its commits' messages, and its diff the files of the last one", () => {
  expect(textOf("push/4")).toMatchObject({
    title: "master",
    body: "Initial commit",
    diff: { additions: null, files: 1 },
  });
  expect(textOf("push/1")).toMatchObject({ body: "", diff: { files: 0 } });
});

test("a spelling error in a README is a matter of documentation, then a bug", () => {
  const { title, body } = textOf("issues/15");
  const labels = labelTopics(title, body);
  expect(labels.map(({ topic }) => topic)).toEqual(["documentation", "bug"]);
  expect(labels[0]?.words).toContain("readme");
});

test("an advisory about a vulnerability is a matter of security", () => {
  for (const name of ["security_advisory/0", "security_advisory/2", "dependabot_alert/1"]) {
    const { title, body } = textOf(name);
    const topics = labelTopics(title, body).map(({ topic }) => topic);
    expect(topics, name).toContain("security");
  }
});

test("a text without any topic's words gets no label", () => {
  expect(labelTopics("", "")).toEqual([]);
  expect(labelTopics("ANSWER 42", "sup")).toEqual([
    { topic: "question", score: 2, words: ["answer"] },
  ]);
  expect(labelTopics("lorem ipsum", "dolor sit amet")).toEqual([]);
});

test("effort comes from the diff where there is one, else from the text", () => {
  const pull = textOf("pull_request/0");
  expect(estimateEffort(pull.diff, pull.body)).toEqual({
    size: "S",
    minutes: 8,
    basis: "diff: +1 −1 in 1 file",
  });
  const issue = textOf("issues/15");
  expect(estimateEffort(issue.diff, `${issue.title} ${issue.body}`)).toMatchObject({
    size: "XS",
    basis: expect.stringMatching(/^text: \d+ words$/),
  });
});

test("effort grows with the diff", () => {
  const minutes = [1, 100, 1_000].map(
    (additions) => estimateEffort({ additions, deletions: 0, files: 2 }, "").minutes,
  );
  expect(minutes).toEqual(minutes.toSorted((a, b) => a - b));
  expect(estimateEffort({ additions: 9_000, deletions: 0, files: 90 }, "").size).toBe("XL");
});

test("a delivery without text is said in one sentence", () => {
  expect(summarise("star", payloadOf("star/0"))).toBe(
    "Codertocat: star created in Codertocat/Hello-World",
  );
  for (const { kind, name } of deliveries) {
    expect(summarise(kind, payloadOf(name)), name).toMatch(/^\S+: [a-z0-9 -]+/);
  }
});
