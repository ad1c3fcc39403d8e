/** A greeting in two steps: the second needs what the first one made. */
import { workflow } from "@skein/sdk";
import { z } from "zod";

export const hello = workflow({
  name: "hello",
  description: "Greets somebody",
  input: z.object({ name: z.string().min(1) }),
  on: { events: ["guest:arrived"] },
});

const compose = hello.step("compose", {
  run: (ctx) => {
    ctx.log.info("composing", { name: ctx.input.name });
    return { greeting: `Hello, ${ctx.input.name}` };
  },
});

const emphasize = hello.step("emphasize", {
  parents: [compose],
  timeout: "10s",
  run: (ctx) => ({ greeting: `${ctx.parents.compose.greeting}!` }),
});

/** Whoever runs it gets the last step's output. */
export const greet = hello.returns(emphasize);
