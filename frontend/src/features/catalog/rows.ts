/** The catalog as rows to show: one per model of a provider, whatever endpoints it answers on at the same price. */

import type { Api, Catalog, Endpoint, Model } from "../../shared/api";
import { type PriceList, priceList } from "../../shared/prices";

export const KINDS = ["text", "embeddings", "images", "audio", "moderation", "other"] as const;
export type Kind = (typeof KINDS)[number];

export const KIND_TITLES: Readonly<Record<Kind, string>> = {
  text: "Text",
  embeddings: "Embeddings",
  images: "Images",
  audio: "Audio",
  moderation: "Moderation",
  other: "Other",
};

export interface Row {
  readonly key: string;
  readonly api: Api;
  readonly model: Model;
  readonly kind: Kind;
  readonly endpoints: readonly Endpoint[];
  readonly prices: PriceList;
}

const KIND_OF_PATH: readonly (readonly [RegExp, Kind])[] = [
  [/\/(chat\/completions|completions|responses|messages)$/, "text"],
  [/\/embeddings$/, "embeddings"],
  [/\/images\//, "images"],
  [/\/audio\//, "audio"],
  [/\/moderations$/, "moderation"],
];

/** What an endpoint deals in, by its path, as every OpenAI-compatible provider names them. */
export function kindOf(endpoint: Endpoint): Kind {
  return KIND_OF_PATH.find(([pattern]) => pattern.test(endpoint.path))?.[1] ?? "other";
}

/** Every row: what can be bought first, else in the server's order. */
export function rowsOf({ apis }: Catalog): Row[] {
  return [
    ...apis.filter(({ available }) => available),
    ...apis.filter(({ available }) => !available),
  ].flatMap(rowsOfApi);
}

/** The page of an endpoint, with a model chosen if one is named. */
export function endpointPage(endpoint: Endpoint, model?: Model): string {
  const page = `/catalog${endpoint.url}`;
  return model === undefined ? page : `${page}?model=${encodeURIComponent(model.id)}`;
}

function rowsOfApi(api: Api): Row[] {
  const rows = new Map<string, Row>();
  for (const endpoint of api.endpoints) {
    const kind = kindOf(endpoint);
    for (const model of endpoint.models) {
      const { id, prices, typical_price_msat } = model;
      const key = JSON.stringify([api.name, id, kind, prices, typical_price_msat]);
      const known = rows.get(key);
      rows.set(
        key,
        known === undefined
          ? { key, api, model, kind, endpoints: [endpoint], prices: priceList(prices) }
          : { ...known, endpoints: [...known.endpoints, endpoint] },
      );
    }
  }
  return [...rows.values()];
}
