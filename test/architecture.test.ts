/**
 * The shape of the code: who may import whom, how long a file may be, what stands where. What this
 * test refuses needs a reason in it, or another place.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "..");
const SOURCE = [
  "protocol",
  "expressions",
  "telemetry",
  "database",
  "messages",
  "durable-objects",
  "workers",
  "migrations",
  "sdk",
];
const BESIDE = ["local", "scripts", "examples", "bench"];

const MAX_LINES = 400;
const LONGER: Record<string, string> = {};

/** For each place, what it may import. The longest matching place counts; all may import themselves. */
const MAY_IMPORT: Record<string, string[]> = {
  protocol: [],
  expressions: ["protocol"],
  telemetry: [],
  sdk: ["protocol"],
  database: ["protocol"],
  messages: ["protocol", "telemetry", "database"],
  migrations: [],
  "durable-objects/dispatcher": [
    "protocol",
    "expressions",
    "database/rows.ts",
    "database/definition-rows.ts",
    "database/match-rows.ts",
    "database/schedule-rows.ts",
  ],
  "durable-objects": [
    "protocol",
    "expressions",
    "telemetry",
    "database",
    "messages",
    "durable-objects/dispatcher",
  ],
  "workers/matching": ["protocol", "expressions", "database/definition-rows.ts"],
  workers: [
    "protocol",
    "expressions",
    "telemetry",
    "database",
    "messages",
    "durable-objects",
    "workers/matching",
  ],
};

function filesOf(folder: string, endings: string[]): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .map((file) => join(folder, file))
    .filter((file) => endings.some((ending) => file.endsWith(ending)))
    .filter((file) => !/(^|\/)(dist|node_modules)\//.test(file));
}

/** Relative imports of a file, as paths from the root; `isType` when only types are taken. */
function importsOf(file: string): { target: string; isType: boolean }[] {
  const source = readFileSync(join(ROOT, file), "utf8");
  const statements = source.matchAll(/^(?:import|export)\s+(type\s)?[^;]*?from\s+"(\.[^"]+)"/gms);
  return [...statements].map(([, type, path]) => ({
    target: relative(ROOT, join(ROOT, dirname(file), path ?? "")),
    isType: type !== undefined,
  }));
}

function placeOf(file: string): string {
  const places = Object.keys(MAY_IMPORT).filter((place) => file.startsWith(`${place}/`));
  return places.toSorted((a, b) => b.length - a.length)[0] ?? "";
}

const sources = SOURCE.flatMap((folder) => filesOf(folder, [".ts"]));

