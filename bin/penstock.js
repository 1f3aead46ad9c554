#!/usr/bin/env node
// The `penstock` command. Any Node that npm still runs on can parse this file: it checks the version before it
// loads anything that needs the new one.
import { existsSync } from "node:fs";

const needed = [24, 21];
const running = process.versions.node.split(".").map(Number);
if (running[0] < needed[0] || (running[0] === needed[0] && running[1] < needed[1])) {
  console.error(
    `penstock: needs Node >= ${needed.join(".")}, this is ${process.versions.node}; ` +
      "'npm start' uses the one that the project brings (node_modules/.bin/node)",
  );
  process.exit(2);
}

// `npm start` compiles first: type stripping would cost 16 MB in every process and worker thread.
const compiled = new URL("../dist/cli/penstock.js", import.meta.url);
const { penstock } = await import(
  existsSync(compiled) ? compiled.href : new URL("../cli/penstock.ts", import.meta.url).href
);
await penstock(process.argv.slice(2), process.env);
