import { describe, expect, it } from "vitest";
import { type HostAddress, readHostAddress } from "./host-address.ts";
import { isOwnAddress } from "./own-address.ts";

const own = [
  { hosts: ["127.0.0.1", "::1"], port: 8001 },
  { hosts: ["0.0.0.0", "192.0.2.7", "fe80::1"], port: 8005 },
];

const isOwn = (text: string): boolean => {
  const read = readHostAddress(text) as HostAddress;
  return isOwnAddress(read, read.port!, own);
};

describe("isOwnAddress", () => {
  it.each([
    "127.0.0.1:8001",
    "127.000.000.001:8001",
    "[::1]:8001",
    "[0:0:0:0:0:0:0:1]:8001",
    "[::ffff:127.0.0.1]:8001",
    "localhost:8001",
    "LOCALHOST.:8001",
    "a.localhost:8001",
    "0.0.0.0:8001",
    "[::]:8001",
    "127.0.0.1:8005",
    "127.9.9.9:8005",
    "[::1]:8005",
    "0.0.0.0:8005",
    "192.0.2.7:8005",
    "[fe80:0:0:0:0:0:0:1]:8005",
  ])("knows %s", (address) => {
    expect(isOwn(address)).toBe(true);
  });

  it.each([
    "127.0.0.1:8000",
    "127.0.0.2:8001",
    "192.0.2.7:8001",
    "192.0.2.8:8005",
    "localhost:80",
    "localhost.test:8001",
    "notlocalhost:8001",
    "a.test:8001",
  ])("leaves %s alone", (address) => {
    expect(isOwn(address)).toBe(false);
  });
});
