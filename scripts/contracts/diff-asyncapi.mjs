// Compares two documents with AsyncAPI's own diff, and names each change of topics, operations and messages that breaks
// a reader of the first. It does not judge schemas: those are compared by themselves. Its modules are those of the folder
// that NODE_MODULES names.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.env.NODE_MODULES}/`);
const { Parser } = require("@asyncapi/parser");
const { diff } = require("@asyncapi/diff");

const always = (type) => ({ add: type, remove: type, edit: type });
const override = {
    // Whoever asks judges by it what may break.
    "/info/version": always("non-breaking"),
    "/channels/*/bindings/kafka": always("unclassified"),
    "/channels/*/bindings/kafka/topic": always("breaking"),
};

// The diff looks behind no reference.
async function whole(path) {
    const { document, diagnostics } = await new Parser().parse(readFileSync(path, "utf8"));
    if (!document) {
        console.error(path, diagnostics.filter(({ severity }) => severity === 0));
        process.exit(2);
    }
    return document.json();
}

const [before, after] = await Promise.all(process.argv.slice(2).map(whole));
const changes = diff(before, after, { override }).getOutput().changes;
const breaking = changes.filter(({ type }) => type === "breaking");
for (const { action, path } of breaking) {
    console.log(`${action} ${path}`);
}
process.exit(breaking.length === 0 ? 0 : 1);
