/**
 * A page that shows the OpenAPI document to people. Rendered here from the document itself, so it
 * needs no other server and can't say anything else.
 */
import { html, raw } from "hono/html";
import type { HtmlEscapedString } from "hono/utils/html";

type Html = HtmlEscapedString | Promise<HtmlEscapedString>;

interface Schema {
  $ref?: string;
  type?: string | string[];
  format?: string;
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  additionalProperties?: Schema | boolean;
  enum?: unknown[];
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  minimum?: number;
  maximum?: number;
  maxLength?: number;
  default?: unknown;
}

interface Operation {
  operationId?: string;
  summary?: string;
  description?: string;
  tags?: string[];
  parameters?: {
    name: string;
    in: string;
    required?: boolean;
    description?: string;
    schema?: Schema;
  }[];
  requestBody?: { content?: Record<string, { schema?: Schema }> };
  responses?: Record<
    string,
    { description: string; content?: Record<string, { schema?: Schema }> }
  >;
}

type Schemas = Record<string, Schema>;

const METHODS = ["get", "post", "put", "patch", "delete"] as const;

export function docsPage(document: object): Html {
  const { paths = {}, components } = document as {
    paths?: Record<string, Record<string, Operation>>;
    components?: { schemas?: Schemas };
  };
  const schemas = components?.schemas ?? {};
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    METHODS.flatMap((method) => {
      const operation = methods[method];
      return operation ? [{ path, method, operation }] : [];
    }),
  );
  const tags = [...new Set(operations.map(({ operation }) => operation.tags?.[0] ?? "Other"))];
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>Skein API</title>
        <style>
          ${raw(STYLE)}
        </style>
      </head>
      <body>
        <header>
          <h1>Skein API</h1>
          <p>
            Durable DAG workflows at the edge. Send
            <code>Authorization: Bearer TOKEN</code> and JSON; errors are problem documents whose
            <code>code</code> is stable. The machine-readable form of this page is
            <a href="/openapi.json">/openapi.json</a>.
          </p>
          <nav>
            ${tags.map((tag) => html`<a href="#${tag}">${tag}</a> `)}<a href="#schemas">Schemas</a>
          </nav>
        </header>
        ${tags.map(
          (tag) =>
            html`<section>
              <h2 id="${tag}">${tag}</h2>
              ${operations
                .filter(({ operation }) => (operation.tags?.[0] ?? "Other") === tag)
                .map(({ path, method, operation }) => showOperation(path, method, operation))}
            </section>`,
        )}
        <section>
          <h2 id="schemas">Schemas</h2>
          ${Object.entries(schemas).map(
            ([name, schema]) =>
              html`<article id="schema-${name}">
                <h3>${name}</h3>
                ${showFields(flatten(schema, schemas))}
              </article>`,
          )}
        </section>
      </body>
    </html>`;
}

function showOperation(path: string, method: string, operation: Operation): Html {
  const body = Object.values(operation.requestBody?.content ?? {})[0]?.schema;
  return html`<article id="${operation.operationId ?? ""}">
    <h3><span class="method ${method}">${method.toUpperCase()}</span> <code>${path}</code></h3>
    <p><strong>${operation.summary}.</strong> ${showText(operation.description)}</p>
    ${
      operation.parameters?.length
        ? html`<table>
            ${operation.parameters.map(
              ({ name, in: place, required, description, schema }) =>
                html`<tr>
                  <td><code>${name}</code>${required ? "" : html` <em>optional</em>`}</td>
                  <td>${place}</td>
                  <td>
                    ${showType(schema ?? {})}. ${showText(description ?? schema?.description)}
                  </td>
                </tr>`,
            )}
          </table>`
        : ""
    }
    ${body ? html`<p>Body: ${showType(body)}</p>` : ""}
    <table>
      ${Object.entries(operation.responses ?? {}).map(
        ([status, { description, content }]) =>
          html`<tr>
            <td><code>${status}</code></td>
            <td>${showText(description)}</td>
            <td>${showType(Object.values(content ?? {})[0]?.schema ?? {})}</td>
          </tr>`,
      )}
    </table>
  </article>`;
}

function showFields({ properties = {}, required = [] }: Schema): Html {
  return html`<table>
    ${Object.entries(properties).map(
      ([name, field]) =>
        html`<tr>
          <td><code>${name}</code>${required.includes(name) ? "" : html` <em>optional</em>`}</td>
          <td>${showType(field)}</td>
          <td>${showText(field.description)}</td>
        </tr>`,
    )}
  </table>`;
}

/** The fields of a schema that extends another, together. */
function flatten(schema: Schema, schemas: Schemas): Schema {
  const referred = schemas[schema.$ref?.split("/").at(-1) ?? ""];
  const parts = [...(referred ? [referred] : []), ...(schema.allOf ?? [])].map((part) =>
    flatten(part, schemas),
  );
  return {
    ...schema,
    properties: Object.assign({}, ...parts.map((part) => part.properties ?? {}), schema.properties),
    required: [...parts.flatMap((part) => part.required ?? []), ...(schema.required ?? [])],
  };
}

/** Text with `code` in it. */
function showText(text = ""): Html {
  return html`${text.split("`").map((part, index) => (index % 2 === 1 ? html`<code>${part}</code>` : part))}`;
}

function showType(schema: Schema): Html {
  const referred = schema.$ref?.split("/").at(-1);
  if (referred) return html`<a href="#schema-${referred}">${referred}</a>`;
  if (schema.items) return html`list of ${showType(schema.items)}`;
  if (schema.enum) return html`${schema.enum.map(String).join(" | ")}`;
  const choices = schema.anyOf ?? schema.oneOf ?? schema.allOf;
  if (choices)
    return html`${choices.map((choice, index) => html`${index > 0 ? " or " : ""}${showType(choice)}`)}`;
  if (typeof schema.additionalProperties === "object") {
    return html`map of ${showType(schema.additionalProperties)}`;
  }
  if (Array.isArray(schema.type) && schema.type.length > 4) return html`any JSON`;
  if (schema.properties) {
    return html`{
    ${Object.entries(schema.properties).map(
      ([name, field], index) => html`${index > 0 ? ", " : ""}${name}: ${showType(field)}`,
    )}
    }`;
  }
  const type = Array.isArray(schema.type) ? schema.type.join(" or ") : (schema.type ?? "");
  return html`${schema.format ?? type}${showBounds(schema)}`;
}

function showBounds(schema: Schema): string {
  const { minimum, maximum, maxLength, default: value } = schema;
  const bounds = [
    ...(minimum === undefined ? [] : [`from ${minimum}`]),
    ...(maximum === undefined ? [] : [`to ${maximum}`]),
    ...(maxLength === undefined ? [] : [`at most ${maxLength} characters`]),
    ...(value === undefined ? [] : [`default ${JSON.stringify(value)}`]),
  ];
  return bounds.length > 0 ? ` (${bounds.join(", ")})` : "";
}

const STYLE = `
  :root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); }
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 2rem 1rem 6rem; }
  h1 { margin: 0; } h2 { margin-top: 3rem; } h3 { margin: 0; font-size: 1.05rem; }
  nav a { margin-right: 1rem; }
  article { border: 1px solid var(--line); border-radius: .5rem; padding: 1rem; margin: 1rem 0; overflow-x: auto; }
  table { border-collapse: collapse; width: 100%; margin-top: .75rem; font-size: .92rem; }
  td { border-top: 1px solid var(--line); padding: .35rem .75rem .35rem 0; vertical-align: top; }
  td:first-child { white-space: nowrap; width: 12rem; }
  em { opacity: .6; font-size: .85em; }
  .method { font: 600 .75rem ui-monospace, monospace; padding: .15rem .4rem; border-radius: .25rem; color: #fff; background: #57606a; }
  .get { background: #1a7f37; } .post { background: #0969da; } .put { background: #9a6700; } .delete { background: #cf222e; }
`;
