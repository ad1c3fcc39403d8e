/** Idle costs nothing, nothing is left over, and the product throws at nobody. */
import type { Check } from "./check.ts";

export const idleCostsNothing: Check = {
  name: "idle costs nothing",
  find: ({ rest, at }) => {
    if (rest === undefined) return [];
    const costs: [boolean, string][] = [
      [rest.connections > 0, `${rest.connections} connections to the database are open`],
      [rest.alarm !== undefined, `the alarm is set to ${at(rest.alarm ?? 0)}`],
      [rest.isAwake, "the shard is in memory"],
      [rest.deliveries > 0, `the shard was woken ${rest.deliveries} times`],
      [rest.statements > 0, `the shard asked Postgres ${rest.statements} times`],
    ];
    return costs.filter(([isSo]) => isSo).map(([, text]) => text);
  },
};

export const nothingIsLeftOver: Check = {
  name: "nothing is left over",
  find: ({ rest, recorded }) => {
    if (rest === undefined) return [];
    const { handouts, queued, timers, matches } = recorded;
    const left: [boolean, string][] = [
      [handouts > 0, `${handouts} handouts`],
      [queued > 0, `${queued} queued tasks`],
      [timers > 0, `${timers} timers`],
      [matches > 0, `${matches} events that runs wait for`],
      [rest.leases > 0, `${rest.leases} leases in the shard's storage`],
      [rest.holders > 0, `${rest.holders} runs that hold a limit in the shard's storage`],
    ];
    return left.filter(([isSo]) => isSo).map(([, text]) => text);
  },
};

export const nothingIsThrown: Check = {
  name: "the product makes no mistake of its own",
  find: ({ history }) => history.faults,
};
