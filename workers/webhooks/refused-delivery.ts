/**
 * A delivery that makes no event. Its sender hears the problem; its tenant can read the code, which says
 * more.
 */
import type { DeliveryFailureCode, ProblemCode } from "../../protocol/errors.ts";
import { ProblemError } from "../api/problems.ts";

export class RefusedDelivery extends ProblemError {
  readonly failure: DeliveryFailureCode;
  /** What its tenant is told beside the code. Quotes nothing of the delivery. */
  readonly failureDetail: string | null;

  constructor(
    failure: DeliveryFailureCode,
    problem: ProblemCode,
    detail: string,
    failureDetail: string | null = null,
  ) {
    super(problem, detail);
    this.failure = failure;
    this.failureDetail = failureDetail;
  }
}

/** The same words whatever is wrong, for a webhook that is not there as well. */
export function unverified(failure: DeliveryFailureCode): RefusedDelivery {
  return new RefusedDelivery(
    failure,
    "delivery_not_verified",
    "Check the address and the secret. Who owns the webhook can read why it refuses.",
  );
}
