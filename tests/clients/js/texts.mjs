// One call of a text endpoint through an official SDK: prints one line of JSON.
//
// usage: node texts.mjs SDK URL, and on standard input {key, body}: what is bought, and with what.
//
// The line is {status, code, text, usage}; `usage` is what the SDK's user sees of it, our price included.

import { text as textOf } from "node:stream/consumers";

const [, , name, baseURL] = process.argv;
const { key: apiKey, body } = JSON.parse(await textOf(process.stdin));
const LIMIT_MS = 30_000;

async function responses() {
  const { default: OpenAI } = await import("openai");
  const client = new OpenAI({ baseURL, apiKey, timeout: LIMIT_MS });
  if (!body.stream) {
    const answer = await client.responses.create(body);
    return { text: answer.output_text, usage: answer.usage };
  }
  let text = "";
  let usage;
  for await (const event of await client.responses.create(body)) {
    if (event.type === "response.output_text.delta") text += event.delta;
    if (event.type === "response.completed") usage = event.response.usage;
  }
  return { text, usage };
}

async function messages() {
  const { default: Anthropic } = await import("@anthropic-ai/sdk");
  const client = new Anthropic({ baseURL, apiKey, timeout: LIMIT_MS });
  if (!body.stream) {
    const answer = await client.messages.create(body);
    return { text: answer.content[0].text, usage: answer.usage };
  }
  let text = "";
  let usage;
  for await (const event of await client.messages.create(body)) {
    if (event.type === "content_block_delta") text += event.delta.text;
    if (event.type === "message_delta") usage = event.usage;
  }
  return { text, usage };
}

async function bought() {
  try {
    return { status: 200, code: null, ...(await { responses, messages }[name]()) };
  } catch (error) {
    const { status, code } = error;
    return { status: status ?? null, code: code ?? error.error?.error?.code ?? null, text: "", usage: null };
  }
}

process.stdout.write(`${JSON.stringify(await bought())}\n`);
