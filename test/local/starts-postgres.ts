/** A program that starts a Postgres in its argument, tells its pid, and stays until it is killed. */
import { startPostgres } from "../../local/postgres.ts";

const { pid } = await startPostgres({ directory: process.argv[2] ?? "" });
process.send?.(pid);
