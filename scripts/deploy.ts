/**
 * `npm run deploy`: migrates the database, then deploys the Worker. In this order, because new code
 * needs the new functions and old code works with them.
 */
import { parseArgs } from "node:util";
import { migrate } from "../migrations/migrate.ts";
import { deployedConfiguration } from "./queue-bindings.ts";
import { runStep } from "./steps.ts";

const { values } = parseArgs({
  options: { help: { type: "boolean", short: "h" }, "dry-run": { type: "boolean" } },
});
const databaseUrl = process.env["DATABASE_URL"];

if (values.help || (databaseUrl === undefined && !values["dry-run"])) {
  console.log(`Usage: DATABASE_URL=postgres://user:password@host/database npm run deploy [-- --dry-run]

Migrates the database and deploys the Worker to Cloudflare. DATABASE_URL is the direct address of
the Neon database, without "-pooler". Log in with "npx wrangler login" first, and set the secrets
once, as the README says. --dry-run builds the Worker and touches nothing.`);
  process.exit(values.help ? 0 : 2);
}

if (!values["dry-run"] && databaseUrl !== undefined) {
  console.log("Migrating the database");
  await migrate({ databaseUrl, log: console.log });
}
const isDryRun = values["dry-run"] === true;
const configuration = await deployedConfiguration(isDryRun);
const isDeployed =
  configuration !== undefined &&
  (await runStep({
    name: isDryRun ? "the deployment builds" : "the Worker is deployed",
    command: ["wrangler", "deploy", "--config", configuration, ...(isDryRun ? ["--dry-run"] : [])],
    isShown: true,
  }));
process.exitCode = isDeployed ? 0 : 1;
