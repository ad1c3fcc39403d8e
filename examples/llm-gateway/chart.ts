/**
 * A small chart in characters: what each customer used of the provider over time, one upon the other,
 * beside what the provider allows. Pure: it makes lines, and prints nothing.
 */
import type { Books } from "./books.ts";

/** One customer's place in the chart, from below. */
export interface Layer {
  name: string;
  mark: string;
}

const ROWS = 9;
/** Of these, as many as the provider allows. */
const BUDGET_ROWS = 7;
const LABEL_COLUMNS = 8;

export function drawChart(books: Books, layers: readonly Layer[], columns: number): string[] {
  const perSecond = books.limits.tokens.perMinute / 60;
  const slices = sliced(books, layers, columns - LABEL_COLUMNS - 2);
  const rows = Array.from({ length: ROWS }, (_, index) => ROWS - 1 - index);
  const lines = rows.map((row) => {
    const isBudget = row === BUDGET_ROWS - 1;
    const label = isBudget ? thousands(perSecond) : row === 0 ? "0" : "";
    const cells = slices.tokensPerSecond.map((stack) => cellOf(stack, row, perSecond, layers));
    return `${label.padStart(LABEL_COLUMNS)} ${isBudget ? "┼" : "│"}${cells.join("")}`;
  });
  const seconds = `${Math.round(slices.seconds)} s`;
  const axis = `0 s${seconds.padStart(slices.tokensPerSecond.length - "0 s".length)}`;
  return [...lines, `${" ".repeat(LABEL_COLUMNS + 2)}${axis}`];
}

/** Tokens a second of each layer, by the moment of their answer, in so many slices of the whole time. */
function sliced(
  { entries }: Books,
  layers: readonly Layer[],
  count: number,
): { seconds: number; tokensPerSecond: number[][] } {
  const firstMs = entries[0]?.arrivedMs ?? 0;
  const lastMs = Math.max(...entries.map(({ answeredMs }) => answeredMs ?? firstMs), firstMs + 1);
  const sliceMs = (lastMs - firstMs) / count;
  const tokensPerSecond = Array.from({ length: count }, () => layers.map(() => 0));
  for (const { customer, answeredMs, usedTokens } of entries) {
    if (answeredMs === null || usedTokens === null) continue;
    const slice = Math.min(count - 1, Math.floor((answeredMs - firstMs) / sliceMs));
    const layer = layers.findIndex(({ name }) => name === customer);
    const stack = tokensPerSecond[slice];
    if (stack?.[layer] !== undefined) stack[layer] += usedTokens / (sliceMs / 1_000);
  }
  return { seconds: (lastMs - firstMs) / 1_000, tokensPerSecond };
}

/** The mark of the layer that the middle of the cell lies in. */
function cellOf(
  stack: readonly number[],
  row: number,
  perSecond: number,
  layers: readonly Layer[],
): string {
  const height = ((row + 0.5) / BUDGET_ROWS) * perSecond;
  let top = 0;
  for (const [index, tokens] of stack.entries()) {
    top += tokens;
    if (height < top) return layers[index]?.mark ?? "?";
  }
  return row === BUDGET_ROWS - 1 ? "·" : " ";
}

function thousands(count: number): string {
  return `${(count / 1_000).toFixed(1)}k/s`;
}
