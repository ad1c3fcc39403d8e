/** Judges the gateway by the provider's books, and by nothing that Skein says of itself. Pure. */
import type { Check } from "../stage/promises.ts";
import type { Books } from "./books.ts";
import { budgetUsed, countCustomers, steadyState, type Weighted } from "./figures.ts";

export interface Evidence {
  books: Books;
  customers: readonly Weighted[];
  /** How many there were to do. */
  tasks: number;
}

/** The least part of the token budget that is used. */
const MIN_BUDGET_USED = 0.95;

/** How far a customer's share may be from what its weight says, in parts of that. */
const MAX_SHARE_ERROR = 0.05;

/** A shorter steady state proves nothing: a single request would weigh too much. */
const MIN_STEADY_MS = 8_000;

export function checkPromises(evidence: Evidence): Check[] {
  return [
    {
      // From the very beginning: a gateway that knows the limits has no reason to learn them.
      promise: "The provider never had to say 429, from the first request to the last.",
      breaches: refusals(evidence),
    },
    {
      promise: "At least 95 % of the provider's token budget was used, while there was work.",
      breaches: unusedBudget(evidence),
    },
    {
      promise: "Each customer's share of the tokens was within 5 % of its weight.",
      breaches: unfairShares(evidence),
    },
    { promise: "Every task was answered, once.", breaches: unanswered(evidence) },
  ];
}

function refusals({ books }: Evidence): string[] {
  return books.entries
    .filter(({ status }) => status === 429)
    .map(({ customer, arrivedMs }) => `${customer} was refused after ${seconds(arrivedMs)} s`);
}

function unusedBudget({ books, customers }: Evidence): string[] {
  const { fromMs, toMs } = steadyState(books, customers);
  if (toMs - fromMs < MIN_STEADY_MS) {
    return [`the steady state lasted ${seconds(toMs - fromMs)} s: too short to say`];
  }
  const used = budgetUsed(books, customers);
  return used >= MIN_BUDGET_USED ? [] : [`${percent(used)} were used`];
}

function unfairShares({ books, customers }: Evidence): string[] {
  return countCustomers(books, customers)
    .filter(({ share, wantedShare }) => Math.abs(share / wantedShare - 1) > MAX_SHARE_ERROR)
    .map(({ name, share, wantedShare }) => {
      return `${name} had ${percent(share)} instead of ${percent(wantedShare)}`;
    });
}

function unanswered({ books, tasks }: Evidence): string[] {
  const answered = books.entries.filter(({ answeredMs }) => answeredMs !== null);
  const different = new Set(answered.map(({ prompt }) => prompt)).size;
  if (answered.length === tasks && different === tasks) return [];
  return [`${tasks} tasks had ${answered.length} answers, ${different} different ones`];
}

function percent(part: number): string {
  return `${(part * 100).toFixed(1)} %`;
}

function seconds(ms: number): string {
  return (ms / 1_000).toFixed(1);
}
