import { main } from "../../control-plane/main.ts";

// A control plane of the sources as they are, in a process of its own.
await main(process.argv.slice(2));
