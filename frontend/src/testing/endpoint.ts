import type { CodeExample, EndpointDetail, ErrorRow, Health, Quote } from "../shared/api";
import { CATALOG } from "./catalog";
import sample from "./free.json";

/** The sample's chat endpoint in full. */
export function endpointDetail(): EndpointDetail {
  const endpoint = CATALOG.apis[0]?.endpoints[0];
  if (endpoint === undefined) throw new Error("the sample has lost its endpoint");
  const { parameters, examples } = sample.endpoint;
  const file = { kind: "audio", required: true, max_count: 1, max_bytes: 26_214_400 } as const;
  return {
    api: "openai",
    endpoint,
    parameters: { ...parameters, files: { file } },
    examples: examples.map(withLanguage),
  };
}

export const ERRORS: readonly ErrorRow[] = sample.errors;
export const HEALTH: Health = { ...sample.health, status: "ok" };
export const QUOTE: Quote = sample.quote;

/** JSON modules know no narrower type than string. */
function withLanguage(example: (typeof sample.endpoint.examples)[number]): CodeExample {
  const { language } = example;
  if (language !== "bash" && language !== "python" && language !== "javascript") throw new Error(language);
  return { ...example, language };
}
