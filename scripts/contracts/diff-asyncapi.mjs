// Compares two documents with AsyncAPI's own diff, and names each change of topics, operations and messages that breaks
// a reader of the first. It does not judge schemas: those are compared by themselves. Its modules are those of the folder
// that NODE_MODULES names.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.NODE_MODULES}/`);
const { diff } = require("@asyncapi/diff");

const [before, after] = process.argv.slice(2).map((path) => JSON.parse(readFileSync(path, "utf8")));
const breaking = diff(before, after).getOutput().changes.filter(({ type }) => type === "breaking");
for (const { action, path } of breaking) {
    console.log(`${action} ${path}`);
}
process.exit(breaking.length === 0 ? 0 : 1);
