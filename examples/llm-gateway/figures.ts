/** Counts what the provider's books say, for the judgement, the table and the chart. Pure arithmetic. */
import type { Books, Entry } from "./books.ts";

/** A customer as far as it is counted. */
export interface Weighted {
  name: string;
  weight: number;
}

/**
 * A stretch of the provider's time in which all customers had work. It begins when the full buckets of the
 * beginning are spent, and ends when the first customer has nothing more to ask.
 */
export interface SteadyState {
  fromMs: number;
  toMs: number;
}

export interface CustomerFigures extends Weighted {
  /** In the steady state. */
  requests: number;
  tokens: number;
  /** Of all tokens of the steady state, from 0 to 1: what it had, and what its weight says. */
  share: number;
  wantedShare: number;
  /** From the first request of all to the arrival of its own. */
  medianWaitMs: number;
}

/** Milliseconds after the first request in which what had been saved up is spent. */
const WARM_UP_MS = 5_000;

export function steadyState({ entries }: Books, customers: readonly Weighted[]): SteadyState {
  const arrivals = customers.map(({ name }) => arrivalsOf(entries, name));
  const first = Math.min(...arrivals.map((ofOne) => ofOne.at(0) ?? 0));
  const last = Math.min(...arrivals.map((ofOne) => ofOne.at(-1) ?? 0));
  return { fromMs: first + WARM_UP_MS, toMs: Math.max(first + WARM_UP_MS, last) };
}

export function countCustomers(books: Books, customers: readonly Weighted[]): CustomerFigures[] {
  const { fromMs, toMs } = steadyState(books, customers);
  const steady = books.entries.filter(({ arrivedMs }) => arrivedMs >= fromMs && arrivedMs < toMs);
  const all = tokensOf(steady);
  const weights = customers.reduce((sum, { weight }) => sum + weight, 0);
  const first = books.entries[0]?.arrivedMs ?? 0;
  return customers.map(({ name, weight }) => {
    const own = steady.filter(({ customer }) => customer === name);
    const tokens = tokensOf(own);
    return {
      name,
      weight,
      requests: own.length,
      tokens,
      share: all === 0 ? 0 : tokens / all,
      wantedShare: weight / weights,
      medianWaitMs: median(arrivalsOf(books.entries, name)) - first,
    };
  });
}

/** The part of what the provider allowed in the steady state that was used, from 0 to 1. */
export function budgetUsed(books: Books, customers: readonly Weighted[]): number {
  const { fromMs, toMs } = steadyState(books, customers);
  const allowed = (books.limits.tokens.perMinute * (toMs - fromMs)) / 60_000;
  const used = countCustomers(books, customers).reduce((sum, { tokens }) => sum + tokens, 0);
  return allowed === 0 ? 0 : used / allowed;
}

function tokensOf(entries: readonly Entry[]): number {
  return entries.reduce((sum, { usedTokens }) => sum + (usedTokens ?? 0), 0);
}

function arrivalsOf(entries: readonly Entry[], name: string): number[] {
  return entries.filter(({ customer }) => customer === name).map(({ arrivedMs }) => arrivedMs);
}

function median(sorted: readonly number[]): number {
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
