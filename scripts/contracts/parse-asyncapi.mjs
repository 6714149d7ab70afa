// Reads a document with AsyncAPI's own parser, and says what it finds wrong. Its modules are those of the
// folder that NODE_MODULES names.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.NODE_MODULES}/`);
const { Parser } = require("@asyncapi/parser");

const { document, diagnostics } = await new Parser().parse(readFileSync(0, "utf8"));
for (const { severity, path, message } of diagnostics) {
    console.log(`${["error", "warning", "info", "hint"][severity]} at ${path.join("/")}: ${message}`);
}
process.exit(document && !diagnostics.some(({ severity }) => severity < 2) ? 0 : 1);
