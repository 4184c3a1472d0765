// A buyer's program around one JavaScript client: reads one question per line, answers with one line of JSON.
//
// usage: node buyer.mjs CLIENT URL WALLET
//
// A question is {body, credential?, way?}; an answer {status, code, text, challenge}. `text` is what the model said.

import { createInterface } from "node:readline";

const [, , name, url, wallet] = process.argv;
const JSON_HEADERS = { "Content-Type": "application/json" };
const LIMIT_MS = 30_000;

// --- The wallet: phoenixd's REST API, from which every client needs one function ------------------------------------

async function preimageFor(invoice) {
  const paid = await fetch(`${wallet}/payinvoice`, {
    method: "POST",
    headers: { Authorization: `Basic ${btoa(":demo")}` },
    body: new URLSearchParams({ invoice }),
  });
  const { paymentPreimage } = await paid.json();
  return paymentPreimage;
}

// --- What the model said --------------------------------------------------------------------------------------------

async function heard(response) {
  const body = await response.text();
  if (!response.ok) {
    const { code } = JSON.parse(body).error;
    return { status: response.status, code, text: "", challenge: response.headers.get("www-authenticate") };
  }
  const streamed = response.headers.get("content-type").startsWith("text/event-stream");
  return { status: response.status, code: null, text: streamed ? streamedText(body) : spoken(JSON.parse(body)) };
}

function spoken(answer) {
  return answer.choices[0].message.content;
}

function streamedText(body) {
  const events = body.split("\n\n").filter(Boolean).map((event) => event.replace(/^data: /, ""));
  if (events.pop() !== "[DONE]") throw new Error("the stream has no end");
  return events.map((event) => JSON.parse(event).choices[0]?.delta.content ?? "").join("");
}

function request(body) {
  return { method: "POST", headers: { ...JSON_HEADERS }, body: JSON.stringify(body) };
}

// --- The clients ----------------------------------------------------------------------------------------------------

// Alby's functions take any object that can pay, and hand a credential back that the next call may be given.
async function alby(function_, { keeping }) {
  let credentials;
  const payer = { payInvoice: async ({ invoice }) => ({ preimage: await preimageFor(invoice) }) };
  return async ({ body }) => {
    const response = await function_(url, request(body), { wallet: payer, ...(credentials && { credentials }) });
    if (keeping) credentials = response.payment?.credentials ?? credentials;
    return heard(response);
  };
}

async function albyBefore7() {
  const { fetchWithL402 } = await import("alby-lightning-tools-6");
  const webln = { enable: async () => {}, sendPayment: async (invoice) => ({ preimage: await preimageFor(invoice) }) };
  return async ({ body }) => heard(await fetchWithL402(url, request(body), { webln }));
}

// lsat-js reads and writes the headers; asking, paying and asking again is its user's own code.
async function lsatJs() {
  const { Lsat } = (await import("lsat-js")).default;
  let token;
  return async ({ body }) => {
    const ask = () => {
      const asked = request(body);
      if (token) asked.headers.Authorization = token;
      return fetch(url, asked);
    };
    const first = await ask();
    if (first.status !== 402) return heard(first);
    const lsat = Lsat.fromHeader(first.headers.get("www-authenticate"));
    lsat.setPreimage(await preimageFor(lsat.invoice));
    token = lsat.toToken();
    return heard(await ask());
  };
}

async function openaiSdk() {
  const { default: OpenAI, APIError } = await import("openai");
  return async ({ body, credential, way }) => {
    const byKey = credential && way === "key";
    const client = new OpenAI({
      baseURL: url.replace(/\/chat\/completions$/, ""),
      apiKey: byKey ? credential : "l402",
      defaultHeaders: credential && !byKey ? { Authorization: `L402 ${credential}` } : {},
      timeout: LIMIT_MS,
    });
    try {
      return { status: 200, code: null, text: await asked(client, body) };
    } catch (error) {
      if (!(error instanceof APIError)) throw error;
      const { status, code, headers } = error;
      return { status, code, text: "", challenge: headers?.get("www-authenticate") };
    }
  };
}

async function asked(client, body) {
  const answer = await client.chat.completions.create(body);
  if (!body.stream) return spoken(answer);
  let text = "";
  for await (const chunk of answer) text += chunk.choices[0]?.delta.content ?? "";
  return text;
}

const CLIENTS = {
  fetch402: async () => alby((await import("@getalby/lightning-tools")).fetch402, { keeping: false }),
  "fetch402 keeping": async () => alby((await import("@getalby/lightning-tools")).fetch402, { keeping: true }),
  fetchWithL402: async () => alby((await import("@getalby/lightning-tools")).fetchWithL402, { keeping: false }),
  "fetchWithL402 keeping": async () =>
    alby((await import("@getalby/lightning-tools")).fetchWithL402, { keeping: true }),
  "fetchWithL402 6": albyBefore7,
  "lsat-js": lsatJs,
  openai: openaiSdk,
};

const answer = await CLIENTS[name]();
for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
}
