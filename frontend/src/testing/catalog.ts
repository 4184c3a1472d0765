import type { Api, Catalog } from "../shared/api";
import sample from "./catalog.json";

/** A catalog of three chat models, one of them ending, an embedding and two flat-priced image models. */
export const CATALOG: Catalog = sample;

/** The sample, with the given parts changed. */
export function catalogWith(changes: Partial<Catalog>): Catalog {
  return { ...CATALOG, ...changes };
}

/** The sample's one API, with the given parts changed. */
export function apiWith(changes: Partial<Api>): Api {
  const [api] = CATALOG.apis;
  if (api === undefined) throw new Error("the sample has lost its API");
  return { ...api, ...changes };
}

/** The sample as the server tells it while its price feed has nothing. */
export function withoutBitcoinPrice(): Catalog {
  const api = apiWith({});
  const endpoints = api.endpoints.map((endpoint) => ({
    ...endpoint,
    models: endpoint.models.map((model) => ({
      ...model,
      typical_price_msat: null,
      prices: model.prices.map((price) => ({ ...price, msat: null, sats: null })),
    })),
  }));
  return catalogWith({ btc_price: null, apis: [{ ...api, endpoints }] });
}