describe("dependencies", () => {
  test("point one way", () => {
    const wrong = sources.flatMap((file) => {
      const place = placeOf(file);
      const allowed = [place, ...(MAY_IMPORT[place] ?? [])];
      return importsOf(file)
        .filter(({ target }) => !allowed.some((to) => target === to || target.startsWith(`${to}/`)))
        .map(({ target }) => `${file} imports ${target}`);
    });
    expect(wrong).toEqual([]);
  });

  test("of the decisions on the database are types only", () => {
    const wrong = sources
      .filter((file) => file.startsWith("durable-objects/dispatcher/"))
      .filter((file) =>
        importsOf(file).some(({ target, isType }) => target.startsWith("database") && !isType),
      );
    expect(wrong).toEqual([]);
  });

  test("of the decisions and of expressions on platform, clock and network do not exist", () => {
    const wrong = sources
      .filter((file) => /^(durable-objects\/dispatcher|expressions)\//.test(file))
      .filter((file) =>
        /cloudflare:|"node:|\bBuffer\b|Date\.now|setTimeout|fetch\(/.test(
          readFileSync(join(ROOT, file), "utf8"),
        ),
      );
    expect(wrong).toEqual([]);
  });

  test("on anything local are not in what is deployed", () => {
    const wrong = sources.filter((file) =>
      importsOf(file).some(({ target }) => /^(local|scripts|test)\//.test(target)),
    );
    expect(wrong).toEqual([]);
  });
});

test("a shard sets no timer: each would keep it from hibernating", () => {
  const wrong = sources
    .filter((file) => file.startsWith("durable-objects/"))
    .filter((file) =>
      /\b(setTimeout|setInterval|scheduler\.wait)\b/.test(readFileSync(join(ROOT, file), "utf8")),
    );
  expect(wrong).toEqual([]);
});

test("SQL stands in migrations and database only", () => {
  const wrong = sources
    .filter(
      (file) =>
        !/^(migrations|database)\//.test(file) && file !== "durable-objects/shard-storage.ts",
    )
    .filter((file) =>
      /["'`]\s*(select|insert into|update|delete from)\s/i.test(
        readFileSync(join(ROOT, file), "utf8"),
      ),
    );
  expect(wrong).toEqual([]);
});

/** Files of what is deployed that say this, but for those that may. */
function sayingIt(pattern: RegExp, ...allowed: string[]): string[] {
  return sources
    .filter((file) => !/^(sdk|migrations)\//.test(file) && !allowed.includes(file))
    .filter((file) => pattern.test(readFileSync(join(ROOT, file), "utf8")));
}

describe("a tenant's data is found by the map from tenants to databases only:", () => {
  const map = "database/tenant-database.ts";

  test("nothing else makes a connection, or knows an address", () => {
    const driver = ["database/connect.ts", "database/reads.ts"];
    expect(sayingIt(/\bneon\(|new Client\(|@neondatabase/, ...driver)).toEqual([]);
    expect(sayingIt(/\bDATABASE_URL\b/, ...driver)).toEqual([]);
  });

  test("nothing else says which databases there are, or that something is one", () => {
    expect(sayingIt(/\b(DATABASES|LIVES_IN)\b/, map, "database/database-map.ts")).toEqual([]);
    expect(sayingIt(/\bas (unknown as )?Database\b/, map)).toEqual([]);
  });

  test("at home only tenants and tokens are looked for", () => {
    const homes = ["workers/api/admin.ts", "workers/api/authenticate.ts"];
    expect(sayingIt(/\bhomeDatabase\b/, map, "workers/tenant-objects.ts", ...homes)).toEqual([]);
    const others = [...homes, "workers/tenant-objects.ts"].flatMap((file) =>
      importsOf(file).filter(
        ({ target, isType }) =>
          !isType && /^database\/(?!connect|tenant-database|tenants\.ts)/.test(target),
      ),
    );
    expect(others).toEqual([]);
  });

  test("what is of all tenants names its databases by number, or goes over all", () => {
    const queues = ["durable-objects/drain.ts", "workers/messages/take-batch.ts"];
    expect(sayingIt(/\bnumberedDatabase\b/, map, ...queues)).toEqual([]);
    expect(sayingIt(/\ballDatabases\b/, map, "workers/cron/every-minute.ts")).toEqual([]);
  });
});

test("one file knows the way to a tenant's Durable Objects", () => {
  // And shards know the others of their tenant, which are where they are themselves.
  const way = [
    "workers/tenant-objects.ts",
    "workers/environment.ts",
    "durable-objects/shard-peers.ts",
  ];
  expect(sayingIt(/\b(DISPATCHER|SCHEDULE_CLOCK)\b/, ...way)).toEqual([]);
  // Drains are no tenant's.
  expect(sayingIt(/\.getByName\(|\.idFromName\(/, ...way, "messages/choice.ts")).toEqual([]);
});

test("no file is longer than a reader's patience", () => {
  const everything = [
    ...sources,
    ...filesOf("migrations", [".sql"]),
    ...BESIDE.flatMap((folder) => filesOf(folder, [".ts"])),
    ...filesOf("test", [".ts"]),
  ];
  const long = everything.filter((file) => {
    const lines = readFileSync(join(ROOT, file), "utf8").split("\n").length;
    return lines > MAX_LINES && LONGER[file] === undefined;
  });
  expect(long).toEqual([]);
});

test("every file opens by saying what it is", () => {
  const silent = [...sources, ...BESIDE.flatMap((folder) => filesOf(folder, [".ts"]))].filter(
    (file) => !readFileSync(join(ROOT, file), "utf8").startsWith("/**"),
  );
  const silentSql = filesOf("migrations", [".sql"]).filter(
    (file) => !readFileSync(join(ROOT, file), "utf8").startsWith("-- "),
  );
  expect([...silent, ...silentSql]).toEqual([]);
});

test("the names that name nothing are not used", () => {
  const empty =
    /(^|[-/])(utils?|helpers?|common|core|manager|handler|service|misc)([-./]|$)|(^|\/)types\.ts$/;
  const named = [...sources, ...BESIDE.flatMap((folder) => filesOf(folder, [".ts"]))];
  expect(named.filter((file) => empty.test(file))).toEqual([]);
});
