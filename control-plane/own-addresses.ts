import { networkInterfaces } from "node:os";
import type { OwnAddress } from "./resource/own-address.ts";

/**
 * The addresses at which bound ports are reached: an unspecified one is reached at every address of this machine.
 * @param bound `host:port` each, an IPv6 address in brackets
 */
export function ownAddresses(bound: readonly string[]): readonly OwnAddress[] {
  return bound.map((address) => {
    const at = address.lastIndexOf(":");
    const host = address.slice(0, at).replace(/^\[|\]$/g, "");
    const isEverywhere = host === "0.0.0.0" || host === "::";
    return { hosts: isEverywhere ? [host, ...machineAddresses()] : [host], port: Number(address.slice(at + 1)) };
  });
}

function machineAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((addresses) => (addresses ?? []).map(({ address }) => address));
}
