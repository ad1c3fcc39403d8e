/**
 * How the world treats the system at the moment: how late things are, and how often they go wrong.
 * A scenario changes it in place, and everything that is asked afterwards finds it as it is then.
 */

/** The least and the most, in milliseconds; most draws are near the least. */
export type Span = [least: number, most: number];

/** What can become of a statement on its way to the database and back. */
export type StatementTrouble =
  /** The connection goes down before it arrives, or after it took effect. */
  | "cut before"
  | "cut after"
  /** Nobody is told anything any more; it took effect, or it didn't. */
  | "hung before"
  | "hung after"
  /** The connection goes down, and long afterwards the statement takes effect (rule R1). */
  | "zombie"
  /** Postgres answers with an error of the moment. */
  | "passing error";

/** What can become of a call of the HTTP API. */
export type CallTrouble =
  | "lost"
  | "answer lost"
  /** Neither is it done, nor is anything said. */
  | "hung"
  | "repeated"
  /** The edge Worker's isolate dies under it. */
  | "isolate died";

/** What can become of a call of an object. */
export type ObjectTrouble =
  /** The platform refuses it: the object has too many. */
  | "overloaded"
  /** It is done, and the way back breaks. */
  | "answer lost";

/** How probable each trouble is; that nothing goes wrong is the rest. */
export type Troubles<Trouble extends string> = { [Key in Trouble]?: number };

export interface Weather {
  network: { latencyMs: Span; refusals: number };
  database: {
    latencyMs: Span;
    /** Neither can a connection be opened, nor does an open one or HTTP work. */
    isDown: boolean;
    openFailures: number;
    troubles: Troubles<StatementTrouble>;
  };
  api: { latencyMs: Span; troubles: Troubles<CallTrouble> };
  alarms: { lateMs: Span; repeats: number };
  shard: {
    hopMs: Span;
    coldStartMs: Span;
    durableMs: Span;
    troubles: Troubles<ObjectTrouble>;
  };
}

/** A good day: what the promises about time are made for. */
export function calmWeather(): Weather {
  return {
    network: { latencyMs: [1, 5], refusals: 0 },
    database: { latencyMs: [1, 5], isDown: false, openFailures: 0, troubles: {} },
    api: { latencyMs: [1, 5], troubles: {} },
    alarms: { lateMs: [0, 20], repeats: 0 },
    shard: { hopMs: [0, 3], coldStartMs: [2, 30], durableMs: [0, 6], troubles: {} },
  };
}
