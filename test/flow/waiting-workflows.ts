/** A workflow whose steps are skipped, cancelled and kept waiting as its input says. */
import { z } from "zod";
import { workflow } from "../../sdk/index.ts";

export const parcel = workflow({
  name: "parcel",
  input: z.object({ id: z.string(), isGift: z.boolean(), isFraud: z.boolean() }),
});

const pay = parcel.step("pay", { run: ({ input }) => ({ charge: `charge-${input.id}` }) });

const wrap = parcel.step("wrap", {
  parents: [pay],
  runIf: "input.isGift",
  cancelIf: "input.isFraud",
  run: () => "wrapped",
});

const ship = parcel.step("ship", {
  parents: [pay, wrap],
  waitFor: {
    any: [
      { event: "parcel:paid", if: "event.payload.charge == parents.pay.charge", within: "1h" },
      { sleep: "30d" },
    ],
  },
  run: ({ parents, waited }) => ({
    wrapping: parents.wrap ?? "none",
    paid: waited?.met.map(({ event }) => event?.payload ?? null) ?? [],
  }),
});

const tell = parcel.step("tell", {
  parents: [ship],
  waitFor: { event: "parcel:never", timeout: 1, onTimeout: "continue" },
  run: ({ parents, waited }) => ({ ...parents.ship, isMet: waited?.isMet }),
});

export const parcels = parcel.returns(tell);
