import type { ChannelCredentials } from "@grpc/grpc-js";

/** How to reach a control plane now, or why this node cannot. */
export type Access =
  | {
      readonly ok: true;
      readonly credentials: ChannelCredentials;
      readonly channelOptions: Readonly<Record<string, string>>;
    }
  | { readonly ok: false; readonly problem: string };

/** What a node shows to control planes, and which it trusts; asked before each connection. */
export interface SyncAccess {
  /** @param address host:port of the control plane */
  access(address: string): Access;
  /** Calls back whenever there is something newer to show: what is open goes on by what was shown then. */
  onRenewed?(run: () => void): void;
}
