/**
 * The two workflows. Both listen to everything that GitHub sends, and their filters say which of them a
 * delivery starts: `github-triage`, a diamond, if it carries text, else `github-digest`. Each step ends by writing one effect into the book, the outside world of
 * this demonstration, so that it can be counted how often what happened.
 */
import { workflow } from "@skein/sdk";
import { compareWithSeen, countKind, recordEffect } from "./book-client.ts";
import { kindOf } from "./deliveries.ts";
import { estimateEffort } from "./effort.ts";
import { writeReport } from "./report.ts";
import { summarise } from "./summary.ts";
import { deliverySchema, extractText, TEXT_KINDS } from "./text.ts";
import { labelTopics } from "./topics.ts";

const EVENTS = ["github:*"];
/** Keys of deliveries that carry text: what the filters go by. */
const withText = TEXT_KINDS.map((kind) => `github:${kind}`);

const triage = workflow({
  name: "github-triage",
  description: "Labels a delivery's text, finds its near-duplicates and estimates its effort",
  input: deliverySchema,
  on: { events: EVENTS },
  filters: [{ expression: "event.key in payload", payload: withText }],
});

const extract = triage.step("extract", {
  timeout: "10s",
  run: async (ctx) => {
    const text = extractText(kindOf(ctx.metadata), ctx.input);
    await recordEffect(ctx);
    return text;
  },
});

const label = triage.step("label", {
  parents: [extract],
  timeout: "10s",
  run: async (ctx) => {
    const { title, body } = ctx.parents.extract;
    const topics = labelTopics(title, body);
    await recordEffect(ctx);
    return topics;
  },
});

const duplicates = triage.step("duplicates", {
  parents: [extract],
  timeout: "10s",
  run: async (ctx) => {
    const compared = await compareWithSeen(ctx, ctx.parents.extract);
    await recordEffect(ctx);
    return compared;
  },
});

const effort = triage.step("effort", {
  parents: [extract],
  timeout: "10s",
  run: async (ctx) => {
    const { title, body, diff } = ctx.parents.extract;
    const estimate = estimateEffort(diff, `${title} ${body}`);
    await recordEffect(ctx);
    return estimate;
  },
});

const report = triage.step("report", {
  // A step sees the outputs of the parents it names, so the text is named beside the three answers.
  parents: [extract, label, duplicates, effort],
  timeout: "10s",
  run: async (ctx) => {
    const { extract: text, label: topics, duplicates: found, effort: estimate } = ctx.parents;
    const written = writeReport(ctx.metadata, text, topics, found, estimate);
    await recordEffect(ctx);
    return written;
  },
});

/** For every kind of delivery that carries text; its result is the triage report. */
export const githubTriage = triage.returns(report);

const digest = workflow({
  name: "github-digest",
  description: "Says a delivery in one sentence and counts its kind",
  input: deliverySchema,
  on: { events: EVENTS },
  filters: [{ expression: "!(event.key in payload)", payload: withText }],
});

const summary = digest.step("summarise", {
  timeout: "10s",
  run: async (ctx) => {
    const sentence = summarise(kindOf(ctx.metadata), ctx.input);
    await recordEffect(ctx);
    return { sentence };
  },
});

const count = digest.step("count", {
  parents: [summary],
  timeout: "10s",
  run: async (ctx) => {
    const number = await countKind(ctx);
    await recordEffect(ctx);
    return { sentence: ctx.parents.summarise.sentence, number };
  },
});

/** For all other kinds. */
export const githubDigest = digest.returns(count);
