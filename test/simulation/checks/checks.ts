/** Every promise that a simulation is held to. Add a check to its file, and here. */
import {
  answersAreTrue,
  attemptsHaveNoGaps,
  noAttemptRunsTwice,
  noTokenIsGivenTwice,
  nothingNewerRan,
  onlyOverrunsTimeOut,
  resultsAreReal,
  standingEffectsAreRecorded,
} from "./attempts.ts";
import type { Check, Evidence } from "./check.ts";
import {
  cancellationsHold,
  failedRunsUnwind,
  nothingRunsOn,
  oneKeyIsOneChild,
  onlyFailedRunsUnwind,
  retriesAreCounted,
  retriesWait,
  waitingHandlersAreToldTheTruth,
} from "./failure.ts";
import { eventsInTimeCount, skipsAreAsPlanned, waitsAreKept } from "./gates.ts";
import { limitsAreKept, ratesAreKept, tasksGoWhereTheyMay } from "./limits.ts";
import { linesAreTheirAttempts } from "./logs.ts";
import {
  delaysAreKept,
  onlyTheDoomedAreCancelled,
  parentsComeFirst,
  runsEndAsTheirTasks,
} from "./order.ts";
import {
  clientsAreToldTheTruth,
  everyClientIsAnswered,
  everyRunEnds,
  historyIsImmutable,
  nothingAcceptedIsLost,
  oneWishIsOneRun,
} from "./promises.ts";
import { idleCostsNothing, nothingIsLeftOver, nothingIsThrown } from "./rest.ts";
import { asManyAsWanted, oneRunIsOneShards, shardsClose, workersFollow } from "./shards.ts";
import { slotsAreKept, tasksAreRescuedInTime, zombiesAreTold } from "./workers.ts";

export const CHECKS: readonly Check[] = [
  nothingIsThrown,
  nothingAcceptedIsLost,
  oneWishIsOneRun,
  everyRunEnds,
  everyClientIsAnswered,
  clientsAreToldTheTruth,
  historyIsImmutable,
  noAttemptRunsTwice,
  noTokenIsGivenTwice,
  attemptsHaveNoGaps,
  resultsAreReal,
  onlyOverrunsTimeOut,
  nothingNewerRan,
  standingEffectsAreRecorded,
  answersAreTrue,
  parentsComeFirst,
  delaysAreKept,
  runsEndAsTheirTasks,
  onlyTheDoomedAreCancelled,
  skipsAreAsPlanned,
  waitsAreKept,
  eventsInTimeCount,
  retriesAreCounted,
  retriesWait,
  failedRunsUnwind,
  onlyFailedRunsUnwind,
  oneKeyIsOneChild,
  waitingHandlersAreToldTheTruth,
  cancellationsHold,
  nothingRunsOn,
  limitsAreKept,
  ratesAreKept,
  tasksGoWhereTheyMay,
  slotsAreKept,
  tasksAreRescuedInTime,
  zombiesAreTold,
  linesAreTheirAttempts,
  oneRunIsOneShards,
  asManyAsWanted,
  shardsClose,
  workersFollow,
  idleCostsNothing,
  nothingIsLeftOver,
];

export interface Finding {
  check: string;
  evidence: string;
}

export function findBrokenPromises(evidence: Evidence): Finding[] {
  return CHECKS.flatMap(({ name, find }) =>
    find(evidence).map((text) => ({ check: name, evidence: text })),
  );
}
