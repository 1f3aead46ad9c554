/** `npm run targets`: two local echo servers, so that the walkthrough can be tried without internet. */
import { startEchoTarget } from "./echo-target.ts";

const ports = [9001, 9002];

if (process.argv.includes("--help")) {
  console.log("npm run targets: starts echo servers on 127.0.0.1:9001 and 127.0.0.1:9002, until Ctrl-C.");
} else {
  for (const [i, port] of ports.entries()) {
    try {
      await startEchoTarget(`target-${i + 1}`, port);
      console.log(`target-${i + 1} answers on http://127.0.0.1:${port}/headers`);
    } catch (error) {
      console.error(`penstock: cannot listen on 127.0.0.1:${port}: ${(error as Error).message}`);
      process.exit(2);
    }
  }
  console.log("Stop them with Ctrl-C.");
}
