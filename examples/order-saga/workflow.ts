/** An order as a saga: what has been done is undone when a later step can't be. */
import { NonRetryableError, RetryAfterError, workflow } from "@skein/sdk";
import { z } from "zod";

export const order = workflow({
  name: "order-saga",
  description: "Reserves, charges and ships; undoes both when it can't ship",
  input: z.object({ item: z.string(), to: z.string() }),
});

const reserve = order.step("reserve", {
  run: (ctx) => ({ shelf: `shelf of ${ctx.input.item}s` }),
  compensate: (ctx, { shelf }) => ctx.log.info(`put back on the ${shelf}`),
});

const charge = order.step("charge", {
  parents: [reserve],
  timeout: "10s",
  retries: 3,
  run: (ctx) => {
    // A bank that is busy at first, so that there is something to try again.
    if (ctx.attempt === 1) throw new RetryAfterError("The bank is busy", { retryAfter: "500ms" });
    return { payment: "30 euros" };
  },
  compensate: {
    retries: 10, // A refund that fails leaves somebody without their money.
    run: (ctx, { payment }) => ctx.log.info(`gave back ${payment}`),
  },
});

const ship = order.step("ship", {
  parents: [charge],
  run: (ctx) => {
    // Another attempt would find the moon as far away.
    if (ctx.input.to === "the moon") throw new NonRetryableError("Nobody delivers to the moon");
    return { parcel: `${ctx.input.item} to ${ctx.input.to}` };
  },
});

order.onFailure({
  run: (ctx) => {
    for (const { step, error } of ctx.failures) ctx.log.warn(`${step}: ${error.message}`);
  },
});

/** Whoever places an order gets the parcel. */
export const placeOrder = order.returns(ship);
