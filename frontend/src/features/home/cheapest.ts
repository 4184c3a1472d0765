/** The cheapest of each thing that is sold. */

import type { Catalog, Endpoint, Model } from "../../shared/api";

export interface Cheapest {
  readonly endpoint: Endpoint;
  readonly model: Model;
  readonly msat: number;
}

/** For each endpoint title, the cheapest typical call over all providers that can be bought; cheapest first. */
export function cheapestOf(catalog: Catalog): Cheapest[] {
  const found = new Map<string, Cheapest>();
  for (const api of catalog.apis) {
    if (!api.available) continue;
    for (const endpoint of api.endpoints) {
      for (const model of endpoint.models) {
        const msat = model.typical_price_msat;
        if (msat === null || model.paused) continue;
        const known = found.get(endpoint.title);
        if (known === undefined || msat < known.msat) found.set(endpoint.title, { endpoint, model, msat });
      }
    }
  }
  return [...found.values()].toSorted((a, b) => a.msat - b.msat);
}
