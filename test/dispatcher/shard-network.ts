/** What is between shards: messages are cloned, late, lost, and come again. */
import type { Peer } from "../../durable-objects/shard-peers.ts";
import type { Random } from "../simulation/random.ts";

export interface Trouble {
  /** How likely it is that a message, or its answer, is lost, comes again, or is late. */
  lost: number;
  repeated: number;
  lateMs: number;
}

export const NO_TROUBLE: Trouble = { lost: 0, repeated: 0, lateMs: 5 };

/** What the network needs of the world around it. */
export interface NetworkParts {
  random: Random;
  trouble: () => Trouble;
  later: (ms: number, run: () => void) => void;
  /** Whether the life that calls is still there. */
  isAlive: () => boolean;
  /** Whether no message goes between the two. */
  isCut: () => boolean;
  /** Told of every call that is tried. */
  say: (method: string, parameter: unknown) => void;
  /** Has the shard answer, if there is one. */
  answer: (method: string, parameter: unknown) => { answer: unknown } | undefined;
}

export function peerThrough({
  random,
  trouble,
  later,
  isAlive,
  isCut,
  say,
  answer,
}: NetworkParts): Peer {
  const call = (method: string, parameter: unknown): Promise<never> => {
    const { promise, resolve, reject } = Promise.withResolvers<never>();
    const { lost, repeated, lateMs } = trouble();
    say(method, parameter);
    // A life that has ended hears nothing.
    const lose = (): void => {
      if (isAlive()) reject(new Error("The shard did not answer"));
    };
    const deliver = (): { answer: unknown } | undefined =>
      structuredClone(answer(method, structuredClone(parameter)));
    later(random.skewed(1, lateMs), () => {
      if (isCut() || random.chance(lost)) return later(10, lose);
      const answered = deliver();
      if (answered === undefined) return later(5, lose);
      later(random.skewed(1, lateMs), () => {
        if (isCut() || random.chance(lost)) return lose();
        if (isAlive()) resolve(answered.answer as never);
      });
      if (random.chance(repeated)) {
        later(random.between(1, lateMs * 50), () => void (isCut() || deliver()));
      }
    });
    return promise;
  };
  return {
    nudge: () => Promise.resolve(),
    heedShards: () => Promise.resolve(),
    hearReports: () => Promise.resolve([]),
    hearUses: (from, questions) => call("hearUses", [from, questions]),
    hearHeld: (ids) => call("hearHeld", [ids]),
    hearServing: (questions) => call("hearServing", [questions]),
    hearBorrow: (parameter) => call("hearBorrow", parameter),
    hearLend: (parameter) => call("hearLend", parameter),
    hearGather: (parameter) => call("hearGather", parameter),
  };
}
