-- Where the Durable Objects of a tenant are: docs/scaling.md.

alter table v1.tenant
  -- Near which region they are created. It is heard when an object is first called, never again.
  add column location_hint text,
  -- Within which they must stay. Another jurisdiction is another space of ids, so other objects: it is set with
  -- the row and never changed, which the application's role could not do.
  add column jurisdiction text;
