import { describe, expect, it } from "vitest";

import { apiWith } from "../../testing/catalog";
import {
  bodyOf,
  draftOf,
  example,
  fieldsOf,
  lastMessage,
  missingFile,
  withField,
  withLastMessage,
  withoutField,
} from "./request";
import { ruleOf } from "./rules";

const [CHAT] = apiWith({}).endpoints;
if (CHAT === undefined) throw new Error("the sample has no endpoint");
const UPLOAD = {
  ...CHAT,
  path: "/v1/audio/transcriptions",
  content_type: "multipart",
  streaming: false,
  example: { ...CHAT.example, body: null, fields: { model: "whisper-1", file: "@speech.mp3" } },
};

describe("a request", () => {
  it("begins as the catalog's example, streamed", () => {
    const draft = draftOf(CHAT);

    expect(draft.body).toEqual({ ...CHAT.example?.body, stream: true });
    expect(
      fieldsOf(draft, Object.keys(example(CHAT)))
        .slice(0, 2)
        .map(({ kind }) => kind),
    ).toEqual(["model", "messages"]);
  });

  it("is sent as it is edited, and what is taken out is not sent", () => {
    const draft = withoutField(withField(draftOf(CHAT), "temperature", 1), "stream");

    expect(bodyOf(draft)).toBe(JSON.stringify({ ...CHAT.example?.body, temperature: 1 }));
  });

  it("changes the last message alone", () => {
    const messages = [
      { role: "system", content: "Be brief." },
      { role: "user", content: "Hello" },
    ];

    expect(lastMessage(messages)).toBe("Hello");
    expect(withLastMessage(messages, "Bye")).toEqual([messages[0], { role: "user", content: "Bye" }]);
    expect(lastMessage([{ role: "user", content: [{ type: "text" }] }])).toBeNull();
  });

  it("that is an upload waits for its file and is sent as a form", () => {
    const draft = draftOf(UPLOAD);
    expect(missingFile(draft)).toBe("file");

    const form = bodyOf({ ...draft, files: { file: new File(["x"], "speech.mp3") } });
    expect(form instanceof FormData && form.get("model")).toBe("whisper-1");
    expect(form instanceof FormData && form.get("file")).toBeInstanceOf(File);
  });
});

it.each([
  [{ enum: ["low", "high"] }, { kind: "choice", options: ["low", "high"] }],
  [{ type: "boolean" }, { kind: "flag" }],
  [
    { type: "integer", minimum: 1 },
    { kind: "number", min: 1, max: null, whole: true },
  ],
  [{ enum: [false] }, null],
  [{ enum: ["text"] }, null],
  [{ type: "array" }, null],
  [{ type: ["string", "array"] }, null],
])("the rule %o is the control %o", (schema, rule) => {
  expect(ruleOf(schema)).toEqual(rule);
});
