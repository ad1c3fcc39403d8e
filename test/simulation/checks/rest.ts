/** Idle costs nothing, nothing is left over, and the product throws at nobody. */
import type { Check } from "./check.ts";

export const idleCostsNothing: Check = {
  name: "idle costs nothing",
  find: ({ rest, at }) => {
    if (rest === undefined) return [];
    const costs: [boolean, string][] = [
      [rest.connections > 0, `${rest.connections} connections to the database are open`],
      [rest.awake.length > 0, `${rest.awake.join(", ")} are in memory`],
      [rest.statements > 0, `shards asked Postgres ${rest.statements} times`],
    ];
    return [
      ...costs.filter(([isSo]) => isSo).map(([, text]) => text),
      ...rest.alarms.map((alarm) => `the alarm of ${alarm.of} is set to ${at(alarm.at)}`),
      ...rest.shards
        .filter(({ deliveries }) => deliveries > 0)
        .map(({ name, deliveries }) => `${name} was woken ${deliveries} times`),
    ];
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
    ];
    const kept = rest.shards.flatMap(({ name, leases, holders }): [boolean, string][] => [
      [leases > 0, `${leases} leases in the storage of ${name}`],
      [holders > 0, `${holders} runs that hold a limit in the storage of ${name}`],
    ]);
    return [...left, ...kept].filter(([isSo]) => isSo).map(([, text]) => text);
  },
};

export const nothingIsThrown: Check = {
  name: "the product makes no mistake of its own",
  find: ({ history }) => history.faults,
};
