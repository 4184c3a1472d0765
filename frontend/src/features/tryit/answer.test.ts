import { describe, expect, it } from "vitest";

import { type Answer, NO_ANSWER, fromJson, readAnswer, withEvent } from "./answer";
import { blocksOf } from "./Markdown";
import { EventReader } from "./sse";

function event(value: object): string {
  return JSON.stringify(value);
}

const CHAT = ['{"choices":[{"delta":{"content":"Hel"}}]}', '{"choices":[{"delta":{"content":"lo\u2028!"}}]}'];
const STREAM = CHAT.map((data) => `data: ${data}\n\n`).join("") + "data: [DONE]\n\n";

describe("a stream", () => {
  it("gives the same events however its bytes are cut", () => {
    const bytes = new TextEncoder().encode(STREAM);
    for (let size = 1; size <= bytes.length; size += 1) {
      const reader = new EventReader();
      const found: string[] = [];
      for (let at = 0; at < bytes.length; at += size) found.push(...reader.feed(bytes.slice(at, at + size)));

      expect(found).toEqual([...CHAT, "[DONE]"]);
    }
  });

  it("reads lines that end as on Windows, and leaves comments out", () => {
    expect(
      new EventReader().feed(new TextEncoder().encode(": ping\r\n\r\ndata: 1\r\ndata: 2\r\n\r\n")),
    ).toEqual(["1\n2"]);
  });

  it("is shown as it comes, to the end", async () => {
    const seen: Answer[] = [];
    const response = new Response(STREAM, { headers: { "Content-Type": "text/event-stream" } });

    const whole = await readAnswer(response, (answer) => seen.push(answer));

    expect(whole.text).toBe("Hello\u2028!");
    expect(seen.length).toBeGreaterThan(0);
  });

  it.each([
    ["a chat", event({ choices: [{ delta: { content: "x" } }] })],
    ["a response", event({ type: "response.output_text.delta", delta: "x" })],
    ["messages", event({ type: "content_block_delta", delta: { type: "text_delta", text: "x" } })],
    ["a transcription", event({ type: "transcript.text.delta", delta: "x" })],
    ["a completion", event({ choices: [{ text: "x" }] })],
  ])("of %s adds its words", (_name, data) => {
    expect(withEvent({ ...NO_ANSWER, text: "a" }, data).text).toBe("ax");
  });

  it("is not confused by what is no text", () => {
    for (const data of [
      "[DONE]",
      "{broken",
      event({ type: "response.reasoning.delta", delta: "x" }),
      event({ usage: {} }),
    ]) {
      expect(withEvent(NO_ANSWER, data)).toEqual(NO_ANSWER);
    }
  });

  it("tells an error inside of it", () => {
    expect(withEvent(NO_ANSWER, event({ error: { message: "overloaded" } })).error).toBe("overloaded");
  });
});

describe("an answer in JSON", () => {
  it.each([
    ["a chat", { choices: [{ message: { content: "hi" } }] }],
    ["a response", { output: [{ type: "message", content: [{ type: "output_text", text: "hi" }] }] }],
    ["messages", { content: [{ type: "text", text: "hi" }] }],
    ["a transcription", { text: "hi" }],
  ])("of %s has its text", (_name, json) => {
    expect(fromJson(json).text).toBe("hi");
  });

  it("has its pictures, as data that the page may show", () => {
    const json = { output_format: "webp", data: [{ b64_json: "AAAA", revised_prompt: "a cat" }] };

    expect(fromJson(json).pictures).toEqual([{ source: "data:image/webp;base64,AAAA", prompt: "a cat" }]);
  });

  it("is shown as it is where it is neither", () => {
    expect(fromJson({ data: [{ embedding: [1] }] })).toMatchObject({ text: "", pictures: [] });
  });

  it("of sound is played", async () => {
    const response = new Response(new Uint8Array([1, 2]), { headers: { "Content-Type": "audio/mpeg" } });

    expect((await readAnswer(response, () => undefined)).sound?.size).toBe(2);
  });
});

it("markdown is parted at blank lines, but not inside of a fence or a list", () => {
  const text = "One\n\n```py\na\n\nb\n```\n\nTwo\n\n- x\n\n- y";

  expect(blocksOf(text)).toEqual(["One", "```py\na\n\nb\n```", "Two\n\n- x\n\n- y"]);
});
