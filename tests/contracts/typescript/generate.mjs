// Makes the typed client: node generate.mjs SCHEMA OPERATIONS_FOLDER OUTPUT_FILE
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { codegen } from "@graphql-codegen/core";
import * as typedDocumentNode from "@graphql-codegen/typed-document-node";
import * as operations from "@graphql-codegen/typescript-operations";
import { buildSchema, parse } from "graphql";

const [schemaFile, folder, output] = process.argv.slice(2);
const sdl = readFileSync(schemaFile, "utf8");
const files = readdirSync(folder).filter((name) => name.endsWith(".graphql")).sort();

const text = await codegen({
  filename: basename(output),
  schema: parse(sdl),
  schemaAst: buildSchema(sdl),
  documents: files.map((name) => ({ location: name, document: parse(readFileSync(join(folder, name), "utf8")) })),
  config: {
    // a scalar without a line here is a fault
    strictScalars: true,
    scalars: {
      BigInt: "number",
      Cursor: "./scalars.ts#Cursor",
      DateTime: "./scalars.ts#DateTime",
      Decimal: { input: "./scalars.ts#DecimalInput", output: "./scalars.ts#Decimal" },
      ID: { input: "string", output: "string" },
      JSON: "./scalars.ts#Json",
    },
    useTypeImports: true,
    immutableTypes: true,
  },
  plugins: [{ operations: {} }, { typedDocumentNode: {} }],
  pluginMap: { operations, typedDocumentNode },
});
writeFileSync(output, text);
