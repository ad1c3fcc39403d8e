/** What holds of many shards: each run is one's alone, and those that are no longer wanted finish and close. */
import type { Check } from "./check.ts";

export const oneRunIsOneShards: Check = {
  name: "a run is one shard's for its whole life",
  find: ({ history, recorded, at }) => {
    const shardOf = new Map(
      recorded.runs.flatMap(({ shard, tasks }) => tasks.map(({ id }) => [id, shard] as const)),
    );
    return history.said.flatMap((said) => {
      const own = shardOf.get(said.task);
      if (said.type !== "task" || own === undefined || own === said.shard) return [];
      const name = history.names.attempt(said);
      return [`${name} is shard${own}'s, and shard${said.shard} gave it at ${at(said.at)}`];
    });
  },
};

export const asManyAsWanted: Check = {
  name: "there are as many shards as were asked for last, and whoever was answered had set that number",
  find: ({ scenario, history, recorded, rest, at }) => {
    if (rest === undefined) return [];
    const { shardsSet, askedForShards } = history;
    const wrong: string[] = [];
    const { count } = shardsSet.at(-1) ?? { count: scenario.shards };
    if (recorded.shardCount !== count) {
      wrong.push(`there are ${recorded.shardCount}, and ${count} were set last`);
    }
    const asked = [{ count: scenario.shards, at: 0, answeredAt: 0 }, ...askedForShards];
    // Of two that wait for their answers at the same time, either may come last; and one may never have come.
    const possible = asked.filter(
      ({ answeredAt: end = Number.POSITIVE_INFINITY }) =>
        !asked.some(({ at: since, answeredAt }) => answeredAt !== undefined && since > end),
    );
    // A call may come twice, and its statement take effect when its caller has gone: then it was set before as well.
    const isAgain = shardsSet.filter((set) => set.count === count).length > 1;
    if (!isAgain && !possible.some((each) => each.count === count)) {
      const counts = possible.map((each) => each.count);
      wrong.push(`${count} were set last, and ${counts.join(" or ")} were asked for`);
    }
    for (const { count: wanted, at: since, answeredAt } of askedForShards) {
      if (answeredAt === undefined) continue;
      const isSet = shardsSet.some(
        (set) => set.count === wanted && set.at >= since && set.at <= answeredAt,
      );
      if (!isSet) wrong.push(`${wanted} were asked for at ${at(since)}, answered, and never set`);
    }
    return wrong;
  },
};

export const shardsClose: Check = {
  name: "shards beyond their number finish what they have, and close",
  find: ({ recorded, rest }) => {
    if (rest === undefined) return [];
    return recorded.shards.flatMap(({ number, isClosed, rows }) => {
      const isWanted = number < recorded.shardCount;
      if (isWanted) return isClosed ? [`shard${number} is closed, and wanted`] : [];
      if (!isClosed) return [`shard${number} is not closed`];
      return rows > 0 ? [`shard${number} is closed and has ${rows} rows`] : [];
    });
  },
};

export const workersFollow: Check = {
  name: "every worker is connected to each shard that is wanted, and to no other",
  find: ({ recorded, rest }) => {
    if (rest === undefined) return [];
    const wanted = Array.from({ length: recorded.shardCount }, (_, number) => number);
    return rest.workers.flatMap((worker) => {
      const own = rest.sockets
        .filter((socket) => socket.worker === worker)
        .map(({ shard }) => shard)
        .toSorted((one, other) => one - other);
      if (own.join() === wanted.join()) return [];
      return [`${worker} is connected to [${own.join()}] of [${wanted.join()}]`];
    });
  },
};
