/**
 * The three customers, and what they want of the provider. They pay for shares of 1, 2 and 4, and ask in
 * ways that have nothing to do with it: many requests or few, long prompts or long answers.
 */
import type { StartItem } from "@skein/sdk";
import type { CompletionInput } from "./workflows.ts";

export interface Customer {
  name: string;
  plan: CompletionInput["plan"];
  /** Its share beside the others, as its plan says. */
  weight: number;
  /** Of each ten tasks, so many are its. */
  ofTen: number;
  /** Tokens of a request, give or take 30 %. */
  promptTokens: number;
  maxTokens: number;
}

/** With these, each customer's tokens in all are in proportion to its weight: all have work to the end. */
export const CUSTOMERS: readonly Customer[] = [
  // Sorts long letters: reads much and says little.
  { name: "Bronze Bank", plan: "bronze", weight: 1, ofTen: 2, promptTokens: 390, maxTokens: 100 },
  // Writes articles: a short order, a long text.
  {
    name: "Silver Press",
    plan: "silver",
    weight: 2,
    ofTen: 2,
    promptTokens: 100,
    maxTokens: 1_333,
  },
  // Chats, all day long.
  { name: "Gold Games", plan: "gold", weight: 4, ofTen: 6, promptTokens: 60, maxTokens: 900 },
];

const CHARACTERS_PER_TOKEN = 4;

/** So many tasks, those of all customers mixed; the same each time. A multiple of ten. */
export function tasksOf(count: number): StartItem<CompletionInput>[] {
  const ten = CUSTOMERS.flatMap((customer) => Array<Customer>(customer.ofTen).fill(customer));
  return Array.from({ length: count }, (_, index) => ({
    input: requestOf(ten[index % ten.length] as Customer, index),
  }));
}

function requestOf(
  { name, plan, promptTokens, maxTokens }: Customer,
  index: number,
): CompletionInput {
  // Steps of the golden ratio: spread evenly, without a pattern that any customer would fall into.
  const scale = 0.7 + 0.6 * ((index * 0.618_034) % 1);
  const length = Math.round(promptTokens * scale) * CHARACTERS_PER_TOKEN;
  return {
    customer: name,
    plan,
    prompt: `Task ${index} of ${name}. `.padEnd(length, "Lorem ipsum dolor sit amet. "),
    maxTokens: Math.round(maxTokens * scale),
  };
}
