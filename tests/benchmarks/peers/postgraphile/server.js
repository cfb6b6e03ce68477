// The peer: PostGraphile 5 with the settings that its documentation gives for production: no watching, no IDE, no
// explaining, as many connections as the hub has, prepared statements, Grafserv straight on Node's HTTP server. Its
// presets and plugins do all the work; added are only one aggregate (count) and one grouping (by the minute) that
// pg-aggregates leaves to its users, as its documentation says how.
//
// `node server.js` serves the database that PGHOST, PGPORT, PGUSER and PGDATABASE name on a free port, and prints its
// address.

import { createServer } from "node:http";
import { PgAggregatesPreset } from "@graphile/pg-aggregates";
import { makePgService } from "postgraphile/adaptors/pg";
import { postgraphile } from "postgraphile";
import { grafserv } from "postgraphile/grafserv/node";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";
import { pgSmartTags } from "postgraphile/utils";
import { PostGraphileConnectionFilterPreset } from "postgraphile-plugin-connection-filter";

const CONNECTIONS = 10;

const FurtherAggregatesPlugin = {
  name: "FurtherAggregatesPlugin",
  version: "1.0.0",
  after: ["PgAggregatesSpecsPlugin"],
  schema: {
    hooks: {
      build(build) {
        const { sql, dataplanPg: { TYPES } } = build;
        build.pgAggregateSpecs.push({
          id: "count",
          humanLabel: "count",
          HumanLabel: "Count",
          isSuitableType: () => true,
          sqlAggregateWrap: (value) => sql`count(${value})`,
          pgTypeCodecModifier: () => TYPES.int,
        });
        build.pgAggregateGroupBySpecs.push({
          id: "truncated-to-minute",
          isSuitableType: (codec) => codec === TYPES.timestamptz,
          sqlWrap: (value) => sql`date_trunc('minute', ${value})`,
          sqlWrapCodec: (codec) => codec,
        });
        return build;
      },
    },
  },
};

// both ends of this unique reference of a table to itself would have the same name, and half of the schema goes with it
const NamesPlugin = pgSmartTags([
  {
    kind: "constraint",
    match: "model_assignments.fk_model_assignments_fallback_of",
    tags: { fieldName: "fallbackOfAssignment" },
  },
]);

const preset = {
  extends: [PostGraphileAmberPreset, PostGraphileConnectionFilterPreset, PgAggregatesPreset],
  plugins: [FurtherAggregatesPlugin, NamesPlugin],
  // it would leave out filters and groupings by columns without an index, which the hub has too
  disablePlugins: ["PgIndexBehaviorsPlugin"],
  pgServices: [
    makePgService({
      poolConfig: {
        max: CONNECTIONS,
        options: "-c jit=off -c timezone=UTC",
      },
      schemas: ["public"],
    }),
  ],
  grafserv: { watch: false, graphiql: false, graphqlPath: "/graphql" },
  grafast: { explain: false },
};

const server = createServer();
server.on("error", (error) => {
  console.error(error);
  process.exitCode = 1;
});
const instance = postgraphile(preset);
await instance.createServ(grafserv).addTo(server);
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
