/**
 * The drain with its handlers. Class and binding names are permanent.
 */
import { Drain } from "../../durable-objects/drain.ts";
import type { Environment } from "../environment.ts";
import { handlersOf } from "./handlers.ts";

export class QueueDrain extends Drain<Environment> {
  constructor(context: DurableObjectState, env: Environment) {
    super(context, env, handlersOf(env));
  }
}
