/** The call that the home page shows: the catalog's own example of what can be bought first. */

import type { Api, Catalog, Endpoint, JsonValue, Model } from "../../shared/api";

export interface LiveCall {
  readonly api: Api;
  readonly endpoint: Endpoint;
  readonly body: { readonly [key: string]: JsonValue };
  readonly model: Model | null;
}

/** The first JSON example of what can be bought now, else of what is listed; null when the catalog has none. */
export function liveCall(catalog: Catalog): LiveCall | null {
  const byPreference = catalog.apis.toSorted((a, b) => rank(a) - rank(b));
  for (const api of byPreference) {
    for (const endpoint of api.endpoints) {
      const { body } = endpoint.example;
      if (body === null || endpoint.content_type !== "json") continue;
      const model = endpoint.models.find(({ id }) => id === body["model"]) ?? null;
      return { api, endpoint, body, model };
    }
  }
  return null;
}

/** Whether something is listed and none of it can be bought. */
export function isClosed({ apis }: Catalog): boolean {
  return apis.length > 0 && apis.every(({ available }) => !available);
}

/** How many different models can be bought now. */
export function countModels({ apis }: Catalog): number {
  return new Set(
    apis.flatMap(({ name, available, endpoints }) =>
      (available ? endpoints : []).flatMap(({ models }) => models.map(({ id }) => `${name} ${id}`)),
    ),
  ).size;
}

function rank(api: Api): number {
  return (api.available ? 0 : 2) + (api.default ? 0 : 1);
}
