/** Wallets that can be told to pay from here: the browser's, a connected one, and the demo's. */

import { asObject, ask, text } from "../../shared/request";

interface Webln {
  readonly enable: () => Promise<unknown>;
  readonly sendPayment: (bolt11: string) => Promise<unknown>;
}

declare global {
  interface Window {
    readonly webln?: Webln;
  }
}

const NWC_LINK = /^nostr\+?walletconnect:(\/\/)?[0-9a-f]{64}\?/i;

/** Pays an invoice. Rejects with words for the visitor; whether money moved is for the server to say. */
export type PayBy = (bolt11: string) => Promise<void>;

export function hasBrowserWallet(): boolean {
  return window.webln !== undefined;
}

/** The wallet of a browser extension, which asks the visitor itself. */
export async function payByBrowserWallet(bolt11: string): Promise<void> {
  if (window.webln === undefined) throw new Error("The wallet has gone.");
  await window.webln.enable();
  await window.webln.sendPayment(bolt11);
}

/** Play money. */
export async function payByDemoWallet(bolt11: string): Promise<void> {
  await ask("/api/demo/pay", { body: JSON.stringify({ invoice: bolt11 }) });
}

export function isWalletLink(link: string): boolean {
  return NWC_LINK.test(link.trim());
}

/** A wallet behind a Nostr Wallet Connect link. The library is loaded now, and the link's relay is talked to. */
export function payByLink(link: string): PayBy {
  return async (bolt11) => {
    const { NWCClient } = await import("@getalby/sdk/nwc");
    const client = new NWCClient({ nostrWalletConnectUrl: link.trim() });
    try {
      await client.payInvoice({ invoice: bolt11 });
    } finally {
      client.close();
    }
  };
}

/** A wallet's own words, whatever it threw. */
export function wordsOf(error: unknown): string {
  const words = error instanceof Error ? error.message : text(asObject(error)["message"]);
  return words === "" ? "It gave no reason." : words;
}
