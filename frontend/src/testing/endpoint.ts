import type { EndpointDetail, ErrorRow, Health } from "../shared/api";
import { CATALOG } from "./catalog";

/** The sample's chat endpoint in full. */
export function endpointDetail(): EndpointDetail {
  const endpoint = CATALOG.apis[0]?.endpoints[0];
  if (endpoint === undefined) throw new Error("the sample has lost its endpoint");
  return {
    api: "openai",
    endpoint,
    parameters: {
      properties: {
        model: { type: "string", maxLength: 128 },
        messages: { type: "array", minItems: 1, maxItems: 2048, items: { type: "object" } },
        temperature: { type: "number", minimum: 0, maximum: 2 },
        max_tokens: { type: "integer", minimum: 1 },
        store: { enum: [false] },
        user: { type: "string" },
      },
      required: ["messages", "model"],
      refused: { functions: "`functions` is obsolete: use `tools`." },
      forced: { store: false },
      replaced: [],
      dropped: ["user"],
      output_cap: ["max_tokens"],
      answers: null,
    },
    examples: [
      {
        id: "curl-l402",
        title: "curl, paid per call",
        language: "bash",
        needs: "curl and jq",
        code: "curl {{origin}}/openai/v1/chat/completions\n",
      },
      {
        id: "python",
        title: "Python, OpenAI SDK",
        language: "python",
        needs: "pip install openai",
        code: 'client = OpenAI(base_url="{{origin}}/v1", api_key="{{token}}")\n',
      },
    ],
  };
}

export const ERRORS: readonly ErrorRow[] = [
  {
    code: "payment_required",
    status: 402,
    type: "payment_required",
    retry: false,
    message: "Payment is required.",
    next_action: "Pay the invoice, then repeat with the L402 credential.",
  },
];

export const HEALTH: Health = {
  status: "ok",
  parts: {
    "upstream openai": { ok: true, detail: "for sale" },
    price: { ok: true, detail: "fresh" },
    node: { ok: true, detail: "channels: 1 Normal" },
    ledger: { ok: true, detail: "SQLite: holds a lease" },
  },
  alarms: {},
};
