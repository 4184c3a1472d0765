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
  const calls = byPreference.flatMap((api) => api.endpoints.flatMap((endpoint) => callOf(api, endpoint)));
  return calls.find(({ model }) => model?.paused !== true) ?? calls[0] ?? null;
}

function callOf(api: Api, endpoint: Endpoint): LiveCall[] {
  const { body } = endpoint.example;
  if (body === null || endpoint.content_type !== "json") return [];
  return [{ api, endpoint, body, model: endpoint.models.find(({ id }) => id === body["model"]) ?? null }];
}

/** Whether something is listed and none of it can be bought. */
export function isClosed({ apis }: Catalog): boolean {
  return apis.length > 0 && apis.every(({ available }) => !available);
}

/** How many different models can be bought now. */
export function countModels({ apis }: Catalog): number {
  return new Set(
    apis.flatMap(({ name, available, endpoints }) =>
      (available ? endpoints : []).flatMap(({ models }) =>
        models.filter(({ paused }) => !paused).map(({ id }) => `${name} ${id}`),
      ),
    ),
  ).size;
}

function rank(api: Api): number {
  return (api.available ? 0 : 2) + (api.default ? 0 : 1);
}
