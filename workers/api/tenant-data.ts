/**
 * The ways of a request to the data of the tenant that makes it, in whichever database that is.
 */
import type { Context } from "hono";
import { type Query, queryOverHttp } from "../../database/connect.ts";
import { connectReads, type Reads } from "../../database/reads.ts";
import { databaseOf } from "../../database/tenant-database.ts";
import type { AppTypes } from "../environment.ts";

export function queryOf({ env, var: { tenant } }: Context<AppTypes>): Query {
  return queryOverHttp(databaseOf(env, tenant));
}

export function readsOf({ env, var: { tenant } }: Context<AppTypes>): Reads {
  return connectReads(databaseOf(env, tenant));
}
