/**
 * The session of Skein's own worker, which executes what Skein does itself: it is there in each life of a
 * shard, with the same id, so that attempts go on over the shard's sleep and death.
 */
import { OWN_ACTIONS } from "../../protocol/own-workflows.ts";
import type { SessionRecord } from "./roster.ts";

/** Attempts that it has at once: each may wait for somebody's endpoint. */
const SLOTS = 50;

export const OWN_SESSION: SessionRecord = {
  id: "skein",
  worker: "skein",
  slots: SLOTS,
  actions: OWN_ACTIONS,
  versions: [],
  heartbeatLimitMs: Number.POSITIVE_INFINITY,
  resumeGraceMs: Number.POSITIVE_INFINITY,
  isPaused: false,
  askedPause: undefined,
  isDraining: false,
  labels: {},
  connectedAt: 0,
  closedAt: undefined,
};
