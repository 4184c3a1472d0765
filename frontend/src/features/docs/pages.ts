/** The pages of the documentation, in the order of the rail. */

import { type ComponentType, type LazyExoticComponent, lazy } from "react";

export interface DocPage {
  /** Below /docs; the first page has none. */
  readonly slug: string;
  readonly title: string;
  readonly lead: string;
  readonly Body: LazyExoticComponent<ComponentType>;
}

export const PAGES: readonly [DocPage, ...DocPage[]] = [
  {
    slug: "",
    title: "L402 in five minutes",
    lead: "Buy one call from a terminal: ask, pay, ask again.",
    Body: lazy(() => import("./L402")),
  },
  {
    slug: "prepaid",
    title: "Prepaid tokens",
    lead: "Pay once, then use a token as the API key of any SDK.",
    Body: lazy(() => import("./Prepaid")),
  },
  {
    slug: "sdks",
    title: "SDKs",
    lead: "Two lines change in a program that already uses an official SDK.",
    Body: lazy(() => import("./Sdks")),
  },
  {
    slug: "agents",
    title: "Agents",
    lead: "How a program finds out what is sold, what it costs, and pays by itself.",
    Body: lazy(() => import("./Agents")),
  },
  {
    slug: "errors",
    title: "Errors",
    lead: "Every error, what happened to your sats, and what to do next.",
    Body: lazy(() => import("./Errors")),
  },
  {
    slug: "prices",
    title: "Prices",
    lead: "How a price is made, why the invoice asks for the most, and what comes back.",
    Body: lazy(() => import("./Prices")),
  },
  {
    slug: "privacy",
    title: "Privacy",
    lead: "What is kept about a call, for how long, and what is never written down.",
    Body: lazy(() => import("./Privacy")),
  },
  {
    slug: "lost-sats",
    title: "Lost sats",
    lead: "A call failed, a tab was closed, an invoice expired: where the sats are.",
    Body: lazy(() => import("./LostSats")),
  },
];

export function addressOf({ slug }: DocPage): string {
  return slug === "" ? "/docs" : `/docs/${slug}`;
}
