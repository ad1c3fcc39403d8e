/** Starts one run, waits for it, and prints what it came to. */
import { Client } from "@skein/sdk";
import { greet } from "./workflow.ts";

const skein = new Client();
const { greeting } = await skein.run(greet, { name: process.argv[2] ?? "world" });
console.log(greeting);
