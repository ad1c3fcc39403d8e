/** A shard calls the others where they are: a name is another object's outside of its jurisdiction. */
import { expect, test } from "vitest";
import { type Peer, peersWithin } from "../../durable-objects/shard-peers.ts";

const called: string[] = [];

function namespace(within: string): { getByName(name: string): Peer } {
  return {
    getByName: (name) => {
      called.push(`${within}: ${name}`);
      return {} as Peer;
    },
  };
}

const DISPATCHER = { ...namespace("anywhere"), jurisdiction: (name: string) => namespace(name) };

test("within its own jurisdiction, if it has one", () => {
  peersWithin({ DISPATCHER }, "eu").getByName("tenant/1");
  peersWithin({ DISPATCHER }, undefined).getByName("tenant/2");
  expect(called).toEqual(["eu: tenant/1", "anywhere: tenant/2"]);
});
