/**
 * Builds the SDK's package into `sdk/dist`, where `@skein/sdk` is found by the examples.
 */
import { runStep } from "./steps.ts";

const isBuilt = await runStep({ name: "the SDK builds", command: ["tsc", "-p", "sdk"] });
process.exitCode = isBuilt ? 0 : 1;
