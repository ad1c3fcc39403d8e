/**
 * Makes the role that the application's login is a member of, and grants it what
 * `application-role.sql` says. Never grants more than that file, and makes no login.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";

const APPLICATION_ROLE = "skein_application";
const ROLE_FILE = "application-role.sql";
// SQLSTATEs of "create role". The second is that of its catalogue, when two make it at once.
const ROLE_EXISTS = "42710";
const ROLE_BEING_MADE = "23505";
const NOT_PERMITTED = "42501";

/**
 * Grants the application's role what it may do, when that or a function has changed. Roles belong to
 * the whole server: another database may have made it, or be making it now.
 */
export async function applyApplicationRole(
  client: pg.Client,
  log: (line: string) => void,
): Promise<void> {
  if (!(await makeApplicationRole(client, log))) return;
  const source = readFileSync(join(import.meta.dirname, ROLE_FILE), "utf8");
  const { rows } = await client.query(
    "select name, checksum from v1.applied_function order by name",
  );
  const functions = rows.filter(({ name }) => name !== ROLE_FILE);
  const checksum = createHash("sha256")
    .update(source + JSON.stringify(functions))
    .digest("hex");
  const { rows: granted } = await client.query(
    "select has_schema_privilege($1, 'v1', 'usage') as here",
    [APPLICATION_ROLE],
  );
  const applied = rows.find(({ name }) => name === ROLE_FILE)?.checksum;
  if (granted[0].here && applied === checksum) return;
  await client.query("begin");
  try {
    await client.query(source);
    await client.query(
      `insert into v1.applied_function (name, checksum) values ($1, $2)
         on conflict (name) do update set checksum = excluded.checksum`,
      [ROLE_FILE, checksum],
    );
    await client.query("commit");
    log(`role ${APPLICATION_ROLE}: granted`);
  } catch (error) {
    await client.query("rollback");
    throw error;
  }
}

/** False when it is not there and we may not make it. */
async function makeApplicationRole(
  client: pg.Client,
  log: (line: string) => void,
): Promise<boolean> {
  const { rows } = await client.query("select to_regrole($1) is not null as here", [
    APPLICATION_ROLE,
  ]);
  if (rows[0].here) return true;
  try {
    await client.query(`create role ${APPLICATION_ROLE} nologin`);
    return true;
  } catch (error) {
    const code = error instanceof pg.DatabaseError ? error.code : undefined;
    if (code === ROLE_EXISTS || code === ROLE_BEING_MADE) return true;
    if (code !== NOT_PERMITTED) throw error;
    log(
      `role ${APPLICATION_ROLE}: not here, and this login may not create it. Nothing is granted, and the ` +
        `application needs the owner's login. To change that, let an administrator run ` +
        `"create role ${APPLICATION_ROLE} nologin", and migrate again.`,
    );
    return false;
  }
}
