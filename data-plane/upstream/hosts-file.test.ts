import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { type HostsFileOptions, openHostsFile, parseHostsFile } from "./hosts-file.ts";
import { FakeTimers } from "./timers.test-fake.ts";

describe("parseHostsFile", () => {
  it.each([
    { name: "one name", text: "10.0.0.1 a", want: { v4: ["10.0.0.1"], v6: [] } },
    {
      name: "aliases, tabs and comments",
      text: "# x\n10.0.0.1\tb  a # a comment\n",
      want: { v4: ["10.0.0.1"], v6: [] },
    },
    { name: "names of any case, and the root's dot", text: "10.0.0.1 A.", want: { v4: ["10.0.0.1"], v6: [] } },
    { name: "Windows line ends", text: "10.0.0.1 a\r\n10.0.0.2 a\r\n", want: { v4: ["10.0.0.1", "10.0.0.2"], v6: [] } },
    {
      name: "several addresses, each once",
      text: "10.0.0.2 a\n10.0.0.1 a\n10.0.0.2 a",
      want: { v4: ["10.0.0.2", "10.0.0.1"], v6: [] },
    },
    { name: "both families", text: "::1 a\n10.0.0.1 a", want: { v4: ["10.0.0.1"], v6: ["::1"] } },
    { name: "IPv6 alone", text: "::1 a\nfe00::1 a", want: { v4: [], v6: ["::1", "fe00::1"] } },
    { name: "no such name", text: "10.0.0.1 b\n", want: null },
    { name: "lines that make no sense", text: "a\n10.0.0 a\n\n10.0.0.1\nx a\n", want: null },
    { name: "a name of every object", text: "", want: null },
  ])("reads $name", ({ text, want }) => {
    expect(parseHostsFile(text).addressesOf("a")).toEqual(want);
    expect(parseHostsFile(text).addressesOf("constructor")).toBeNull();
  });
});

describe("openHostsFile", () => {
  function temporaryFile(): string {
    const folder = mkdtempSync(join(tmpdir(), "penstock-hosts-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    return join(folder, "hosts");
  }

  /** Opens it with events that a test can wait for. */
  async function open(path: string, given: Partial<HostsFileOptions> = {}) {
    const timers = new FakeTimers();
    let tell: (event: string) => void = () => {};
    const nextEvent = () => new Promise<string>((resolve) => (tell = resolve));
    const hosts = await openHostsFile({
      path,
      timers,
      checkIntervalMs: 1_000,
      maxBytes: 1_000,
      onChange: () => tell("change"),
      onUnreadable: () => tell("unreadable"),
      ...given,
    });
    onTestFinished(() => hosts.close());
    return { hosts, timers, nextEvent };
  }

  it("reads the file again when it has changed", async () => {
    const path = temporaryFile();
    writeFileSync(path, "10.0.0.1 a\n");
    const { hosts, timers, nextEvent } = await open(path);
    expect(hosts.startProblem).toBeNull();
    expect(hosts.addressesOf("a")?.v4).toEqual(["10.0.0.1"]);
    writeFileSync(path, "10.0.0.2 a\n");
    utimesSync(path, 1, 1);
    const event = nextEvent();
    await timers.pass(1_000);
    expect(await event).toBe("change");
    expect(hosts.addressesOf("a")?.v4).toEqual(["10.0.0.2"]);
  });

  it("keeps what it read when the file goes, and reads it when it is back", async () => {
    const path = temporaryFile();
    writeFileSync(path, "10.0.0.1 a\n");
    const { hosts, timers, nextEvent } = await open(path);
    rmSync(path);
    let event = nextEvent();
    await timers.pass(1_000);
    expect(await event).toBe("unreadable");
    expect(hosts.addressesOf("a")?.v4).toEqual(["10.0.0.1"]);
    writeFileSync(path, "10.0.0.3 a\n");
    event = nextEvent();
    // The look that found it missing may still be under way.
    while (timers.waitingCount === 0) await timers.pass(0);
    await timers.pass(1_000);
    expect(await event).toBe("change");
    expect(hosts.addressesOf("a")?.v4).toEqual(["10.0.0.3"]);
  });

  it.each([
    { name: "a missing file", text: null },
    { name: "a file over the limit", text: "#".repeat(1_001) },
  ])("says why $name was taken as empty", async ({ text }) => {
    const path = temporaryFile();
    if (text !== null) writeFileSync(path, text);
    const { hosts } = await open(path);
    expect(hosts.startProblem).toContain(path);
    expect(hosts.addressesOf("a")).toBeNull();
  });
});
