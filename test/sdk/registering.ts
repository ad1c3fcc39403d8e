/** What one step with some options is registered as, or what refuses it where it is written. */
import { expect } from "vitest";
import { DefinitionError, workflow } from "../../sdk/index.ts";

export const run = (): number => 1;

/** What one step with these options is registered as. */
export function registered(options: object): unknown {
  const order = workflow({ name: "order" });
  order.step("charge", { run, ...options });
  return order.definition().steps[0];
}

/** What the definition of these options says when it is refused. */
export function refusal(options: object): string {
  try {
    registered(options);
  } catch (error) {
    expect(error).toBeInstanceOf(DefinitionError);
    return String(error);
  }
  throw new Error("It was not refused");
}
