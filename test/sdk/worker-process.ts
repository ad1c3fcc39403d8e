/** A worker as a program of its own, for tests that send it signals. Its handler tells when it began. */
import { worker, workflow } from "../../sdk/index.ts";

const order = workflow({ name: "order" });
order.step("charge", {
  run: async (ctx) => {
    while (ctx.step === "blocked"); // Never yields, as a program that computes for minutes.
    await new Promise<void>((resolve) => {
      if (ctx.step === "patient")
        ctx.signal.addEventListener("abort", () => resolve(), { once: true });
      else process.once("message", () => resolve());
      process.send?.("began");
    });
    return ctx.signal.aborted ? "aborted" : "finished";
  },
});

const running = worker({ workflows: [order] });
await running.start();
await running.stopped;
process.disconnect();
